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
	epoch       int16
	first, last int32 // sequences
	crc         uint32
	count       int32
	ordinal     streamdown.Ordinal
	durable     bool
}

// row is what one partition knows of one idempotent producer: its last batches, oldest first. The durable ones are at
// most window, all of one epoch; those behind them are pending. A pending batch displaces no durable one, whether by
// number or by a higher epoch: if a crash takes what is pending, the row must still say where the producer stood.
type row struct {
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
	case h.ProducerEpoch < last.epoch:
		return staleEpoch, nil
	case h.ProducerEpoch > last.epoch:
		if h.BaseSequence != 0 {
			return outOfOrder, nil
		}
		return admit, nil
	}
	for i := range r.batches {
		if s := &r.batches[i]; s.epoch == h.ProducerEpoch && s.first == h.BaseSequence && s.last == h.LastSequence() && s.crc == h.CRC {
			return duplicate, s
		}
	}
	if h.BaseSequence == next(last.last) {
		return admit, nil
	}
	return outOfOrder, nil
}

// next is the sequence after seq; sequences wrap from 2^31 - 1 to 0.
func next(seq int32) int32 { return int32((uint32(seq) + 1) & math.MaxInt32) }

// add notes a batch that was judged admit.
func (r *row) add(s sent, arrival int64) {
	r.arrival = arrival
	r.batches = append(r.batches, s)
	r.trim()
}

// durable is the number of batches that are; they come first.
func (r *row) durable() int {
	n := 0
	for n < len(r.batches) && r.batches[n].durable {
		n++
	}
	return n
}

// trim keeps the last window durable batches of the newest durable epoch, and all that are pending.
func (r *row) trim() {
	durable := r.durable()
	drop := max(0, durable-window)
	for drop < durable && r.batches[drop].epoch != r.batches[durable-1].epoch {
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
