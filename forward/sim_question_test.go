package forward

import (
	"errors"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/sink"
)

type view = catalog.Cluster

var errNotLeader = errors.New("not the leader of that epoch")

// reach runs fn at a node after the way there, and brings what it returns back; the ways can fail.
func (c *cluster) reach(node int32, within time.Duration, fail func(error), fn func(b *broker)) {
	s, b := c.s, c.broker(node)
	s.own(s.net(), func() {
		switch {
		case !b.up || s.at < b.refuseUntil:
			fail(errSimRefused)
		case s.at < b.silentUntil:
			s.own(min(within, b.silentUntil-s.at+s.net()), func() { fail(errSimSilent) })
		case !s.healed && s.chance(0.02):
			s.own(s.net(), func() { fail(errSimReset) })
		default:
			fn(b)
		}
	})
}

// look shows the metadata as some broker knows them.
func (c *cluster) look(done func(v *view, reset bool, err error)) {
	s := c.s
	var b *broker
	silent := false
	for _, o := range c.brokers {
		switch {
		case !o.up || s.at < o.refuseUntil:
		case s.at < o.silentUntil:
			silent = true
		default:
			b = o
		}
	}
	switch {
	case b == nil && silent:
		s.own(10*time.Second, func() { done(nil, false, errSimSilent) })
	case b == nil:
		s.own(s.net(), func() { done(nil, true, errSimRefused) })
	default:
		s.own(s.net(), func() {
			v := c.metadata()
			s.own(s.net(), func() { done(v, false, nil) })
		})
	}
}

func (c *cluster) metadata() *view {
	s := c.s
	v := &view{At: s.now(), ID: "sim", Topics: map[string]*catalog.Topic{}, ProducerExpiry: s.knobs.expiry}
	if c.strange {
		c.strange = false
		v.ID = "another"
	}
	for _, p := range c.partitions {
		t := v.Topics[p.tp.Topic]
		if t == nil {
			cfg := catalog.DefaultTopicConfig()
			cfg.Known, cfg.LogAppendTime = true, s.knobs.appendTime[p.tp.Topic]
			t = &catalog.Topic{Name: p.tp.Topic, ID: p.id, Config: cfg}
			v.Topics[p.tp.Topic] = t
		}
		led := p.views[0]
		if s.at-p.moved < 5*time.Second && s.chance(0.2) {
			led = p.views[1] // asked one that has not heard yet
		}
		t.Partitions = append(t.Partitions, catalog.Partition{Leader: led.node, LeaderEpoch: led.epoch, Replicas: len(c.brokers), InSync: len(c.brokers)})
	}
	return v
}

func (c *cluster) probe(done func(ok bool, latency time.Duration)) {
	s := c.s
	for _, b := range c.brokers {
		if b.up && s.at >= b.refuseUntil && s.at >= b.silentUntil {
			took := s.net()
			s.own(took, func() { done(true, took) })
			return
		}
	}
	s.own(s.between(soonest, 2*time.Second), func() { done(false, 0) })
}

func (c *cluster) newProducer(done func(pid int64, class sink.Class, err error)) {
	node := int32(c.s.pick(len(c.brokers)))
	c.reach(node, 15*time.Second, func(err error) { done(-1, sink.Doubt, err) }, func(*broker) {
		c.nextPID++
		pid := c.nextPID
		c.s.own(c.s.net(), func() { done(pid, sink.OK, nil) })
	})
}

// endOffset is ListOffsets: the high watermark, as the leader shows it.
func (c *cluster) endOffset(r BindRequest, done func(end streamdown.Offset, class sink.Class, err error)) {
	c.reach(r.Node, 15*time.Second, func(err error) { done(0, sink.Doubt, err) }, func(b *broker) {
		p := c.partition(r.TopicPartition)
		if p.leader != b.id {
			c.s.own(c.s.net(), func() { done(0, sink.Moved, errNotLeader) })
			return
		}
		end := p.shown
		c.s.own(c.s.net(), func() { done(end, sink.OK, nil) })
	})
}

// ask is DescribeProducers: any replica answers, the uncommitted tail included. One that led until a moment ago and
// has not noticed answers from then; a follower is behind.
func (c *cluster) ask(r AskRequest, done func(held sink.Held, class sink.Class, err error)) {
	c.reach(r.Node, 15*time.Second, func(err error) { done(sink.Held{}, sink.Doubt, err) }, func(b *broker) {
		s, p := c.s, c.partition(r.TopicPartition)
		states := p.state
		if p.leader != b.id {
			if p.ghost.node == b.id && s.at < p.ghost.until {
				states = p.ghost.state
			} else if s.chance(0.3) {
				s.own(s.net(), func() { done(sink.Held{}, sink.Moved, errNotLeader) })
				return
			}
		}
		var held sink.Held
		for i := range states {
			if st := &states[i]; st.pid == r.PID && !s.knobs.kfake {
				held = sink.Held{Known: true, Epoch: st.epoch, LastSequence: st.last[len(st.last)-1].last}
			}
		}
		s.own(s.net(), func() { done(held, sink.OK, nil) })
	})
}

// scan reads a partition up to the end of the leader's epoch, once the high watermark has come there (rule D3).
func (c *cluster) scan(r ScanRequest, done func(found sink.Found, class sink.Class, err error)) {
	fail := func(class sink.Class, err error) {
		c.s.own(c.s.net(), func() { done(sink.Found{}, class, err) })
	}
	c.reach(r.Node, 30*time.Second, func(err error) { fail(sink.Doubt, err) }, func(b *broker) {
		p := c.partition(r.TopicPartition)
		if p.leader != b.id || p.epoch != r.LeaderEpoch {
			fail(sink.Moved, errNotLeader)
			return
		}
		end := p.end
		if c.s.plant == plantLowScan {
			end = p.shown
		}
		c.scanTo(r, b, end, c.s.at+30*time.Second, done)
	})
}

func (c *cluster) scanTo(r ScanRequest, b *broker, end streamdown.Offset, limit time.Duration, done func(sink.Found, sink.Class, error)) {
	s, p := c.s, c.partition(r.TopicPartition)
	switch {
	case !b.up || s.at < b.silentUntil || s.at > limit:
		done(sink.Found{}, sink.Doubt, errSimSilent)
		return
	case p.leader != b.id || p.epoch != r.LeaderEpoch:
		done(sink.Found{}, sink.Moved, errNotLeader)
		return
	case p.shown < end:
		s.own(s.between(time.Millisecond, 20*time.Millisecond), func() { c.scanTo(r, b, end, limit, done) })
		return
	}
	found := sink.Found{End: end}
	for i := range p.log {
		if q := &p.log[i]; q.pid == r.PID && q.end() > r.From && q.base < end {
			found.Batches = append(found.Batches, sink.Trace{Base: q.base, Epoch: q.epoch, Sequence: q.seq, Count: q.count, PayloadCRC: q.crc})
		}
	}
	s.own(s.net(), func() { done(found, sink.OK, nil) })
}
