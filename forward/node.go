package forward

import (
	"fmt"
	"slices"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/sink"
)

type topic = catalog.Topic

type nodeState uint8

const (
	down nodeState = iota
	connecting
	up
)

// node is the connection to one broker.
type node struct {
	id       int32
	state    nodeState
	closing  bool
	gen      uint64 // counts connections
	retryAt  time.Time
	backoff  time.Duration
	requests []request // unanswered, in order
	ready    []*lane   // have something to send
	heard    time.Time // last answer, or when the connection came up
}

type request struct {
	tag     uint64
	sent    time.Time
	of      []flight
	parcels []sink.Parcel // the pipe's until the answer
}

// flight is one batch in a request.
type flight struct {
	l       *lane
	ordinal streamdown.Ordinal
}

func (c *Core) node(id int32) *node {
	n := c.nodes[id]
	if n == nil {
		n = &node{id: id}
		c.nodes[id] = n
		c.nodeIDs = append(c.nodeIDs, id)
	}
	return n
}

func (c *Core) connect(n *node) {
	if n.state == down && !c.now.Before(n.retryAt) {
		n.state = connecting
		c.act.Connect(n.id)
	}
}

func (c *Core) anyUp() bool {
	for _, id := range c.nodeIDs {
		if c.nodes[id].state == up && !c.nodes[id].closing {
			return true
		}
	}
	return false
}

// Connected brings the outcome of Connect.
func (c *Core) Connected(now time.Time, id int32, reset bool, err error) {
	c.now = now
	n := c.node(id)
	if err != nil {
		c.gone(n, reset, err)
		return
	}
	n.state, n.backoff, n.heard = up, 0, now
	n.gen = c.nextTag()
	if n.closing || !c.brk.Allow() {
		n.closing = true
		c.act.Disconnect(id)
		return
	}
	for _, l := range c.order {
		c.advance(l)
	}
	c.flush()
}

func (c *Core) nextTag() uint64 {
	c.tag++
	return c.tag
}

// Lost says that a connection is gone. All that was unanswered on it is in doubt.
func (c *Core) Lost(now time.Time, id int32, reset bool, err error) {
	c.now = now
	n := c.node(id)
	if n.state == down {
		return
	}
	for _, r := range n.requests {
		for _, f := range r.of {
			f.l.flying = 0
			f.l.sent, f.l.bad, f.l.doubt, f.l.cold = 0, false, true, true
			f.l.hazy = f.l.most
			if c.cfg.plantSilence || c.cfg.plantBump {
				f.l.doubt, f.l.bump = false, c.cfg.plantBump
			}
			c.halfway(f.l)
		}
		c.spare.giveRequest(r, c.cfg.spoil) // the pipe has ended
	}
	clear(n.requests)
	n.requests = n.requests[:0]
	for _, l := range n.ready {
		l.ready = false
	}
	clear(n.ready)
	n.ready = n.ready[:0]
	c.gone(n, reset, err)
}

// halfway parks a lane that was stopped or held while something was in flight.
func (c *Core) halfway(l *lane) {
	if l.missed && l.flying == 0 && !l.busy {
		c.reread(l)
	}
	if _, held := c.cfg.Book.Held(l.tp); (l.stop != nil || held) && !l.parked {
		c.park(l)
	}
}

func (c *Core) gone(n *node, reset bool, err error) {
	closing := n.closing
	n.state, n.closing = down, false
	n.backoff = min(max(2*n.backoff, backoffMin), backoffMax)
	n.retryAt = c.now.Add(n.backoff)
	c.lookSoon = true
	if !closing && !c.anyUp() {
		c.change(c.brk.Failure(c.now, reset, fmt.Sprintf("broker %d: %v", n.id, err)))
	}
}

// listen looks for connections that have been silent for longer than patience with a request unanswered.
func (c *Core) listen() {
	for _, id := range c.nodeIDs {
		n := c.nodes[id]
		if n.state != up || n.closing || len(n.requests) == 0 {
			continue
		}
		since := n.heard
		if sent := n.requests[0].sent; sent.After(since) {
			since = sent
		}
		waited := c.now.Sub(since)
		if waited < c.cfg.Patience {
			continue
		}
		others := false
		for _, o := range c.nodeIDs {
			others = others || o != id && c.nodes[o].state == up && c.now.Sub(c.nodes[o].heard) < c.cfg.Patience
		}
		if others {
			continue // that node's lanes fall behind, and are not live; the target as a whole is there
		}
		c.change(c.brk.Silence(c.now, waited))
	}
}

// flush sends what stands ready, filling requests over lanes.
func (c *Core) flush() {
	for _, id := range c.nodeIDs {
		n := c.nodes[id]
		for n.state == up && !n.closing && len(n.ready) > 0 && len(n.requests) < nodeDepth {
			if !c.request(n) {
				break
			}
		}
	}
}

// request builds and sends one request: at most one batch per lane, as brokers want it, never lanes of two classes, and
// never a lane that timed out together with others. The class is that of who waits longest, so that none starves.
func (c *Core) request(n *node) bool {
	r := c.spare.takeRequest()
	r.tag, r.sent = c.nextTag(), c.now
	size, seen, class := 0, 0, 0
	again := c.spare.lanes[:0]   // have more to send: behind those that have to wait for the next request
	others := c.spare.others[:0] // of another class: before all
	for _, l := range n.ready {
		if !c.sendable(l) || l.gen != n.gen {
			l.ready = false
			seen++
			continue
		}
		if len(r.parcels) == 0 {
			class = l.class
		} else if l.class != class && !c.cfg.plantMix {
			others = append(others, l)
			seen++
			continue
		}
		it := &l.queue[l.sent]
		if len(r.parcels) > 0 && (l.alone || size+len(it.body) > c.cfg.Request) {
			break
		}
		if c.cfg.plantSwap && l.sent+1 < len(l.queue) && it.ordinal%7 == 3 {
			l.queue[l.sent], l.queue[l.sent+1] = l.queue[l.sent+1], l.queue[l.sent]
		}
		seen++
		r.parcels = append(r.parcels, sink.Parcel{})
		l.stamp(&r.parcels[len(r.parcels)-1], it)
		r.of = append(r.of, flight{l, it.ordinal})
		size += len(it.body)
		l.sent++
		l.flying++
		l.most = max(l.most, it.end())
		c.sent++
		if c.cfg.plantEarly {
			c.act.Confirm(l.id, it.end(), streamdown.NoOffset)
		}
		if c.sendable(l) {
			again = append(again, l)
		} else {
			l.ready = false
		}
		if l.alone {
			break
		}
	}
	rest := len(others) + copy(n.ready[len(others):], n.ready[seen:])
	copy(n.ready, others)
	clear(n.ready[rest:])
	n.ready = append(n.ready[:rest], again...)
	clear(again)
	clear(others)
	c.spare.lanes, c.spare.others = again[:0], others[:0]
	if len(r.parcels) == 0 {
		c.spare.giveRequest(r, false)
		return false
	}
	n.requests = append(n.requests, r)
	c.act.Send(n.id, r.tag, r.parcels)
	c.plantBuffers(&r)
	return true
}

// plantBuffers plants bugs: buffers are used again although the pipe may still read them.
func (c *Core) plantBuffers(r *request) {
	switch {
	case c.cfg.plantHasty:
		for i := range r.of {
			l := r.of[i].l
			body := l.queue[l.sent-1].body
			c.bodies.lent += cap(body)
			c.bodies.back(body)
		}
	case c.cfg.plantReuse:
		c.spare.giveRequest(request{parcels: r.parcels}, true)
	}
}

// Answered brings the answers to one request, in the order of Send.
func (c *Core) Answered(now time.Time, id int32, tag uint64, answers []sink.Answer) {
	c.now = now
	n := c.node(id)
	if len(n.requests) == 0 || n.requests[0].tag != tag {
		return // of a connection that was lost meanwhile: those batches are in doubt already
	}
	r := n.requests[0]
	n.requests = slices.Delete(n.requests, 0, 1)
	n.heard = now
	c.change(c.brk.Success(now))
	for i, f := range r.of {
		c.answer(f.l, f.ordinal, answers[i])
	}
	for _, f := range r.of {
		c.advance(f.l)
	}
	c.spare.giveRequest(r, c.cfg.spoil)
	c.flush()
	c.feed()
}

func (c *Core) answer(l *lane, o streamdown.Ordinal, a sink.Answer) {
	l.flying--
	c.counts[a.Class]++
	if l.bad && a.Class == sink.OK || a.Class == sink.Doubt || a.Class == sink.Moved { // the others refuse what was sent
		l.hazy = max(l.hazy, l.most)
	}
	switch {
	case a.Class == sink.OK && !l.bad:
		if len(l.queue) == 0 || l.queue[0].ordinal != o {
			// Our own bookkeeping is wrong, or the queue was left in the wrong order: believe nothing.
			l.bad = true
			l.fail = sink.Answer{Class: sink.Doubt, Message: "an answer does not fit what is in flight"}
			break
		}
		count := streamdown.Offset(l.queue[0].count)
		end := streamdown.NoOffset
		if a.Base != streamdown.NoOffset {
			end = a.Base + count
		}
		c.confirmHead(l, end)
		l.cold, l.alone, l.unproven = false, false, false
	case a.Class == sink.OK:
		// An earlier one of this pipeline failed: only asking says what is stored.
	case !l.bad:
		l.bad, l.fail = true, a
	}
	if l.bad && l.flying == 0 {
		c.failed(l)
	}
	if l.flying == 0 {
		c.halfway(l)
	}
}

// failed begins the doubt when the last answer of a broken pipeline is in.
func (c *Core) failed(l *lane) {
	a := l.fail
	l.bad, l.sent, l.doubt, l.cold = false, 0, true, true
	why := fmt.Sprintf("the target answered %s (code %d)", a.Class, a.Code)
	if a.Message != "" {
		why += ": " + a.Message
	}
	switch a.Class {
	case sink.OutOfOrder:
		c.wait(l)
	case sink.Doubt:
		l.alone = true
		c.wait(l)
	case sink.Poison:
		c.poisoned(l, a, why)
	case sink.Fenced:
		c.wait(l) // another process sends in this log's name: the answer to Ask shows it
	default:
		c.refused(l, a.Class, a.Code, why)
	}
}

// newestOf is the greatest timestamp of a batch.
func newestOf(body []byte) int64 {
	h, err := batch.ParseHeader(body)
	if err != nil {
		return 0
	}
	return h.MaxTimestamp
}
