package ingest

import (
	"math"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
)

// window is the number of batches that a retry is recognized in, as in Kafka (ProducerStateEntry.NUM_BATCHES_TO_RETAIN).
const window = 5

// sent is one batch of an idempotent producer.
type sent struct {
	first, last int32 // sequences
	crc         uint32
	count       int32
	ordinal     streamdown.Ordinal
	durable     bool
}

// row is what one partition knows of one idempotent producer: its epoch and its last batches, oldest first. The
// durable ones are at most window; those behind them are pending.
type row struct {
	epoch   int16
	arrival int64 // of the last batch, unix milliseconds
	batches []sent
}

type verdict uint8

const (
	admit verdict = iota
	duplicate
	outOfOrder
	staleEpoch
)

// judge decides what a batch is (rule B2): a repeat of one of the last batches, the next one, or neither. A producer
// that the partition does not know may begin anywhere, as in Kafka. Pure.
func (r *row) judge(h *batch.Header) (verdict, *sent) {
	if r == nil || len(r.batches) == 0 {
		return admit, nil
	}
	last := &r.batches[len(r.batches)-1]
	switch {
	case h.ProducerEpoch < r.epoch:
		return staleEpoch, nil
	case h.ProducerEpoch > r.epoch:
		if h.BaseSequence != 0 {
			return outOfOrder, nil
		}
		return admit, nil
	}
	for i := range r.batches {
		if s := &r.batches[i]; s.first == h.BaseSequence && s.last == h.LastSequence() && s.crc == h.CRC {
			return duplicate, s
		}
	}
	if h.BaseSequence == next(last.last) {
		return admit, nil
	}
	return outOfOrder, nil
}

// next is the sequence after seq; sequences wrap from 2^31 - 1 to 0.
func next(seq int32) int32 { return int32((uint32(seq) + 1) & math.MaxInt32) } //nolint:gosec // masked

// add notes a batch that was judged admit. A new epoch forgets the batches of the old one that are durable; pending
// ones cannot be repeated under the new epoch, but the log still has to confirm them.
func (r *row) add(h *batch.Header, s sent, arrival int64) {
	if h.ProducerEpoch != r.epoch {
		r.batches = nil
	}
	r.epoch, r.arrival = h.ProducerEpoch, arrival
	r.batches = append(r.batches, s)
	r.trim()
}

// trim keeps the last window batches and all that are pending.
func (r *row) trim() {
	drop := 0
	for drop < len(r.batches)-window && r.batches[drop].durable {
		drop++
	}
	if drop > 0 {
		r.batches = append(r.batches[:0], r.batches[drop:]...)
	}
}

// settle marks the batch with that ordinal as durable.
func (r *row) settle(o streamdown.Ordinal) {
	for i := range r.batches {
		if r.batches[i].ordinal == o {
			r.batches[i].durable = true
		}
	}
	r.trim()
}
