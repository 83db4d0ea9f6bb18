package forward

import (
	"bytes"
	"sort"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/ingest"
	"github.com/streamdown/streamdown/sink"
	"github.com/streamdown/streamdown/wal"
)

// oracle knows the truth: what producers made, what the log holds durably, what the brokers hold. It looks on at every
// step and judges by contents, not by what the cores believe.
type oracle struct {
	s        *sim
	contents map[string]*content // by payload
	wire     map[wireKey]meaning // what every sequence ever sent stood for
	lanes    []laneTruth         // by partition, as simPartitions
	resent   map[int64]bool      // producer ids that batches were sent again under
}

type wireKey struct {
	tp    int
	pid   int64
	epoch int16
	seq   int32
}

// meaning is what a sequence stands for: a batch of the log, or one that is foreign to it, because the log was rolled back
// since or another process sent it that has a copy.
type meaning struct {
	payload string
	index   int // of the batch in the log, when it was first sent
	foreign bool
}

// laneTruth is one partition of our log: what a broker has to hold in the end, in this order, once.
type laneTruth struct {
	tp        streamdown.TopicPartition
	batches   []logged
	confirmed int         // so many batches were confirmed to the book
	last      map[int]int // by client: index of its newest batch in the log
	below     int         // so many batches were found to be below the watermark
	rowFrom   streamdown.Ordinal
}

type logged struct {
	of      *content
	lsn     streamdown.LSN
	ordinal streamdown.Ordinal
	count   int32
	damaged bool
	away    away
	base    streamdown.Offset // at the broker, NoOffset while it is not there
}

func (b *logged) end() streamdown.Ordinal { return b.ordinal + streamdown.Ordinal(b.count) }

func newOracle(s *sim) *oracle {
	o := &oracle{s: s, contents: map[string]*content{}, wire: map[wireKey]meaning{}, resent: map[int64]bool{}, lanes: make([]laneTruth, s.knobs.partitions)}
	for i := range o.lanes {
		o.lanes[i].tp, o.lanes[i].last = simPartitions[i], map[int]int{}
	}
	return o
}

func place(tp streamdown.TopicPartition) int {
	for i, p := range simPartitions {
		if p == tp {
			return i
		}
	}
	return -1
}

func (o *oracle) made(m *content) {
	o.contents[string(m.body[batch.HeaderSize:])] = m
	o.s.stats.batches++
	o.s.stats.records += int(m.records)
}

// durable takes a batch that became durable in the log: dense ordinals (A3), no repeat and no disorder of an idempotent
// producer (B2, G5), nothing that was refused (G2).
func (o *oracle) durable(tp streamdown.TopicPartition, e *wal.Entry) {
	l := &o.lanes[place(tp)]
	m := o.contents[string(e.Body[batch.HeaderSize:])]
	if m == nil {
		o.s.violate("G6", "the log holds a batch that nobody made")
		return
	}
	o.s.tracef("log: %s ordinal %d is %s, durable at %d", tp, e.Ordinal, m.name, e.LSN)
	want := streamdown.Ordinal(0)
	if n := len(l.batches); n > 0 {
		want = l.batches[n-1].end()
	}
	if e.Ordinal != want {
		o.s.violate("G7", "%s: %s got ordinal %d, the next one is %d", tp, m.name, e.Ordinal, want)
	}
	if m.c.idempotent {
		if last, ok := l.last[m.c.id]; ok && last >= m.index {
			o.s.violate("B2", "%s: %s is in the log behind batch %d of its producer", tp, m.name, last)
		}
		l.last[m.c.id] = m.index
	}
	m.stored++
	l.batches = append(l.batches, logged{of: m, lsn: e.LSN, ordinal: e.Ordinal, count: e.Count, base: streamdown.NoOffset})
	o.refusals(m)
}

// answered judges an answer to a producer when the gateway gives it: yes only for what is durable (G1).
func (o *oracle) answered(m *content, r ingest.Result) {
	o.s.tracef("ingest: %s answered code %d base %d close %v", m.name, r.Code, r.Base, r.Close)
	switch {
	case r.Close:
	case r.Code == codeUnknown: // neither yes nor no
		if !o.inQuarantine(m) {
			o.s.violate("ack", "%s: its producer is told that it is in quarantine, and it is not", m.name)
		}
	case r.Code == 0:
		m.oks++
		if need, have := m.oks, m.stored+m.lost; have < need && !(m.c.idempotent && have > 0) {
			o.s.violate("G1", "%s was acked %d times and is durable %d times", m.name, m.oks, m.stored)
		}
	default:
		m.refused++
		o.s.stats.refusals++
		o.refusals(m)
	}
}

// inQuarantine reports whether the batch is, or one of its repeats.
func (o *oracle) inQuarantine(m *content) bool {
	l := &o.lanes[place(m.c.tp)]
	for i := range l.batches {
		if l.batches[i].of == m && l.batches[i].away.is {
			return true
		}
	}
	return false
}

// refusals: what was refused is not in the log (G2). An attempt without an answer may be.
func (o *oracle) refusals(m *content) {
	if m.stored > m.attempts-m.refused {
		o.s.violate("G2", "%s: %d attempts, %d refused, and it is in the log %d times", m.name, m.attempts, m.refused, m.stored)
	}
}

// rankOf is the priority class of a topic: the simulated streams have one each.
func rankOf(topic string) int { return len(topic) % 2 }

// sent judges what goes on the wire: one partition at most once in a request and one class (C2), and one meaning per sequence (G7).
func (o *oracle) sent(parcels []sink.Parcel) {
	seen := 0
	for i := range parcels {
		p := &parcels[i]
		tp := place(p.TopicPartition)
		if rankOf(p.TopicPartition.Topic) != rankOf(parcels[0].TopicPartition.Topic) {
			o.s.violate("C2", "%s and %s in one request", parcels[0].TopicPartition, p.TopicPartition)
		}
		if seen&(1<<tp) != 0 {
			o.s.violate("G5", "%s twice in one request", p.TopicPartition)
		}
		seen |= 1 << tp
		h, err := batch.ParseHeader(p.Header[:])
		if err != nil {
			o.s.violate("G7", "%v", err)
			return
		}
		key := wireKey{tp, h.ProducerID, h.ProducerEpoch, h.BaseSequence}
		if was, ok := o.wire[key]; !ok {
			o.wire[key] = meaning{payload: string(p.Payload), index: o.lanes[tp].at(o.ordinal(p.TopicPartition, h.BaseSequence))}
		} else if was.payload != string(p.Payload) {
			o.s.violate("G7", "%s: producer %d epoch %d sequence %d stood for other bytes before", p.TopicPartition, h.ProducerID, h.ProducerEpoch, h.BaseSequence)
		}
	}
}

// appended takes a batch of ours that a leader appended: it must be the next one of the log (G5, G6).
func (o *oracle) appended(p *partition, b *kbatch) {
	l := &o.lanes[place(p.tp)]
	if o.wire[wireKey{place(p.tp), b.pid, b.epoch, b.seq}].foreign {
		b.index = foreignIndex
		o.s.stats.strangers++
		o.s.tracef("kafka: %s offset %d is foreign (producer %d/%d sequence %d)", p.tp, b.base, b.pid, b.epoch, b.seq)
		return
	}
	if o.retried(p, b) {
		return
	}
	i := p.ours
	for i < len(l.batches) && (l.batches[i].damaged || l.batches[i].away.is) && (!bytes.Equal(l.payload(i), b.payload) || l.repeated(i)) {
		i++
	}
	if i < len(l.batches) && bytes.Equal(l.payload(i), b.payload) {
		o.single(p, i, b.base)
		b.index, p.ours = i, i+1
		l.batches[i].base = b.base
		o.s.tracef("kafka: %s offset %d is %s, ordinal %d (producer %d/%d sequence %d)", p.tp, b.base, l.batches[i].of.name, l.batches[i].ordinal, b.pid, b.epoch, b.seq)
		return
	}
	name := "something unknown"
	if m := o.contents[string(b.payload)]; m != nil {
		name = m.name
	}
	for j := range l.batches {
		if bytes.Equal(l.payload(j), b.payload) && j < i {
			o.s.violate("G6", "%s: %s, ordinal %d, was appended again at offset %d", p.tp, name, l.batches[j].ordinal, b.base)
			return
		} else if bytes.Equal(l.payload(j), b.payload) {
			o.s.violate("G5", "%s: %s, ordinal %d, was appended at offset %d before ordinal %d", p.tp, name, l.batches[j].ordinal, b.base, l.batches[i].ordinal)
			return
		}
	}
	o.s.violate("G1", "%s: %s was appended at offset %d and is not durable in the log", p.tp, name, b.base)
}

// repeated reports whether the next batch that may be sent is the same as one that may not: its client sent it twice.
func (l *laneTruth) repeated(i int) bool {
	next := i + 1
	for next < len(l.batches) && (l.batches[next].damaged || l.batches[next].away.is) {
		next++
	}
	return next < len(l.batches) && bytes.Equal(l.payload(i), l.payload(next))
}

func (l *laneTruth) payload(i int) []byte { return l.batches[i].of.body[batch.HeaderSize:] }

// at returns the index of the batch that begins with an ordinal or behind it.
func (l *laneTruth) at(ordinal streamdown.Ordinal) int {
	return sort.Search(len(l.batches), func(i int) bool { return l.batches[i].ordinal >= ordinal })
}

// ordinal is what a sequence stands for under the binding that a lane has now.
func (o *oracle) ordinal(tp streamdown.TopicPartition, seq int32) streamdown.Ordinal {
	for _, l := range o.s.gateway.core.order {
		if l.tp == tp {
			return l.bind.Ordinal(seq, l.confirmed)
		}
	}
	return 0
}

// confirmed judges what the book is told: it must be committed at the broker, and the offset must be the true one.
func (o *oracle) confirmed(tp streamdown.TopicPartition, to streamdown.Ordinal, end streamdown.Offset) {
	o.s.tracef("core: %s confirmed to %d, end offset %d", tp, to, end)
	l, committed := &o.lanes[place(tp)], o.s.kafka.partition(tp).committed()
	for l.confirmed < len(l.batches) && l.batches[l.confirmed].end() <= to {
		if b := &l.batches[l.confirmed]; !b.damaged && !b.away.is && l.confirmed >= committed {
			o.s.violate("confirmed", "%s: %s, ordinal %d, was confirmed and is not committed at the broker", tp, b.of.name, b.ordinal)
			return
		}
		l.confirmed++
	}
	i := sort.Search(len(l.batches), func(i int) bool { return l.batches[i].end() >= to })
	if i == len(l.batches) || l.batches[i].end() != to {
		o.s.violate("confirmed", "%s: confirmed to ordinal %d, the log has no batch that ends there", tp, to)
		return
	}
	if b := &l.batches[i]; end != streamdown.NoOffset && b.base+streamdown.Offset(b.count) != end {
		o.s.violate("offset", "%s: ordinal %d ends at offset %d, the core says %d", tp, to-1, b.base+streamdown.Offset(b.count), end)
	}
}

// remote judges the offset that a producer gets with a confirmation that it waited for.
func (o *oracle) remote(tp streamdown.TopicPartition, from streamdown.Ordinal, base streamdown.Offset) {
	l := &o.lanes[place(tp)]
	i := sort.Search(len(l.batches), func(i int) bool { return l.batches[i].ordinal >= from })
	if b := &l.batches[i]; b.base != base && !b.damaged {
		o.s.violate("offset", "%s: %s is at offset %d, its producer is told %d", tp, b.of.name, b.base, base)
	}
}

// told judges a producer's answer that says: it is at the target.
func (o *oracle) told(tp streamdown.TopicPartition, from streamdown.Ordinal) {
	l := &o.lanes[place(tp)]
	i := sort.Search(len(l.batches), func(i int) bool { return l.batches[i].ordinal >= from })
	if b := &l.batches[i]; b.away.is && !b.away.late {
		o.s.violate("ack", "%s: the producer of %s is told that it is at the target, and it is in quarantine", tp, b.of.name)
	}
}

// damaged notes that a batch of the log can not be read any more: it may come to the broker or not (G9).
func (o *oracle) damaged(tp streamdown.TopicPartition, e *wal.Entry) {
	l := &o.lanes[place(tp)]
	i := sort.Search(len(l.batches), func(i int) bool { return l.batches[i].ordinal >= e.Ordinal })
	l.batches[i].damaged = true
	o.s.tracef("log: %s is damaged", l.batches[i].of.name)
}

// watermark judges what the log would be allowed to release (G3).
func (o *oracle) watermark(g *gateway, mark streamdown.LSN) {
	for i := range o.lanes {
		l := &o.lanes[i]
		for l.below < len(l.batches) && l.batches[l.below].lsn < mark {
			b := &l.batches[l.below]
			if l.below >= l.confirmed && !b.damaged && !b.away.is {
				o.s.violate("G3", "%s: the watermark is %d, and %s at %d is not confirmed", l.tp, mark, b.of.name, b.lsn)
				return
			}
			l.below++
		}
	}
}

// bounded judges what the core counts of its own memory: a count that drifts ends its bounds one day (G12).
func (o *oracle) bounded(c *Core) {
	bytes, lent := 0, 0
	for i, r := range c.readers {
		full, lanes := 0, 0
		for _, l := range c.order {
			if l.reader != Reader(i) {
				continue
			}
			lanes++
			bytes += l.bytes
			for j := range l.queue {
				lent += cap(l.queue[j].body)
			}
			if l.full {
				full++
			}
		}
		if r != nil && (r.full != full || i > 0 && r.lanes != lanes) {
			o.s.violate("G12", "reader %d counts %d lanes and %d full ones, there are %d and %d", i, r.lanes, r.full, lanes, full)
		}
		if r == nil && lanes > 0 {
			o.s.violate("G12", "%d lanes belong to reader %d, which is none", lanes, i)
		}
	}
	if bytes != c.bytes {
		o.s.violate("G12", "%d bytes are counted as read ahead, the lanes hold %d", c.bytes, bytes)
	}
	if lent != c.bodies.lent {
		o.s.violate("G12", "%d bytes of buffers are lent, the lanes hold %d", c.bodies.lent, lent)
	}
}

// final judges the state of rest: all that was acked is at the broker, exactly once; nothing else of ours is.
func (o *oracle) final() {
	for i := range o.lanes {
		l := &o.lanes[i]
		p := o.s.kafka.partition(l.tp)
		for j := p.committed(); j < len(l.batches); j++ {
			if !l.batches[j].damaged && !l.batches[j].away.is {
				o.s.violate("G6", "%s: %s, ordinal %d, never came to the broker", l.tp, l.batches[j].of.name, l.batches[j].ordinal)
				return
			}
		}
		if id, ok := o.s.log.ids[l.tp]; ok {
			o.rest(l, p, o.s.gateway.book, id)
		}
		for j := range l.batches {
			m := l.batches[j].of
			o.refusals(m)
			if m.stored > 1 && m.c.idempotent {
				o.s.violate("B2", "%s is in the log %d times", m.name, m.stored)
			}
		}
	}
	o.s.endLife()
}
