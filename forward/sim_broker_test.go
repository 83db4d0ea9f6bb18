package forward

import (
	"errors"
	"slices"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/sink"
)

// cluster is the model of the brokers and of the way to them.
type cluster struct {
	s          *sim
	brokers    []*broker
	partitions []*partition
	nextPID    int64
	stuckUntil time.Duration // replicas fetch nothing
	thinUntil  time.Duration // too few replicas now and then: codes 19 and 20
	denyUntil  time.Duration // no rights: code 29
	strange    bool          // the next look shows another cluster
}

type broker struct {
	c           *cluster
	id          int32
	up          bool
	life        int
	refuseUntil time.Duration // new connections are refused
	silentUntil time.Duration // nothing passes, in both directions
	pipes       []*simPipe
}

// simPipe is one produce connection, seen from both ends. As in Kafka, a broker takes the requests of a connection one
// by one: the next one when the last was answered.
type simPipe struct {
	s       *sim
	g       *gateway
	b       *broker
	node    int32
	life    int
	closed  bool     // for us
	queue   []*preq  // sent and not taken up by the broker, in order
	unheard []uint64 // tags that we wait for
	busy    bool
	heard   time.Duration
	lastIn  time.Duration
	lastOut time.Duration
}

type preq struct {
	tag     uint64
	parcels []sink.Parcel
	arrived bool
}

const (
	pipeDepth     = nodeDepth
	produceWithin = time.Second // timeout_ms of Produce
	pipeSilence   = 10 * time.Second
)

var (
	errSimRefused = errors.New("connection refused")
	errSimReset   = errors.New("connection reset")
	errSimSilent  = errors.New("no answer in time")
)

func newCluster(s *sim) *cluster {
	c := &cluster{s: s, nextPID: 4000}
	for i := range s.knobs.brokers {
		c.brokers = append(c.brokers, &broker{c: c, id: int32(i), up: true})
	}
	for i := range s.knobs.partitions {
		p := &partition{s: s, tp: simPartitions[i], leader: int32(s.pick(len(c.brokers))), floor: map[int64]int{}}
		p.id[0] = p.tp.Topic[0]
		p.views[0] = leadership{p.leader, 0}
		p.views[1] = p.views[0]
		c.partitions = append(c.partitions, p)
	}
	return c
}

// start begins what goes on all the time: other producers, and the expiry of state.
func (c *cluster) start() {
	for _, p := range c.partitions {
		p.shareWithOthers()
	}
	c.expiry()
}

func (p *partition) shareWithOthers() {
	if p.s.healed || p.s.knobs.alone {
		return
	}
	p.s.after(p.s.between(50*time.Millisecond, 2*time.Second), func() {
		p.other()
		p.shareWithOthers()
	})
}

func (c *cluster) expiry() {
	c.s.after(c.s.between(100*time.Millisecond, 2*time.Second), func() {
		for _, p := range c.partitions {
			p.expire()
		}
		c.expiry()
	})
}

func (c *cluster) partition(tp streamdown.TopicPartition) *partition { return c.partitions[place(tp)] }

func (c *cluster) broker(id int32) *broker { return c.brokers[id] }

// dial opens a connection, or fails at once (refused) or late (silent).
func (c *cluster) dial(node int32, done func(p *simPipe, reset bool, err error)) {
	s, b := c.s, c.broker(node)
	s.own(s.net(), func() {
		switch {
		case !b.up || s.at < b.refuseUntil:
			done(nil, true, errSimRefused)
		case s.at < b.silentUntil:
			s.own(5*time.Second, func() { done(nil, false, errSimSilent) })
		default:
			p := &simPipe{s: s, g: s.gateway, b: b, node: node, life: b.life, heard: s.at}
			b.pipes = append(b.pipes, p)
			s.own(s.net(), func() {
				if p.closed {
					done(nil, true, errSimReset)
					return
				}
				done(p, false, nil)
			})
		}
	})
}

// send puts a request on its way.
func (p *simPipe) send(tag uint64, parcels []sink.Parcel) bool {
	if p.closed || len(p.unheard) >= pipeDepth {
		return false
	}
	r := &preq{tag: tag, parcels: parcels} // ours to read until the answer, or until the pipe has ended
	p.queue = append(p.queue, r)
	p.unheard = append(p.unheard, tag)
	p.lastIn = max(p.lastIn, p.s.at+p.s.net())
	p.s.when(p.lastIn, func() { p.arrive(r) })
	p.s.own(pipeSilence, func() {
		if !p.closed && slices.Contains(p.unheard, tag) && p.s.at-p.heard >= pipeSilence {
			p.cut(true)
			p.g.lost(p, false, errSimSilent)
		}
	})
	return true
}

func (p *simPipe) arrive(r *preq) {
	if p.s.at < p.b.silentUntil {
		p.s.when(p.b.silentUntil, func() { p.arrive(r) })
		return
	}
	r.arrived = true
	p.serve()
}

// serve takes up the next request, if the last one is answered.
func (p *simPipe) serve() {
	if p.closed || p.busy || len(p.queue) == 0 || !p.queue[0].arrived || p.life != p.b.life {
		return
	}
	r := p.queue[0]
	p.busy = true
	p.s.after(p.s.between(soonest/10, p.s.knobs.work), func() {
		if p.closed || p.life != p.b.life {
			return
		}
		p.queue = p.queue[1:]
		p.b.produce(r.parcels, func(answers []sink.Answer) {
			p.reply(r.tag, answers)
			p.busy = false
			p.serve()
		})
	})
}

func (p *simPipe) reply(tag uint64, answers []sink.Answer) {
	if p.closed {
		return
	}
	p.lastOut = max(p.lastOut, p.s.at+p.s.net(), p.b.silentUntil)
	p.s.when(p.lastOut, func() { p.deliver(tag, answers) })
}

func (p *simPipe) deliver(tag uint64, answers []sink.Answer) {
	if p.closed || p.g.dead {
		return
	}
	if p.s.at < p.b.silentUntil {
		p.s.when(p.b.silentUntil, func() { p.deliver(tag, answers) })
		return
	}
	p.heard = p.s.at
	p.unheard = p.unheard[1:]
	for i := range answers {
		if answers[i].Class != sink.OK {
			p.s.tracef("core: %s answered %s (%d)", answers[i].Message, answers[i].Class, answers[i].Code)
			p.s.stats.doubts++
		}
	}
	p.g.core.Answered(p.s.now(), p.node, tag, answers)
}

// cut ends a connection. What is on its way may still be applied, a prefix of it, in order: bytes of a dead connection.
func (p *simPipe) cut(zombies bool) {
	if p.closed {
		return
	}
	p.closed = true
	for _, r := range p.queue { // what is under way by now are copies
		r.parcels = slices.Clone(r.parcels)
		for i := range r.parcels {
			r.parcels[i].Payload = slices.Clone(r.parcels[i].Payload)
		}
	}
	p.b.pipes = slices.DeleteFunc(p.b.pipes, func(o *simPipe) bool { return o == p })
	if !zombies || p.life != p.b.life || len(p.queue) == 0 || !p.s.chance(0.7) {
		return
	}
	left := p.queue[:1+p.s.pick(len(p.queue))]
	for _, r := range left {
		p.haunt(r.parcels, 1)
	}
	p.rise(left)
}

func (p *simPipe) haunt(parcels []sink.Parcel, n int) {
	for i := range parcels {
		q := p.s.kafka.partition(parcels[i].TopicPartition)
		q.zombies += n
		if n < 0 {
			q.landed = p.s.at
		}
	}
}

// rise applies the requests of a dead connection, one after the other.
func (p *simPipe) rise(left []*preq) {
	if len(left) == 0 {
		return
	}
	wait := p.s.between(0, 300*time.Millisecond)
	if p.s.chance(0.3) {
		wait = p.s.between(0, 8*time.Second)
	}
	if p.s.knobs.sickly { // mostly between our question and what we send upon its answer
		wait = p.s.between(50*time.Millisecond, 150*time.Millisecond)
	}
	p.s.after(wait, func() {
		if p.s.at < p.b.silentUntil {
			p.rise(left)
			return
		}
		if p.life == p.b.life {
			p.s.stats.zombies++
			p.s.tracef("kafka: node %d takes a request of a dead connection", p.node)
			p.b.produce(left[0].parcels, func([]sink.Answer) {})
			p.s.sickenLate(left[0].parcels)
		}
		p.haunt(left[0].parcels, -1)
		p.rise(left[1:])
	})
}

// produce is what a broker does with one request; done is called when all its partitions have an answer.
func (b *broker) produce(parcels []sink.Parcel, done func([]sink.Answer)) {
	s := b.c.s
	answers := make([]sink.Answer, len(parcels))
	open := len(parcels)
	var waits []func()
	for i := range parcels {
		name := parcels[i].TopicPartition.String()
		set := func(code int16, base streamdown.Offset) {
			if answers[i].Message != "" {
				return
			}
			answers[i] = sink.Answer{Class: classOf(code), Code: code, Base: streamdown.NoOffset, LogStart: streamdown.NoOffset, Message: name}
			if code == 0 {
				answers[i].Base = base
				if s.plant == plantOffset && s.chance(0.05) {
					answers[i].Base++
				}
			}
			if open--; open == 0 {
				done(answers)
			}
		}
		if late := b.take(&parcels[i], set); late != nil {
			waits = append(waits, late)
		}
	}
	if open > 0 {
		s.after(produceWithin, func() {
			for _, late := range waits {
				late()
			}
		})
	}
}

// take offers one parcel to its partition. What it returns ends the wait for replicas.
func (b *broker) take(q *sink.Parcel, set func(code int16, base streamdown.Offset)) (late func()) {
	c, s := b.c, b.c.s
	if batch.Verify(slices.Concat(q.Header[:], q.Payload)) != nil {
		s.violate("bytes", "what is sent for %s was changed while it was on its way", q.TopicPartition)
		set(codeCorrupt, 0)
		return nil
	}
	p := c.partition(q.TopicPartition)
	h, err := batch.ParseHeader(q.Header[:])
	switch {
	case err != nil || q.TopicID != p.id:
		set(codeCorrupt, 0)
		return nil
	case s.at < c.denyUntil:
		set(codeForbidden, 0)
		return nil
	case p.leader != b.id:
		set(codeNotLeader, 0)
		return nil
	case s.at < c.thinUntil && s.chance(0.5), s.chance(s.knobs.flaky):
		set(codeNotEnough, 0)
		return nil
	}
	if code := p.refuses(q.Payload); code != 0 {
		set(code, 0)
		return nil
	}
	code, base, need := p.offer(&h, slices.Clone(q.Payload))
	if code != 0 {
		set(code, 0)
		return nil
	}
	if s.at < c.thinUntil && s.chance(0.3) {
		set(codeNotEnoughAfter, 0)
		return nil
	}
	answered := false
	w := p.wait(need, func(code int16) {
		answered = true
		set(code, base)
	})
	if answered {
		return nil
	}
	return func() {
		if !answered {
			p.forget(w)
			s.stats.timeouts++
			set(codeTimedOut, 0)
		}
	}
}

// classOf is the part of the table in connect/kafka that the model speaks.
func classOf(code int16) sink.Class {
	switch code {
	case 0:
		return sink.OK
	case codeNotLeader:
		return sink.Moved
	case codeNotEnough:
		return sink.Refused
	case codeOutOfOrder:
		return sink.OutOfOrder
	case codeStaleEpoch:
		return sink.Fenced
	case codeForbidden:
		return sink.Forbidden
	case codeCorrupt, codeInvalid, codeTooLarge:
		return sink.Poison
	}
	return sink.Doubt
}

// kill ends a broker's process; restart brings it back. What its connections carried is gone with it.
func (b *broker) kill() {
	s := b.c.s
	s.stats.kills++
	s.tracef("kafka: node %d is killed", b.id)
	b.up = false
	b.life++
	pipes := b.pipes
	b.pipes = nil
	for _, p := range pipes {
		p.drop(errSimReset)
	}
}

// drop ends a connection from the broker's side or in between; we hear of it later.
func (p *simPipe) drop(err error) {
	p.cut(true)
	g := p.g
	p.s.after(p.s.net(), func() {
		if !g.dead {
			g.lost(p, true, err)
		}
	})
}
