package broker

import (
	"fmt"
	"hash/crc64"
	"slices"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
)

// truth is what really happened, for who judges.
type truth struct {
	sequences map[lane]map[mark]uint64
	broken    []string
	stats     Stats
}

// lane is one producer id in one life of a partition.
type lane struct {
	topic     streamdown.ID
	partition int32
	pid       int64
}

// mark is one sequence of a lane.
type mark struct {
	epoch    int16
	sequence int32
}

// Stats counts what the cluster did.
type Stats struct {
	Requests   int // of Produce
	Offered    int // batches of idempotent producers that were offered, repeats included
	Stored     int // batches appended by a leader
	Duplicates int // answered OK because the batch was there already
	Refused    map[int16]int
	Elections  int
	Kills      int
	Lost       int // committed batches that a later leader did not have
	Expired    int // producers that a leader forgot for their age
	Late       int // requests that were taken after their connection had ended
}

// offered notes what a batch says under each of its sequences: another record under the same one breaks G7, whatever
// the answer to it is.
func (t *truth) offered(p *partition, h *batch.Header, raw []byte) {
	t.stats.Offered++
	l := lane{p.topic.id, p.number, h.ProducerID}
	m := t.sequences[l]
	if m == nil {
		m = map[mark]uint64{}
		t.sequences[l] = m
	}
	s := h.BaseSequence
	for rec, err := range batch.Records(raw) {
		if err != nil {
			t.broken = append(t.broken, fmt.Sprintf("%s: producer %d offers records that cannot be read: %v", p.tp(), h.ProducerID, err))
			return
		}
		k, d := mark{h.ProducerEpoch, s}, digest(&rec)
		if was, ok := m[k]; ok && was != d && len(t.broken) < 100 {
			t.broken = append(t.broken, fmt.Sprintf("G7: %s: producer %d, epoch %d, sequence %d comes with another record: %.60q", p.tp(), h.ProducerID, h.ProducerEpoch, s, rec.Value))
		}
		m[k] = d
		s = next(s)
	}
}

var polynomial = crc64.MakeTable(crc64.ECMA)

// digest is what makes a record this one and no other.
func digest(r *batch.Record) uint64 {
	d := crc64.Update(0, polynomial, fmt.Appendf(nil, "%d %t %d %d", r.Timestamp, r.Key == nil, len(r.Key), len(r.Headers)))
	d = crc64.Update(d, polynomial, r.Key)
	d = crc64.Update(d, polynomial, r.Value)
	for _, h := range r.Headers {
		d = crc64.Update(d, polynomial, fmt.Appendf(nil, "%q %q", h.Key, h.Value))
	}
	return d
}

func (t *truth) stored(*partition, *entry) { t.stats.Stored++ }

// keepLocked adds to the history what a leader committed that leads indeed.
func (p *partition) keepLocked(l *replica) {
	if l.node != p.now.leader || p.views[l.node].epoch != p.now.epoch {
		return
	}
	end := l.start
	if n := len(p.history); n > 0 {
		end = max(end, p.history[n-1].end)
	}
	for _, e := range l.log {
		if e.base >= end && e.end <= l.hw {
			p.history = append(p.history, e)
		}
	}
}

// lossesLocked compares the history with the log of who leads now.
func (p *partition) lossesLocked() {
	l := p.at(p.now.leader)
	if l == nil {
		return
	}
	keep := len(p.history)
	for keep > 0 && p.history[keep-1].end > l.start {
		e := &p.history[keep-1]
		if i, ok := slices.BinarySearchFunc(l.log, e.base, func(a entry, base int64) int { return int(a.base - base) }); ok && l.log[i].header.CRC == e.header.CRC {
			break
		}
		keep--
	}
	p.c.truth.stats.Lost += len(p.history) - keep
	p.losses = append(p.losses, p.history[keep:]...)
	p.history = p.history[:keep:keep]
}

// Broken lists the promises that were seen broken at the broker: sequences that came with two contents (G7).
func (c *Cluster) Broken() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.truth.broken)
}

// Stats returns what the cluster did so far.
func (c *Cluster) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.truth.stats
	st.Refused = make(map[int16]int, len(st.Refused))
	for code, n := range c.truth.stats.Refused {
		st.Refused[code] = n
	}
	return st
}

// Stored is one batch that a partition holds, or held.
type Stored struct {
	Base, End streamdown.Offset
	Raw       []byte // shared: read only
}

// Log returns the committed batches of a partition as its leader has them, in order.
func (c *Cluster) Log(tp streamdown.TopicPartition) []Stored {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.atLocked(tp)
	r := p.at(p.now.leader)
	if r == nil {
		return nil
	}
	n := 0
	for n < len(r.log) && r.log[n].end <= r.hw {
		n++
	}
	return show(r.log[:n])
}

// Losses returns the batches that were committed and that a later leader did not have.
func (c *Cluster) Losses(tp streamdown.TopicPartition) []Stored {
	c.mu.Lock()
	defer c.mu.Unlock()
	return show(c.atLocked(tp).losses)
}

func show(log []entry) (list []Stored) {
	for _, e := range log {
		list = append(list, Stored{streamdown.Offset(e.base), streamdown.Offset(e.end), e.raw})
	}
	return list
}
