package reconcile

import (
	"bytes"
	"errors"
	"iter"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/wal"
)

// compare says whether ordinals [from, to) are the same in a stored batch, whose first ordinal is zero, and in the log.
// There are rows for all of them.
func (l *lane) compare(h *batch.Header, raw []byte, base streamdown.Offset, zero, from, to streamdown.Ordinal) {
	at := func(o streamdown.Ordinal) streamdown.Offset { return base + streamdown.Offset(o-zero) }
	if !l.gather.goesOn(from) {
		l.scatter()
	}
	if batch.Verify(raw) != nil {
		l.scatter()
		l.eachRow(from, to, func(r *row, from, to streamdown.Ordinal) {
			if r.hole {
				l.say(NotComparable, r.why, from, to, 0, at(from), 0, int64(to-from))
			} else {
				l.say(Altered, "", from, to, r.lsn, at(from), 1, int64(to-from))
			}
		})
		return
	}
	if i := l.row(from); i < len(l.rows) {
		r := &l.rows[i]
		if !r.hole && r.ordinal == zero && from == zero && to == r.end() && int64(h.Count) == r.count && int64(h.LastOffsetDelta)+1 == r.count &&
			int(r.size) == len(raw) && r.codec == h.Codec() && r.base == h.BaseTimestamp && (r.max == h.MaxTimestamp || h.LogAppendTime()) &&
			r.crc == batch.PayloadCRC(raw) {
			l.tiers.Headers += r.count
			l.say(Identical, "", from, to, r.lsn, base, 1, r.count)
			return
		}
	}
	next, stop := iter.Pull2(batch.Records(raw))
	defer stop()
	stored := side{next: next, zero: zero, end: zero + streamdown.Ordinal(h.LastOffsetDelta) + 1}
	stored.step()
	l.found = l.found[:0]
	l.eachRow(from, to, func(r *row, from, to streamdown.Ordinal) {
		if r.hole {
			l.found = append(l.found, finding{from: from, to: to, verdict: NotComparable, why: r.why})
			return
		}
		l.records(r, &stored, h, from, to)
	})
	for stored.ok { // a batch that is broken behind the records that matter is broken
		stored.step()
	}
	for _, f := range l.found {
		if f.verdict == Rewritten && stored.bad {
			f.verdict = Altered
		}
		offset := f.at
		if offset == 0 {
			offset = at(f.from)
		}
		if f.verdict == Absent && !l.late { // it may come yet
			l.keep(&l.rows[l.row(f.from)])
			l.gaps = append(l.gaps, gap{from: f.from, to: f.to, lsn: f.lsn, after: offset, batches: 1, skipped: streamdown.NoOffset})
			continue
		}
		l.say(f.verdict, f.why, f.from, f.to, f.lsn, offset, 1, int64(f.to-f.from))
	}
}

// finding is a verdict on a part of a stored batch.
type finding struct {
	from, to streamdown.Ordinal
	lsn      streamdown.LSN
	verdict  Verdict
	why      Reason
	at       streamdown.Offset // of its first record, if that lies in an earlier batch; 0 = in this one
}

// find adds a verdict on one record, or on more.
func (l *lane) find(r *row, v Verdict, why Reason, from, to streamdown.Ordinal) {
	if n := len(l.found); n > 0 {
		if f := &l.found[n-1]; f.to == from && f.lsn == r.lsn && f.verdict == v && f.why == why {
			f.to = to
			return
		}
	}
	l.found = append(l.found, finding{from: from, to: to, lsn: r.lsn, verdict: v, why: why})
}

// eachRow calls fn with each row that overlaps [from, to), and the overlap.
func (l *lane) eachRow(from, to streamdown.Ordinal, fn func(r *row, from, to streamdown.Ordinal)) {
	for i := l.row(from); i < len(l.rows) && l.rows[i].ordinal < to; i++ {
		r := &l.rows[i]
		fn(r, max(from, r.ordinal), min(to, r.end()))
	}
}

// side is the records of a stored batch, one at a time.
type side struct {
	next      func() (batch.Record, error, bool)
	zero, end streamdown.Ordinal
	rec       batch.Record
	ordinal   streamdown.Ordinal // of rec
	ok        bool               // there is a rec
	begun     bool
	bad       bool // it cannot be decoded to its end, or its records have offsets that cannot be
}

func (s *side) step() {
	last := s.ordinal
	var err error
	if s.rec, err, s.ok = s.next(); err != nil {
		s.ok, s.bad = false, true // its checksum is right and its records are none: readers cannot have them either
	}
	if s.ok {
		s.ordinal = s.zero + streamdown.Ordinal(s.rec.OffsetDelta)
		s.bad = s.bad || s.ordinal < s.zero || s.ordinal >= s.end || s.begun && s.ordinal <= last
		s.begun = true
	}
}

// records compares the records of one row, ordinals [from, to), with a stored batch.
func (l *lane) records(r *row, stored *side, h *batch.Header, from, to streamdown.Ordinal) {
	body, err := l.run.entry(r.lsn, r.size, r.crc)
	switch {
	case errors.Is(err, wal.ErrReleased):
		l.digestOnly(r, stored, h, from, to)
		return
	case err != nil:
		l.find(r, NotComparable, LogDamaged, from, to)
		return
	}
	l.tiers.Records += int64(to - from)
	appendTime := h.LogAppendTime()
	o := r.ordinal
	for rec, err := range batch.Records(body) {
		if err != nil || o >= to {
			break
		}
		if o < from {
			o++
			continue
		}
		for stored.ok && stored.ordinal < o {
			stored.step()
		}
		switch {
		case stored.ok && stored.ordinal == o && sameRecord(&rec, &stored.rec, appendTime):
			l.find(r, Rewritten, "", o, o+1)
		case stored.ok && stored.ordinal == o || stored.bad:
			l.find(r, Altered, "", o, o+1)
		case l.pin.Compacted:
			l.find(r, NotComparable, Compacted, o, o+1)
		default:
			l.find(r, Absent, "", o, o+1)
		}
		o++
	}
	if o < to { // the log's batch cannot be decoded that far, though its checksum is right
		l.find(r, NotComparable, LogDamaged, max(o, from), to)
	}
}

func sameRecord(a, b *batch.Record, appendTime bool) bool {
	if !appendTime && a.Timestamp != b.Timestamp || !sameField(a.Key, b.Key) || !sameField(a.Value, b.Value) || len(a.Headers) != len(b.Headers) {
		return false
	}
	for i := range a.Headers {
		if !bytes.Equal(a.Headers[i].Key, b.Headers[i].Key) || !sameField(a.Headers[i].Value, b.Headers[i].Value) {
			return false
		}
	}
	return true
}

// sameField tells null from empty.
func sameField(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }
