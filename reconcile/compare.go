package reconcile

import (
	"bytes"
	"iter"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
)

// compare says whether ordinals [from, to) are the same in a stored batch, whose first ordinal is zero, and in the log.
// There are rows for all of them.
func (l *lane) compare(h *batch.Header, raw []byte, base streamdown.Offset, zero, from, to streamdown.Ordinal) {
	at := func(o streamdown.Ordinal) streamdown.Offset { return base + streamdown.Offset(o-zero) }
	if batch.Verify(raw) != nil {
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
			l.say(Identical, "", from, to, r.lsn, base, 1, r.count)
			return
		}
	}
	next, stop := iter.Pull2(batch.Records(raw))
	defer stop()
	stored := side{next: next, zero: zero, ordered: true}
	stored.step()
	l.eachRow(from, to, func(r *row, from, to streamdown.Ordinal) {
		if r.hole {
			l.say(NotComparable, r.why, from, to, 0, at(from), 0, int64(to-from))
			return
		}
		l.records(r, &stored, h.LogAppendTime(), from, to, at)
	})
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
	next    func() (batch.Record, error, bool)
	zero    streamdown.Ordinal
	rec     batch.Record
	ordinal streamdown.Ordinal // of rec
	ok      bool               // there is a rec
	ordered bool               // deltas rose so far
	bad     error
}

func (s *side) step() {
	last := s.ordinal
	had := s.ok
	var err error
	s.rec, err, s.ok = s.next()
	if err != nil {
		s.ok, s.bad = false, err
		return
	}
	if s.ok {
		s.ordinal = s.zero + streamdown.Ordinal(s.rec.OffsetDelta)
		s.ordered = s.ordered && (!had || s.ordinal > last)
	}
}

// records compares the records of one row, ordinals [from, to), with a stored batch.
func (l *lane) records(r *row, stored *side, appendTime bool, from, to streamdown.Ordinal, at func(streamdown.Ordinal) streamdown.Offset) {
	body, err := l.run.entry(r.lsn, r.size)
	if err != nil {
		l.say(NotComparable, LogDamaged, from, to, r.lsn, at(from), 1, int64(to-from))
		return
	}
	run := Range{From: from} // of records with the same verdict
	var why Reason
	say := func(o streamdown.Ordinal, v Verdict, reason Reason) {
		if o > run.From && (v != run.Verdict || reason != why) {
			l.say(run.Verdict, why, run.From, o, r.lsn, at(run.From), 1, int64(o-run.From))
			run.From = o
		}
		run.Verdict, why = v, reason
	}
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
		case stored.ok && stored.ordinal == o:
			if stored.ordered && sameRecord(&rec, &stored.rec, appendTime) {
				say(o, Rewritten, "")
			} else {
				say(o, Altered, "")
			}
		case stored.bad != nil:
			say(o, NotComparable, Unreadable)
		case l.pin.Compacted:
			say(o, NotComparable, Compacted)
		default:
			say(o, Absent, "")
		}
		o++
	}
	if o > run.From {
		l.say(run.Verdict, why, run.From, o, r.lsn, at(run.From), 1, int64(o-run.From))
	}
	if o < to { // the log's batch cannot be decoded that far, though its checksum is right
		l.say(NotComparable, LogDamaged, o, to, r.lsn, at(o), 1, int64(to-o))
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
