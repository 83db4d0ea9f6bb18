package forward

import (
	"fmt"
	"slices"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/wal"
)

// foreignIndex marks what is at a broker under an identity of ours and not in our log.
const foreignIndex = -2

// faultRollback puts an old copy of the data directory back after a crash: what was acked since is lost with the disk, and
// some of it is at the broker, or on its way there.
func (s *sim) faultRollback() {
	if s.gateway.dead || s.log.synced == 0 {
		return
	}
	s.stats.rollbacks++
	s.rollBack()
}

// faultClone is the same, and the process that the copy was made of lives on.
func (s *sim) faultClone() {
	// With a broker that forgets producers, what both send alike could be taken twice: one of the limits (E).
	if s.gateway.dead || s.log.synced == 0 || s.knobs.kfake || s.knobs.expiry < 24*time.Hour || s.knobs.old > 0 {
		return
	}
	s.stats.clones++
	t := s.rollBack()
	t.step()
}

// rollBack ends our process and goes on with what its log was a while ago. It returns what would go on in its place.
func (s *sim) rollBack() *twin {
	s.kill()
	s.kafka.strange = false // it is for lanes that are bound
	keep := s.log.synced - s.pick(min(s.log.synced, 60))
	t := newTwin(s, s.log.entries[:keep])
	s.log.rollBack(keep)
	bound := s.log.bound()
	for _, o := range s.twins {
		o.forget(bound)
	}
	s.twins = append(s.twins, t)
	for _, c := range s.clients {
		// What the log remembers of them is old: they hear "out of order", and begin anew (KIP-360).
		if c.idempotent {
			for _, m := range c.unacked {
				m.given = true
			}
			c.unacked = nil
			c.bump()
		}
	}
	s.after(s.between(10*time.Millisecond, 2*time.Second), s.open)
	if s.chance(0.4) { // and again, perhaps before a word with any broker
		s.after(s.between(2*time.Second, 4*time.Second), func() {
			if !s.gateway.dead && !s.healed {
				s.crash()
			}
		})
	}
	return t
}

// twin is a process on another copy of the data directory, as brokers see it: it sends what both have, and then records
// of its own under the same sequences.
type twin struct {
	s     *sim
	lanes []twinLane
	made  int
}

type twinLane struct {
	place  int
	bind   delivery.Binding
	log    []logged           // what both logs have
	common int                // so many of that, as things stand
	end    streamdown.Ordinal // of what may go out under the binding in both
	own    bool               // it sends more under the binding than that
}

// newTwin reads the bindings from what the twin has of the log.
func newTwin(s *sim, entries []wal.Entry) *twin {
	t := &twin{s: s}
	book := delivery.New()
	for i := range entries {
		e := entries[i]
		book.Apply(&e)
	}
	for _, l := range book.Lanes() {
		if !l.Bound || l.Binding.Cluster != "sim" {
			continue
		}
		at := place(s.log.names[l.ID])
		w := twinLane{place: at, bind: l.Binding, end: l.End, own: !l.Closed}
		if l.Closed {
			w.end = l.Limit
		}
		for _, b := range s.oracle.lanes[at].batches {
			if b.end() <= w.end {
				w.log = append(w.log, b)
			}
		}
		w.common = len(w.log)
		t.lanes = append(t.lanes, w)
	}
	return t
}

// forget takes over that the log that we go on with has less than before in common with the twin's.
func (t *twin) forget(bound map[wireKey]bool) {
	for i := range t.lanes {
		w := &t.lanes[i]
		w.common = min(w.common, len(t.s.oracle.lanes[w.place].batches))
		if !bound[wireKey{w.place, w.bind.PID, w.bind.Epoch, 0}] {
			w.common = 0
		}
	}
}

// bound tells under which identities the log knows that lanes were sent; their sequences are left out.
func (l *simLog) bound() map[wireKey]bool {
	bound := map[wireKey]bool{}
	for i := range l.entries {
		if e := &l.entries[i]; e.Kind == wal.KindBinding || e.Kind == wal.KindQuarantine {
			book := delivery.New()
			book.Apply(e)
			b := book.Lane(e.Lane).Binding
			bound[wireKey{place(l.names[e.Lane]), b.PID, b.Epoch, 0}] = true
		}
	}
	return bound
}

// step sends something, and comes back.
func (t *twin) step() {
	s := t.s
	if s.healed {
		return
	}
	s.after(s.between(10*time.Millisecond, 500*time.Millisecond), t.step)
	if len(t.lanes) == 0 || s.chance(0.2) {
		return
	}
	w := &t.lanes[s.pick(len(t.lanes))]
	p := s.kafka.partitions[w.place]
	if p.leader < 0 || s.at < s.kafka.broker(p.leader).silentUntil || s.at < s.kafka.denyUntil {
		return
	}
	next := w.bind.Base
	for i := range p.log {
		if b := &p.log[i]; b.pid == w.bind.PID && b.epoch == w.bind.Epoch {
			next = w.bind.Ordinal(int32((uint32(b.seq)+uint32(b.count))&seqMask), next)
		}
	}
	payload, index := []byte(nil), -1
	for i := range w.log {
		if b := &w.log[i]; b.ordinal == next && !b.damaged {
			payload, index = b.of.body, i
		}
	}
	if payload != nil && p.refuses(payload[batch.HeaderSize:]) != 0 {
		return
	}
	if payload == nil {
		if next < w.end || !w.own {
			return // damaged, or sent under another id from there on
		}
		payload = t.record()
	}
	stamp := batch.Stamp{ProducerID: w.bind.PID, Epoch: w.bind.Epoch, BaseSequence: w.bind.Sequence(next)}
	var head [batch.HeaderSize]byte
	batch.Restamp(&head, payload, stamp)
	h, err := batch.ParseHeader(head[:])
	if err != nil {
		s.violate("model", "twin: %v", err)
		return
	}
	key := wireKey{w.place, h.ProducerID, h.ProducerEpoch, h.BaseSequence}
	if _, known := s.oracle.wire[key]; !known {
		s.oracle.wire[key] = meaning{payload: string(payload[batch.HeaderSize:]), index: index, foreign: index < 0 || index >= w.common}
	}
	p.offer(&h, payload[batch.HeaderSize:])
}

// record makes a batch that only the twin has.
func (t *twin) record() []byte {
	b := &t.s.builder
	for range 1 + t.s.pick(3) {
		t.made++
		b.Append(t.s.now().UnixMilli(), nil, fmt.Appendf(nil, "twin %d", t.made))
	}
	body, err := b.Build(batch.None, batch.NoStamp)
	if err != nil {
		t.s.violate("model", "build: %v", err)
	}
	return slices.Clone(body)
}

// rolledBack takes over that the log ends at an LSN now. What lay behind is lost with the disk: that is for no gateway to
// answer for, but it must not stand for anything that comes later. So is what was sent under an identity that the log has
// lost: nobody can know of it, and it comes again.
func (o *oracle) rolledBack(end streamdown.LSN) {
	bound := o.s.log.bound()
	defer o.recount()
	for at := range o.lanes {
		l := &o.lanes[at]
		n := len(l.batches)
		for n > 0 && l.batches[n-1].lsn >= end {
			n--
			m := l.batches[n].of
			m.stored--
			m.lost++
			o.s.stats.lost++
			o.s.tracef("log: %s, ordinal %d, is lost", m.name, l.batches[n].ordinal)
		}
		l.batches = l.batches[:n]
		l.confirmed, l.below = min(l.confirmed, n), min(l.below, n)
		clear(l.last)
		for i := range l.batches {
			b := &l.batches[i]
			b.damaged = b.damaged && o.s.log.damaged[b.lsn]
			if m := b.of; m.c.idempotent {
				l.last[m.c.id] = m.index
			}
		}
		p := o.s.kafka.partitions[at]
		p.ours = 0
		for i := range p.log {
			b := &p.log[i]
			if b.index >= n || b.index >= 0 && !bound[wireKey{at, b.pid, b.epoch, 0}] {
				b.index = foreignIndex
			}
			p.ours = max(p.ours, b.index+1)
		}
		for key, m := range o.wire {
			if key.tp == at && (m.index >= n || !bound[wireKey{at, key.pid, key.epoch, 0}]) {
				m.foreign = true
				o.wire[key] = m
			}
		}
	}
}

// reported judges what a lane says is foreign: exactly that, at exactly these places.
func (o *oracle) reported(tp streamdown.TopicPartition, list []Foreign) {
	p := o.s.kafka.partition(tp)
	for _, f := range list {
		o.s.stats.reported++
		records := int64(0)
		for i := range p.log {
			b := &p.log[i]
			if b.pid != f.PID || b.base < f.Offset || b.base >= f.End {
				continue
			}
			if records += int64(b.count); b.index != foreignIndex {
				o.s.violate("A2", "%s: offset %d is reported as foreign, and is batch %d of the log", tp, b.base, b.index)
			}
		}
		if f.End <= p.hw && records != f.Records {
			o.s.violate("A2", "%s: %d records reported as foreign at offsets %d to %d, there are %d", tp, f.Records, f.Offset, f.End, records)
		}
	}
}
