package check

import (
	"slices"
	"sync"

	"github.com/streamdown/streamdown"
)

// Config says what a run must show to count. The zero value asks for one acknowledged record.
type Config struct {
	MinAcked  uint64  // fewer acknowledged records make the run void; 0 means 1
	MinShare  float64 // acknowledged of sent, 0 to 1; less makes the run void
	NeedFault bool    // the run is void unless FaultActive was called
}

// Checker collects what was promised and what was found. All methods may be called concurrently, but calls for one
// stream's Sent, and calls of Seen for one partition, must come in their order.
type Checker struct {
	config Config

	mu         sync.Mutex // guards the following
	streams    map[Stream]*series
	partitions map[streamdown.TopicPartition]*partition
	pool       []*block // folded blocks, for reuse
	tally      tally
	worst      [numVerdicts]worst
	fault      bool
	misuse     uint64 // calls that contradict their contract: the harness is wrong and the run is void
}

// partition is what was read of one topic-partition.
type partition struct {
	streamdown.TopicPartition
	exact uint64 // TargetOf
	topic uint64 // TargetTopic
	next  streamdown.Offset
}

// tally counts what is not kept by stream.
type tally struct {
	read, reread, distance uint64
	verdicts               [numVerdicts]uint64
}

// New returns a Checker that has seen nothing.
func New(config Config) *Checker {
	return &Checker{
		config:     config,
		streams:    make(map[Stream]*series),
		partitions: make(map[streamdown.TopicPartition]*partition),
	}
}

// Expect sets what the stream is held to; streams that were never named here are held to ExactlyOnce. It must come
// before the stream's first record is seen.
func (c *Checker) Expect(stream Stream, promise Promise) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seriesLocked(stream).promise = promise
}

// Sent says that the records of the stream up to and including seq are, or are about to be, given to the client. It
// must come before the send: a record that is found without it is a phantom.
func (c *Checker) Sent(stream Stream, seq uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.seriesLocked(stream)
	s.sent = max(s.sent, seq+1)
}

// Acked says that the client was told of success. An ack after Failed stands: it is a promise.
func (c *Checker) Acked(stream Stream, seq uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[stream]
	if s == nil || seq >= s.sent {
		c.misuse++
		return
	}
	delete(s.failed, seq)
	s.setAcked(seq, &c.pool)
}

// Failed says that the record is definitely not stored and never will be: refused, not merely unanswered. Records with
// an unknown outcome are reported by neither Acked nor Failed. After Acked it changes nothing.
func (c *Checker) Failed(stream Stream, seq uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[stream]
	if s == nil || seq >= s.sent {
		c.misuse++
		return
	}
	acked, seen := s.has(seq)
	if acked {
		return
	}
	if _, ok := s.failed[seq]; ok {
		return
	}
	if s.failed == nil {
		s.failed = make(map[uint64]struct{})
	}
	s.failed[seq] = struct{}{}
	if seen {
		s.clearSeen(seq)
		c.noteLocked(Phantom, example(stream, seq, nil, streamdown.NoOffset, "failed after it was read"))
	}
}

// FaultActive says that the fault of this run was observed to have an effect.
func (c *Checker) FaultActive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fault = true
}

// Seen takes one value found in a partition, in the order of offsets. An offset at or below an earlier one of the
// partition was read before (a consumer that lost its place): it is counted and not judged again. The value is not
// kept.
func (c *Checker) Seen(tp streamdown.TopicPartition, offset streamdown.Offset, value []byte) {
	r, err := ParseRecord(value)
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.partitionLocked(tp)
	if offset < p.next {
		c.tally.reread++
		return
	}
	p.next = offset + 1
	c.tally.read++
	if err != nil {
		c.noteLocked(Corrupt, Example{Place: tp, Offset: offset, Note: err.Error()})
		return
	}
	c.judgeLocked(p, offset, r)
}

// judgeLocked gives one whole record its verdict. A record is judged by the first rule that applies: it must exist,
// be where it belongs, be there for the first time, and be there in its turn.
func (c *Checker) judgeLocked(p *partition, offset streamdown.Offset, r Record) {
	id := r.Stream()
	s := c.streams[id]
	if s == nil || r.Seq >= s.sent {
		c.noteLocked(Phantom, example(id, r.Seq, p, offset, "never sent"))
		return
	}
	if _, ok := s.failed[r.Seq]; ok {
		c.noteLocked(Phantom, example(id, r.Seq, p, offset, "its send had failed"))
		return
	}
	if r.Target != 0 && r.Target != p.exact && r.Target != p.topic {
		// It does not count as seen: where it belongs, it is missing.
		c.noteLocked(Misrouted, example(id, r.Seq, p, offset, "belongs elsewhere"))
		return
	}
	if !s.setSeen(r.Seq, &c.pool) {
		e := example(id, r.Seq, p, offset, "")
		e.Distance = s.high - r.Seq
		if s.promise == ExactlyOnce {
			c.noteLocked(Duplicate, e)
		} else {
			c.noteLocked(ClientRetry, e)
		}
		return
	}
	if s.seen == 1 {
		s.low, s.high = r.Seq, r.Seq
	}
	s.low, s.high = min(s.low, r.Seq), max(s.high, r.Seq)
	if distance := s.late(p, r.Seq); distance > 0 {
		e := example(id, r.Seq, p, offset, "")
		e.Distance = distance
		if s.promise == Unordered {
			c.noteLocked(ClientReorder, e)
			return
		}
		c.tally.distance = max(c.tally.distance, distance)
		c.noteLocked(Reordered, e)
	}
}

func (c *Checker) noteLocked(v Verdict, e Example) {
	c.tally.verdicts[v]++
	c.worst[v].add(e)
}

func (c *Checker) seriesLocked(id Stream) *series {
	s := c.streams[id]
	if s == nil {
		s = &series{id: id}
		c.streams[id] = s
	}
	return s
}

func (c *Checker) partitionLocked(tp streamdown.TopicPartition) *partition {
	p := c.partitions[tp]
	if p == nil {
		p = &partition{TopicPartition: tp, exact: TargetOf(tp), topic: TargetTopic(tp.Topic)}
		c.partitions[tp] = p
	}
	return p
}

// Unseen returns how many acknowledged records were not seen yet. A harness that waits for a drain waits for 0.
func (c *Checker) Unseen() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	var n uint64
	for _, s := range c.streams {
		n += s.acked - s.both
	}
	return n
}

// Now reports on the run so far: what is acknowledged and not seen is unseen, not lost. It never counts as checked.
func (c *Checker) Now() Report { return c.report(false) }

// Final reports on the run as finished: the consumer has read to the end of every partition, after everything that was
// held had its time to drain. What is acknowledged and not seen is lost. The Checker is not changed.
func (c *Checker) Final() Report { return c.report(true) }

func (c *Checker) report(final bool) Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := Report{
		Final: final, Streams: uint64(len(c.streams)), Partitions: uint64(len(c.partitions)),
		Read: c.tally.read, Reread: c.tally.reread, MaxDistance: c.tally.distance,
		Phantom: c.tally.verdicts[Phantom], Duplicate: c.tally.verdicts[Duplicate],
		ClientRetry: c.tally.verdicts[ClientRetry], ClientReorder: c.tally.verdicts[ClientReorder],
		Reordered: c.tally.verdicts[Reordered], Misrouted: c.tally.verdicts[Misrouted],
		Corrupt:  c.tally.verdicts[Corrupt],
		Examples: make(map[Verdict][]Example),
	}
	for _, s := range c.streams {
		r.Sent += s.sent
		r.Acked += s.acked
		r.Failed += uint64(len(s.failed))
		r.Delivered += s.both
		r.Recovered += s.seen - s.both
	}
	r.Unknown = r.Sent - r.Acked - r.Failed
	missing := c.missingLocked(&r)
	if final {
		r.Lost = r.LostPrefix + r.LostMiddle + r.LostPostfix
	} else {
		r.Unseen, r.LostPrefix, r.LostMiddle, r.LostPostfix = r.Acked-r.Delivered, 0, 0, 0
	}
	for v := range c.worst {
		if list := c.worst[v].sorted(); len(list) > 0 {
			r.Examples[Verdict(v)] = list
		}
	}
	if len(missing) > 0 {
		if final {
			r.Examples[Lost] = missing
		} else {
			r.Examples[Unseen] = missing
		}
	}
	r.Void = c.voidLocked(&r)
	return r
}

// missingLocked counts what is acknowledged and not seen by its place in its stream, and returns the first of them.
func (c *Checker) missingLocked(r *Report) []Example {
	var short []*series
	for _, s := range c.streams {
		if s.acked > s.both {
			short = append(short, s)
		}
	}
	slices.SortFunc(short, func(a, b *series) int { return a.id.compare(b.id) })
	var list []Example
	var numbers []uint64
	for _, s := range short {
		numbers = numbers[:0]
		for no := range s.blocks {
			numbers = append(numbers, no)
		}
		slices.Sort(numbers)
		s.missing(numbers, func(seq uint64) bool {
			note := "middle"
			switch {
			case s.seen == 0 || seq > s.high:
				note = "postfix"
				r.LostPostfix++
			case seq < s.low:
				note = "prefix"
				r.LostPrefix++
			default:
				r.LostMiddle++
			}
			if len(list) < maxExamples {
				var p *partition
				if len(s.places) == 1 {
					p = s.places[0].part
				}
				list = append(list, example(s.id, seq, p, streamdown.NoOffset, note))
			}
			return true
		})
	}
	return list
}
