package forward

import (
	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/quarantine"
	"github.com/streamdown/streamdown/sink"
	"github.com/streamdown/streamdown/wal"
)

// away is what the oracle knows of a batch that is in quarantine.
type away struct {
	is, late, given bool
	pid             int64 // that it is sent again under; 0 = none
}

// note reads what an entry says of a batch, and whether the lane goes on behind it.
func noteOf(e *wal.Entry) (q delivery.Quarantined, bound delivery.Lane) {
	book := delivery.New()
	own := *e
	book.Apply(&own)
	return book.Quarantine(e.Lane)[0], book.Lane(e.Lane)
}

// custody takes what became durable about a quarantined batch, and judges it unless the log is only being read again.
func (o *oracle) custody(tp streamdown.TopicPartition, e *wal.Entry, judge bool) {
	q, bound := noteOf(e)
	l, p := &o.lanes[place(tp)], o.s.kafka.partition(tp)
	i := l.at(q.From)
	if i == len(l.batches) || l.batches[i].ordinal != q.From || l.batches[i].end() != q.To {
		o.s.violate("D5", "%s: ordinals %d to %d are in quarantine, which are no batch", tp, q.From, q.To-1)
		return
	}
	b := &l.batches[i]
	if judge && bound.Bound {
		o.aside(l, p, i, &q)
	}
	b.away.is = true
	if q.Again != nil {
		b.away.pid = q.Again.PID
	}
	switch q.Fate {
	case delivery.Late:
		b.away.late = true
		found := false
		for j := range p.log {
			found = found || p.log[j].base == q.Base && (p.log[j].index == i || p.log[j].late == i+1) && p.log[j].end() <= p.hw
		}
		if judge && !found {
			o.s.violate("retry", "%s: %s is said to be at offset %d, and is not committed there", tp, b.of.name, q.Base)
		}
	case delivery.Discarded:
		b.away.given = true
	}
}

// aside judges a batch that goes into quarantine: it was refused for what it is, is not stored, and its bytes are durable.
func (o *oracle) aside(l *laneTruth, p *partition, i int, q *delivery.Quarantined) {
	b := &l.batches[i]
	o.s.stats.quarantined++
	o.s.tracef("log: %s is in quarantine", b.of.name)
	if b.of.spat == 0 {
		o.s.violate("D5", "%s: %s is in quarantine, and no broker refused it for what it is", l.tp, b.of.name)
	}
	for j := range p.log {
		if p.log[j].index == i {
			o.s.violate("D5", "%s: %s is in quarantine, and the broker has it at offset %d", l.tp, b.of.name, p.log[j].base)
		}
	}
	if !o.s.kept(q) {
		o.s.violate("G3", "%s: %s is in quarantine by the log, and its bytes are not durable", l.tp, b.of.name)
	}
	row := 1
	for j := i - 1; j >= 0 && l.batches[j].away.is && l.batches[j].ordinal >= l.rowFrom; j-- {
		row++
	}
	if row >= inARow {
		o.s.violate("D5", "%s: %s is the batch number %d in a row that is in quarantine", l.tp, b.of.name, row)
	}
}

// kept reports whether the bytes of a batch are in the store whatever happens.
func (s *sim) kept(q *delivery.Quarantined) bool {
	_, _, err := quarantine.New(s.disk.Crash(nil), simData).Get(quarantine.Key{Log: q.Log, Lane: q.Lane, From: q.From})
	return err == nil
}

// again takes a parcel that a person sends again.
func (o *oracle) again(q *sink.Parcel) {
	h, err := batch.ParseHeader(q.Header[:])
	if err != nil || h.BaseSequence != 0 || h.ProducerEpoch != 0 {
		o.s.violate("retry", "%s: epoch %d, sequence %d (%v)", q.TopicPartition, h.ProducerEpoch, h.BaseSequence, err)
	}
	o.resent[h.ProducerID] = true
	l := &o.lanes[place(q.TopicPartition)]
	for i := range l.batches {
		if string(l.payload(i)) == string(q.Payload) && l.batches[i].away.is && l.batches[i].away.pid == h.ProducerID {
			return
		}
	}
	o.s.violate("retry", "%s: a batch is sent under producer id %d that was not noted for it", q.TopicPartition, h.ProducerID)
}

// retried takes a batch that a leader appended under an identity of its own, if it is one.
func (o *oracle) retried(p *partition, b *kbatch) bool {
	l := &o.lanes[place(p.tp)]
	for i := range l.batches {
		if l.batches[i].away.pid == b.pid && string(l.payload(i)) == string(b.payload) {
			o.single(p, i, b.base)
			b.index, b.late = -1, i+1
			o.s.tracef("kafka: %s offset %d is %s, late (producer %d)", p.tp, b.base, l.batches[i].of.name, b.pid)
			return true
		}
	}
	if o.resent[b.pid] { // noted in a log that was rolled back since: nobody can know of it
		b.index = -1
		return true
	}
	return false
}

// single judges a copy of a batch that is appended: it must be the only one.
func (o *oracle) single(p *partition, i int, at streamdown.Offset) {
	for j := range p.log {
		if p.log[j].late == i+1 || p.log[j].index == i {
			o.s.violate("G6", "%s: %s was appended at offset %d, and is at %d", p.tp, o.lanes[place(p.tp)].batches[i].of.name, at, p.log[j].base)
		}
	}
}

// rest judges the batches in quarantine when all has come to rest: each is kept, or at the broker once, or was given up.
func (o *oracle) rest(l *laneTruth, p *partition, book *delivery.Book, lane streamdown.LaneID) {
	list := book.Quarantine(lane)
	for i := range l.batches {
		b := &l.batches[i]
		if !b.away.is {
			continue
		}
		copies := 0
		for j := range p.log {
			if p.log[j].late == i+1 || p.log[j].index == i {
				copies++
			}
		}
		known := false
		for k := range list {
			if q := &list[k]; q.From == b.ordinal {
				known = true
				if q.Fate == delivery.Kept && !o.s.kept(q) {
					o.s.violate("G3", "%s: %s is in quarantine, and its bytes are gone", l.tp, b.of.name)
				}
			}
		}
		if !known || copies > 1 || b.away.late && copies != 1 {
			o.s.violate("G3", "%s: %s was in quarantine: known %v, late %v, %d copies", l.tp, b.of.name, known, b.away.late, copies)
		}
	}
}

// recount takes over what the log says after it was rolled back, and gives the files back that were in the copy.
func (o *oracle) recount() {
	for i := range o.lanes {
		for j := range o.lanes[i].batches {
			o.lanes[i].batches[j].away = away{}
		}
		o.lanes[i].rowFrom = 0
	}
	pids := map[int64]bool{}
	for i := range o.s.log.entries {
		e := &o.s.log.entries[i]
		if e.Kind != wal.KindQuarantine {
			continue
		}
		tp := o.s.log.names[e.Lane]
		o.custody(tp, e, false)
		q, _ := noteOf(e)
		if q.Again != nil {
			pids[q.Again.PID] = true
		}
		l := &o.lanes[place(tp)]
		if err := o.s.store().Put(recordOf(&q, tp), l.batches[l.at(q.From)].of.body); err != nil {
			o.s.violate("model", "put: %v", err)
		}
	}
	for _, p := range o.s.kafka.partitions {
		for j := range p.log {
			if b := &p.log[j]; b.late > 0 && !pids[b.pid] {
				b.late = 0 // nobody can know of it any more
			}
		}
	}
}
