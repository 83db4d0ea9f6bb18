package broker

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
)

// Compact removes what later records with the same keys replace, as the log cleaner does, but by whole batches: a batch
// goes when none of its records is the last of its key, unless it is the last of its producer or of the log. Nothing that
// is not committed is looked at, and producers stay known.
func (c *Cluster) Compact(tp streamdown.TopicPartition) (gone int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.atLocked(tp)
	l := p.at(p.now.leader)
	if l == nil {
		return 0
	}
	committed := l.committed()
	last, lastOf := map[string]int{}, map[int64]int{}
	for i := range committed {
		lastOf[committed[i].header.ProducerID] = i
		for rec, err := range batch.Records(committed[i].raw) {
			if err == nil {
				last[string(rec.Key)] = i
			}
		}
	}
	needed := map[int]bool{len(committed) - 1: true}
	for _, i := range last {
		needed[i] = true
	}
	for _, i := range lastOf {
		needed[i] = true
	}
	p.rewriteLocked(func(i int, e entry) []entry {
		if i < len(committed) && !needed[i] {
			gone++
			return nil
		}
		return []entry{e}
	})
	return gone
}

// Recut writes each committed batch of several records as two, under the same offsets, sequences and producer: what
// brokers do that convert, and other systems that speak Kafka's protocol. Each copy of the records stays as it is.
func (c *Cluster) Recut(tp streamdown.TopicPartition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.atLocked(tp)
	l := p.at(p.now.leader)
	if l == nil {
		return
	}
	n := len(l.committed())
	p.rewriteLocked(func(i int, e entry) []entry {
		if i >= n || e.header.Count < 2 || int64(e.header.Count) != e.end-e.base {
			return []entry{e}
		}
		half := e.header.Count / 2
		return []entry{e.part(0, half), e.part(half, e.header.Count)}
	})
}

// part makes a batch of its own of records from to end.
func (e *entry) part(from, end int32) entry {
	var b batch.Builder
	i := int32(0)
	for rec, err := range batch.Records(e.raw) {
		if err == nil && i >= from && i < end {
			b.Append(rec.Timestamp, rec.Key, rec.Value, rec.Headers...)
		}
		i++
	}
	seq := e.header.BaseSequence
	if seq >= 0 {
		seq = int32((uint32(seq) + uint32(from)) & (1<<31 - 1))
	}
	raw, err := b.Build(e.header.Codec(), batch.Stamp{ProducerID: e.header.ProducerID, Epoch: e.header.ProducerEpoch, BaseSequence: seq})
	if err != nil {
		panic(err) // there are records, and they were a batch before
	}
	raw = append([]byte(nil), raw...)
	base := e.base + int64(from)
	binary.BigEndian.PutUint64(raw, uint64(base))
	binary.BigEndian.PutUint32(raw[12:], uint32(e.header.LeaderEpoch))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], castagnoli))
	h, _ := batch.ParseHeader(raw)
	return entry{base: base, end: base + int64(end-from), header: h, raw: raw}
}

// committed is the log up to the high watermark.
func (r *replica) committed() []entry {
	n := 0
	for n < len(r.log) && r.log[n].end <= r.hw {
		n++
	}
	return r.log[:n]
}

// rewriteLocked puts others in place of the leader's batches, at all replicas; those that lag are brought up by it.
func (p *partition) rewriteLocked(f func(i int, e entry) []entry) {
	l := p.at(p.now.leader)
	var log []entry
	for i := range l.log {
		log = append(log, f(i, l.log[i])...)
	}
	for _, r := range p.replicas {
		n := 0
		for n < len(log) && log[n].end <= r.end {
			n++
		}
		r.log = log[:n:n]
	}
	p.history = nil
	p.keepLocked(l)
}
