package reconcile

import (
	"context"
	"encoding/binary"
	"errors"
	"hash"
	"slices"
	"sort"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/ledger"
)

// row is one batch of the log or, with a reason, ordinals of which the log has nothing more.
type row struct {
	lsn       streamdown.LSN
	ordinal   streamdown.Ordinal
	base, max int64 // timestamps
	count     int64
	size      int32
	crc       uint32 // of the payload
	codec     batch.Codec
	digest    int32 // place in lane.digests, from 1 on; 0 = there is none
	hole      bool
	why       Reason
}

func (r *row) end() streamdown.Ordinal { return r.ordinal + streamdown.Ordinal(r.count) }

// lane compares one lane with its partition.
type lane struct {
	run       *run
	id        streamdown.LaneID
	tp        streamdown.TopicPartition
	pin       Pin
	gone      bool // there is no such partition
	confirmed streamdown.Ordinal
	declared  Declared
	bindings  []binding // that lead to this topic and cluster
	all       []binding // and elsewhere
	damaged   bool      // the log is damaged somewhere, so it may have held more than it shows

	started bool
	first   streamdown.Ordinal // oldest that is kept
	end     streamdown.Ordinal // behind the newest that the log holds
	rows    []row              // dense, of the window
	digests []ledger.Digest    // of rows
	next    streamdown.Ordinal // all below were judged or are gaps
	tip     streamdown.Ordinal // behind the newest record that was met in its place
	gaps    []gap              // below next, sorted

	from    streamdown.Offset  // where reading began
	at      streamdown.Offset  // where reading goes on
	part    streamdown.Ordinal // of the batch at at, ordinals below were judged in an earlier window
	skipped streamdown.Offset  // as in gap
	done    bool               // all up to the pinned end was read

	late   bool  // rows are those kept of what was missing: what is said is said of late records
	kept   []row // of what is missing so far, if something may come late
	keptOf []ledger.Digest
	found  []finding // of one stored batch
	gather gathering // the row whose payload is gone and that was met in part

	sums     Sums
	tiers    Tiers
	accepted Accepted
	chain    hash.Hash       // of what was accepted
	open     [verdicts]Range // not yet reported, to be merged with what follows
}

// begin prepares the lane once the log's end is known.
func (l *lane) begin(damaged bool) {
	books := l.run.books
	l.damaged = damaged
	l.end = max(books.Lane(l.id).End, l.confirmed)
	l.first, l.next, l.tip = l.end, l.end, l.end
	l.skipped = streamdown.NoOffset
	l.all = books.bindings[l.id]
	l.declared = books.declared(l.id)
	if l.run.cfg.Declared != nil {
		more := l.run.cfg.Declared(l.id)
		l.declared.Late = append(l.declared.Late, more.Late...)
		l.declared.Gone = append(l.declared.Gone, more.Gone...)
	}
	l.declared.quarantined(books.Quarantine(l.id))
	l.declared.Late = append(l.declared.Late, l.run.intents.late(l.id)...)
	for _, b := range l.all {
		if l.leadsHere(&b.Binding) {
			l.bindings = append(l.bindings, b)
		}
	}
	l.done = l.gone || len(l.bindings) == 0
	// All that the log keeps was sent behind what was confirmed when its oldest state was written, if that is known.
	l.at = l.pin.Start
	old, ok := books.oldest[l.id]
	switch {
	case !l.trusted() || len(l.bindings) == 0:
	case ok && old.Bound && l.leadsHere(&old.Binding):
		if old.Offset != streamdown.NoOffset {
			l.at = old.Offset
		} else {
			l.at = old.Binding.End
		}
	default:
		l.at = l.bindings[0].End
	}
	if l.at > l.pin.End { // cut since, upstream
		l.at = l.pin.Start
	}
	l.from = l.at
}

func (l *lane) leadsHere(b *delivery.Binding) bool {
	return (b.Topic == l.pin.Topic || b.Topic.IsZero() || l.pin.Topic.IsZero()) &&
		(b.Cluster == l.pin.Cluster || b.Cluster == "" || l.pin.Cluster == "")
}

// push takes the lane's next batch of the log; why says why ordinals before it are missing, if they are.
func (l *lane) push(e *ledger.Row, why Reason) {
	end := l.next
	if n := len(l.rows); n > 0 {
		end = l.rows[n-1].end()
	}
	if !l.started {
		l.started = true
		end = e.Ordinal
		if l.trusted() {
			end = min(end, l.run.books.oldest[l.id].End)
		}
		l.first, l.next, l.tip = end, end, end
	}
	if e.Ordinal < end {
		return // only broken bookkeeping gets here; `wal verify` reports it
	}
	if e.Ordinal > end {
		l.rows = append(l.rows, row{ordinal: end, count: int64(e.Ordinal - end), hole: true, why: why})
	}
	r := row{
		lsn: e.LSN, ordinal: e.Ordinal, count: int64(e.Count), crc: e.CRC, size: e.Size, base: e.Base, max: e.Max, codec: e.Codec,
	}
	if e.Digested {
		l.digests = append(l.digests, e.Digest)
		r.digest = int32(len(l.digests)) //nolint:gosec // bounded by the window
	}
	l.rows = append(l.rows, r)
	l.accepted.Batches++
	l.accepted.Bytes += int64(r.size)
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], uint64(r.ordinal)) //nolint:gosec // round trip
	binary.BigEndian.PutUint32(b[8:], uint32(r.count))  //nolint:gosec // from an int32
	binary.BigEndian.PutUint32(b[12:], r.crc)
	_, _ = l.chain.Write(b[:]) // never fails
}

var errStop = errors.New("the window ends here")

// window reads the partition on until the batches below to were met, and forgets the rows.
func (l *lane) window(ctx context.Context, to streamdown.Ordinal) error {
	if !l.done {
		err := l.run.cfg.Topic.Walk(ctx, l.tp, l.pin.Topic, l.at, l.pin.End, func(base streamdown.Offset, raw []byte) error {
			return l.met(base, raw, to)
		})
		if err != nil && !errors.Is(err, errStop) {
			return err
		}
		if err == nil {
			l.done = true
			l.pass(l.pin.End)
		}
	}
	l.scatter()
	l.miss(to)
	l.rows, l.digests = l.rows[:0], l.digests[:0]
	if n := len(l.gaps); n > maxGaps {
		for i := range n - maxGaps/2 {
			if err := l.settle(ctx, &l.gaps[i]); err != nil {
				return err
			}
		}
		l.gaps = slices.Delete(l.gaps, 0, n-maxGaps/2)
	}
	return nil
}

// last is the final window: what the log should hold and does not, and the rest of the partition.
func (l *lane) last(ctx context.Context, why Reason) error {
	if !l.started && l.trusted() {
		l.first = min(l.end, l.run.books.oldest[l.id].End)
		l.next, l.tip = l.first, l.first
	}
	if l.next < l.end {
		l.rows = append(l.rows, row{ordinal: l.next, count: int64(l.end - l.next), hole: true, why: why})
	}
	return l.window(ctx, l.end)
}

// trusted reports whether the oldest state says where the lane stood before the first entry kept.
func (l *lane) trusted() bool { return l.run.restored <= l.run.first }

// pass notes that the target goes on at an offset.
func (l *lane) pass(at streamdown.Offset) {
	if at > l.at && l.skipped == streamdown.NoOffset {
		l.skipped = l.at
	}
}

// met takes one stored batch.
func (l *lane) met(base streamdown.Offset, raw []byte, to streamdown.Ordinal) error {
	h, err := batch.ParseHeader(raw)
	if err != nil {
		return err
	}
	span := streamdown.Ordinal(h.LastOffsetDelta) + 1
	l.pass(base)
	if !h.Control() && h.ProducerID >= 0 && span > 0 {
		from, identity := l.identify(&h)
		late := identity == belated
		switch {
		case (identity == ours || late) && from+span > to && from < l.end && to < l.end:
			// It belongs to a later window, with all or with a part of it.
			if from < to {
				l.judge(&h, raw, base, from, max(from, l.part), to, late)
				l.part = to
			}
			l.at = max(l.at, base)
			return errStop
		case identity == ours || late:
			l.judge(&h, raw, base, from, max(from, l.part), from+span, late)
		case identity == strange && from >= 0:
			l.say(Foreign, "", from, from+span, 0, base, 1, int64(h.Count))
		case identity == strange:
			l.say(Foreign, "", -1, -1, 0, base, 1, int64(h.Count))
		}
	}
	l.at, l.part = base+streamdown.Offset(span), 0
	return nil
}

// Whose a stored batch is.
const (
	others  = iota // another producer's, or of a time that the log has forgotten
	ours           // of one of the lane's bindings
	belated        // of an identity that the log declares for late records
	strange        // under our producer id, but of no binding or beyond its end: written by nobody who writes this log
)

// identify finds the ordinal of a stored batch's first record (rule C1), -1 if it has none.
func (l *lane) identify(h *batch.Header) (streamdown.Ordinal, int) {
	for i := range l.declared.Late {
		if d := &l.declared.Late[i]; d.PID == h.ProducerID {
			o := d.From + streamdown.Ordinal(h.BaseSequence)
			if h.ProducerEpoch != d.Epoch || o >= d.To {
				return o, strange
			}
			return o, belated
		}
	}
	latest := int16(-1)
	for i := len(l.bindings) - 1; i >= 0; i-- {
		b := &l.bindings[i]
		if b.PID != h.ProducerID {
			continue
		}
		latest = max(latest, b.Epoch)
		if b.Epoch != h.ProducerEpoch {
			continue
		}
		o := b.Ordinal(h.BaseSequence, max(l.next, b.Base))
		switch {
		case o < b.Base:
			return -1, strange
		case b.closed && o >= b.limit:
			return o, strange
		}
		return o, ours
	}
	if latest >= 0 && h.ProducerEpoch > latest {
		return -1, strange
	}
	return -1, others
}

// judge says what becomes of ordinals [from, to), which a stored batch whose first ordinal is zero holds. late says that it was
// sent behind others on purpose.
func (l *lane) judge(h *batch.Header, raw []byte, base streamdown.Offset, zero, from, to streamdown.Ordinal, late bool) {
	at := func(o streamdown.Ordinal) streamdown.Offset { return base + streamdown.Offset(o-zero) }
	if l.end < to { // more than the log holds
		o := max(from, l.end)
		if l.damaged {
			l.say(NotComparable, LogDamaged, o, to, 0, at(o), 1, int64(to-o))
		} else {
			l.say(Foreign, "", o, to, 0, at(o), 1, int64(to-o))
		}
		to = o
	}
	from = max(from, min(l.first, to)) // below, the log keeps nothing to compare with
	for from < to && from < l.next {
		i := sort.Search(len(l.gaps), func(i int) bool { return l.gaps[i].to > from })
		switch {
		case i == len(l.gaps) || l.gaps[i].from >= min(to, l.next):
			end := min(to, l.next)
			l.say(Doubled, "", from, end, 0, at(from), 1, int64(end-from))
			from = end
		case l.gaps[i].from > from:
			end := l.gaps[i].from
			l.say(Doubled, "", from, end, 0, at(from), 1, int64(end-from))
			from = end
		default:
			end := min(to, l.gaps[i].to)
			if late || l.declared.late(from, end) {
				l.compareLate(h, raw, base, zero, from, end)
			} else {
				l.say(Reordered, "", from, end, 0, at(from), 1, int64(end-from))
			}
			l.fill(i, from, end)
			from = end
		}
	}
	if from >= to {
		return
	}
	l.miss(from)
	l.compare(h, raw, base, zero, from, to)
	l.next, l.tip, l.skipped = to, to, streamdown.NoOffset
}

// row finds the row that holds an ordinal, or the first behind it.
func (l *lane) row(o streamdown.Ordinal) int {
	return sort.Search(len(l.rows), func(i int) bool { return l.rows[i].end() > o })
}

// close judges the gaps that are left, and reports what is not reported yet.
func (l *lane) close(ctx context.Context) error {
	for i := range l.gaps {
		if err := l.settle(ctx, &l.gaps[i]); err != nil {
			return err
		}
	}
	l.gaps = nil
	for v := range l.open {
		l.flush(Verdict(v))
	}
	return nil
}

// say counts a finding and merges it with the one before if they touch.
func (l *lane) say(v Verdict, why Reason, from, to streamdown.Ordinal, lsn streamdown.LSN, at streamdown.Offset, batches, records int64) {
	if l.late && (v == Identical || v == Rewritten) {
		v = Late
	}
	l.sums.add(v, why, batches, records)
	x := Range{
		Verdict: v, Reason: why, Topic: l.tp.Topic, Partition: l.tp.Partition, From: from, To: to, LSN: lsn, Offset: at, Batches: batches, Records: records,
	}
	if v == Identical || v == Pending {
		return
	}
	o := &l.open[v]
	if o.Records > 0 && o.Reason == why && o.To == from && from >= 0 {
		o.To = to
		o.Batches += batches
		o.Records += records
		return
	}
	l.flush(v)
	if x.LSN == 0 && from >= 0 && v != Foreign {
		if i := l.row(from); i < len(l.rows) && l.rows[i].ordinal <= from {
			x.LSN = l.rows[i].lsn
		}
	}
	*o = x
}

func (l *lane) flush(v Verdict) {
	if o := &l.open[v]; o.Records > 0 || o.Batches > 0 {
		if l.run.cfg.Found != nil {
			l.run.cfg.Found(*o)
		}
		l.run.rep.add(*o)
		*o = Range{}
	}
}
