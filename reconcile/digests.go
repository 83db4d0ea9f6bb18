package reconcile

import (
	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/ledger"
)

// gathering is a row of which only the ledger's digest is left, and whose records are met one stored batch after the other:
// a broker may have cut them anew. Rows of a window are whole, so no gathering outlives one.
type gathering struct {
	live          bool
	ordinal, next streamdown.Ordinal // of the row; behind the last record that was taken
	lsn           streamdown.LSN
	at            streamdown.Offset
	sum           ledger.Digest
}

// goesOn reports whether the record at o is the next one of the row.
func (g *gathering) goesOn(o streamdown.Ordinal) bool { return g.live && g.next == o }

// scatter gives up a row that was met in part: nothing can be said of the part.
func (l *lane) scatter() {
	if g := l.gather; g.live {
		l.gather = gathering{}
		l.say(NotComparable, NoDigest, g.ordinal, g.next, g.lsn, g.at, 1, int64(g.next-g.ordinal))
	}
}

// digestOnly compares ordinals [from, to) of a row whose payload the log released with a stored batch. Without a digest only
// equal bytes could have told, and they are not equal.
func (l *lane) digestOnly(r *row, stored *side, h *batch.Header, from, to streamdown.Ordinal) {
	switch {
	case sameCut(r, stored, h):
		// Records that are not compressed can be written in one way only: other bytes are other records.
		l.find(r, Altered, "", from, to)
		return
	case r.digest == 0:
		l.missing(r, stored, from, to)
		return
	case from == r.ordinal:
		l.gather = gathering{live: true, ordinal: from, next: from, lsn: r.lsn, at: streamdown.Offset(h.BaseOffset) + streamdown.Offset(from-stored.zero)}
	case !l.gather.goesOn(from) || l.gather.ordinal != r.ordinal:
		l.missing(r, stored, from, to) // its beginning was not there
		return
	}
	g := &l.gather
	for o := from; o < to; o++ {
		for stored.ok && stored.ordinal < o {
			stored.step()
		}
		if stored.ok && stored.ordinal == o {
			g.sum = l.run.hasher.Add(g.sum, &stored.rec)
			continue
		}
		// One is missing: what is there of the row cannot be compared.
		before := *g
		l.gather = gathering{}
		if before.ordinal < o {
			l.found = append(l.found, finding{from: before.ordinal, to: o, lsn: r.lsn, verdict: NotComparable, why: NoDigest, at: before.at})
		}
		l.missing(r, stored, o, to)
		return
	}
	g.next = to
	if to < r.end() {
		return
	}
	l.tiers.Digests += r.count
	v := Rewritten
	if want := l.digests[r.digest-1]; g.sum.Records != want.Records || g.sum.Content != want.Content || g.sum.Times != want.Times && !h.LogAppendTime() {
		v = Altered
	}
	l.found = append(l.found, finding{from: r.ordinal, to: to, lsn: r.lsn, verdict: v, at: g.at})
	l.gather = gathering{}
}

// missing says of the records in [from, to) which are in the stored batch and which are not.
func (l *lane) missing(r *row, stored *side, from, to streamdown.Ordinal) {
	for o := from; o < to; o++ {
		for stored.ok && stored.ordinal < o {
			stored.step()
		}
		switch {
		case stored.ok && stored.ordinal == o:
			l.find(r, NotComparable, NoDigest, o, o+1)
		case stored.bad:
			l.find(r, Altered, "", o, o+1)
		case l.pin.Compacted:
			l.find(r, NotComparable, Compacted, o, o+1)
		default:
			l.find(r, Absent, "", o, o+1)
		}
	}
}

// sameCut reports whether a stored batch has the form of the row, without compression on both sides.
func sameCut(r *row, stored *side, h *batch.Header) bool {
	return r.codec == batch.None && h.Codec() == batch.None && stored.zero == r.ordinal && int64(h.Count) == r.count &&
		int64(h.LastOffsetDelta)+1 == r.count && int(r.size) == 12+int(h.Length) && r.base == h.BaseTimestamp
}

// maxKept bounds what is remembered of missing rows of a lane, to compare those that come late.
const maxKept = 1 << 16

// keep remembers a row that is missing so far, if the log declares that something may come late.
func (l *lane) keep(r *row) {
	if len(l.declared.Late) == 0 || l.late || len(l.kept) >= maxKept {
		return
	}
	k := *r
	if r.digest > 0 {
		l.keptOf = append(l.keptOf, l.digests[r.digest-1])
		k.digest = int32(len(l.keptOf)) //nolint:gosec // bounded
	}
	if n := len(l.kept); n > 0 && l.kept[n-1].ordinal >= k.ordinal {
		return // it was missed in part before
	}
	l.kept = append(l.kept, k)
}

// compareLate compares ordinals [from, to) with the rows that were kept when they were missed.
func (l *lane) compareLate(h *batch.Header, raw []byte, base streamdown.Offset, zero, from, to streamdown.Ordinal) {
	l.scatter()
	rows, digests := l.rows, l.digests
	l.rows, l.digests, l.late = l.kept, l.keptOf, true
	defer func() { l.rows, l.digests, l.late = rows, digests, false }()
	for from < to {
		i := l.row(from)
		end := to
		if i == len(l.rows) || l.rows[i].ordinal > from {
			if i < len(l.rows) {
				end = min(to, l.rows[i].ordinal)
			}
			l.say(NotComparable, TooMany, from, end, 0, base+streamdown.Offset(from-zero), 1, int64(end-from))
			from = end
			continue
		}
		for end = l.rows[i].end(); end < to && i+1 < len(l.rows) && l.rows[i+1].ordinal == end; end = l.rows[i].end() {
			i++
		}
		end = min(end, to)
		l.compare(h, raw, base, zero, from, end)
		from = end
	}
	l.scatter()
}
