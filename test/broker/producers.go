package broker

import (
	"time"

	"github.com/streamdown/streamdown/batch"
)

// retained is ProducerStateEntry.NUM_BATCHES_TO_RETAIN.
const retained = 5

// producer is what a replica knows of a producer id (ProducerStateEntry): its epoch and its last batches, oldest first.
type producer struct {
	epoch  int16
	last   []span
	newest int64 // timestamp of the last batch, ms: it decides when the producer expires
}

// span is one batch in a producer's window.
type span struct {
	first, final int32 // sequences
	base, end    int64 // offsets
}

// next is the sequence that follows s (DefaultRecordBatch.incrementSequence).
func next(s int32) int32 { return int32((uint32(s) + 1) & (1<<31 - 1)) }

// admit is ProducerAppendInfo.checkProducerEpoch and checkSequence, behind the search for a duplicate: it returns the
// batch that this one repeats, or why it is refused, or neither.
func (r *replica) admit(h *batch.Header) (twin *span, code int16) {
	p := r.producers[h.ProducerID]
	if p == nil {
		return nil, 0 // without state any epoch and any sequence will do
	}
	if p.epoch == h.ProducerEpoch {
		for i := range p.last {
			if p.last[i].first == h.BaseSequence && p.last[i].final == h.LastSequence() {
				return &p.last[i], 0
			}
		}
	}
	switch {
	case h.ProducerEpoch < p.epoch:
		return nil, codeInvalidProducerEpoch
	case h.ProducerEpoch > p.epoch:
		if h.BaseSequence != 0 {
			return nil, codeOutOfOrder
		}
	case len(p.last) > 0 && h.BaseSequence != next(p.last[len(p.last)-1].final):
		return nil, codeOutOfOrder
	}
	return nil, 0
}

// note takes a batch into its producer's window; followers do so without any check.
func (r *replica) note(e *entry) {
	h := &e.header
	if h.ProducerID < 0 || h.Control() {
		return
	}
	p := r.producers[h.ProducerID]
	if p == nil {
		p = &producer{}
		r.producers[h.ProducerID] = p
	}
	if p.epoch != h.ProducerEpoch {
		p.last = nil
	}
	p.epoch, p.newest = h.ProducerEpoch, h.MaxTimestamp
	p.last = append(p.last, span{h.BaseSequence, h.LastSequence(), e.base, e.end})
	if n := len(p.last); n > retained {
		p.last = p.last[n-retained:]
	}
}

// rebuild makes the window of each producer from the log, as a replica does that was cut or came back.
func (r *replica) rebuild() {
	r.producers = map[int64]*producer{}
	for i := range r.log {
		if e := &r.log[i]; e.base >= r.expired[e.header.ProducerID] {
			r.note(e)
		}
	}
}

// shrink leaves each producer its last batch: that is what a snapshot holds (ProducerStateManager.writeSnapshot).
func (r *replica) shrink() {
	for _, p := range r.producers {
		if n := len(p.last); n > 1 {
			p.last = p.last[n-1:]
		}
	}
}

// expire forgets who is old by the timestamp of its last batch (ProducerStateManager.isProducerExpired).
func (r *replica) expire(now time.Time, after time.Duration) (gone int) {
	for id, p := range r.producers {
		if now.UnixMilli()-p.newest >= after.Milliseconds() {
			delete(r.producers, id)
			r.expired[id] = r.end
			gone++
		}
	}
	return gone
}

// forgetAll forgets every producer, however young.
func (r *replica) forgetAll() {
	for id := range r.producers {
		r.expired[id] = r.end
	}
	r.producers = map[int64]*producer{}
}
