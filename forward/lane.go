package forward

import (
	"fmt"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/sink"
)

// lane is the way of one topic-partition to the target. Queue, in order:
//
//	[0, sent)  handed to the node's connection, of which `flying` are unanswered
//	[sent, …)  to be sent
//
// Batches leave the queue when they are confirmed.
type lane struct {
	id    streamdown.LaneID
	tp    streamdown.TopicPartition
	class int  // its topic's, as of the last look: a reload may change it
	live  bool // what SetLive was told last

	bound bool
	bind  delivery.Binding
	// Under the binding nothing from `most` on can be at the target that is ours: it was never sent. While closed, nothing
	// ever will be, for the binding is of an earlier life or seen in other hands (rule A2).
	most    streamdown.Ordinal
	closed  bool
	split   bool      // the target holds more under it than this log sent
	fenced  bool      // it knows a later epoch than this log
	foreign []Foreign // what the target holds under the binding that is not of this log

	confirmed streamdown.Ordinal // all below are at the target
	offset    streamdown.Offset  // behind the last confirmed record there, NoOffset if not known
	wanted    streamdown.Ordinal // the next record to be read from the log
	queue     []item
	room      []item // the array that queue lies in, from its beginning
	bytes     int
	sent      int
	flying    int

	cold  bool // one in flight until its OK (rule C3)
	doubt bool // what is stored is not known: ask before anything is sent
	fail  sink.Answer
	bad   bool // an answer in flight was not OK: wait for the others, then doubt
	alone bool // a request timed out: the next one holds nothing but this lane (rule C2)
	busy  bool // asking, scanning or binding
	bump  bool // planted: begin a new epoch whatever is in doubt

	asked         bool               // the answer to Ask knew our id
	askedEnd      streamdown.Ordinal // behind the last record that the answer named
	askedOf       leadership         // who was asked
	scannedOf     leadership         // who led when a scan came back, if nothing was confirmed since
	unproven      bool               // what was asked holds for the node that was asked only, until an OK
	scannedAt     streamdown.Offset
	gen           uint64 // of the connection that the lane sent on last
	full          bool   // as much is read ahead as may be
	ready         bool   // stands in its node's list
	retryAt       time.Time
	backoff       time.Duration
	lastOK        time.Time
	newest        int64     // greatest timestamp of the batch confirmed last, unix milliseconds; 0 if not known
	progress      time.Time // last confirmation, or when the lane began to wait for nothing of its own
	stop          *Stop
	parked        bool
	from          streamdown.LSN // parked: where its next batch lies, or later
	parkedArrival int64          // parked: when that batch came, unix milliseconds, 0 = not known
	seen          streamdown.LSN // behind the last batch that was read for the lane
	missed        bool           // the reader passed over a batch: read again from seen, once nothing is in flight
	misses        int            // how often in a row that happened
	reader        Reader
	refusal       *refusal           // of the batch at the head, nil if there was none
	rowFrom       streamdown.Ordinal // batches quarantined before do not count for three in a row
	hazy          streamdown.Ordinal // under the binding nothing from here on was sent whose fate is not known
	doubled       uint64             // batches of ours seen twice at the target
	lostRanges    []Lost
}

// item is one batch of the log on its way.
type item struct {
	lsn     streamdown.LSN
	ordinal streamdown.Ordinal
	count   int32
	arrival int64 // unix milliseconds
	newest  int64 // greatest timestamp in the batch, unix milliseconds
	gap     bool  // records before it are damaged in the log: it needs a binding of its own
	body    []byte
}

// weight is what a batch that is read ahead counts for: its buffer and its place in the queue, with what lies idle beside it.
func weight(body []byte) int { return cap(body) + itemWeight }

const itemWeight = 192

func (it *item) end() streamdown.Ordinal { return it.ordinal + streamdown.Ordinal(it.count) }

// leadership is who leads a partition, and since which election.
type leadership struct{ node, epoch int32 }

var nobody = leadership{-1, -1}

// Stop says why a lane does not go on. Its records stay in the log and new ones are accepted.
type Stop struct {
	At     time.Time
	Code   int16
	Reason string
	Retry  bool // it tries again by itself now and then
}

// Lost is a range of records that the log lost to damage before they were sent.
type Lost struct{ From, To streamdown.Ordinal }

// depth is how many batches may be in flight.
func (c *Core) depth(l *lane) int {
	if c.cfg.plantWarm {
		return laneDepth
	}
	if l.cold || l.alone {
		return 1
	}
	if c.now.Sub(l.lastOK) >= idleCold {
		return 1
	}
	// Broker state expires by the timestamp of the last batch that it took, and without state any sequence is accepted:
	// a second batch may follow only if neither what is confirmed last nor what is in flight can leave none behind (C3).
	half := c.expiry() / 2
	if c.appendTime(l) {
		if c.now.Sub(l.lastOK) > half {
			return 1
		}
		return laneDepth
	}
	oldest := c.now.Add(-half).UnixMilli()
	if l.newest < oldest {
		return 1
	}
	for i := range min(l.sent+1, len(l.queue)) {
		if l.queue[i].newest < oldest {
			return 1
		}
	}
	return laneDepth
}

func (c *Core) appendTime(l *lane) bool {
	_, t, ok := c.view.Partition(l.tp)
	return ok && t.Config.LogAppendTime
}

// advance does the next thing for a lane, if there is one.
func (c *Core) advance(l *lane) {
	if l.missed && !l.busy && l.flying == 0 {
		c.reread(l)
	}
	if l.busy || l.missed || l.bad || l.stop != nil || l.parked || len(l.queue) == 0 || l.ready || c.now.Before(l.retryAt) || !c.brk.Allow() || c.view == nil {
		return
	}
	if _, held := c.cfg.Book.Held(l.tp); held {
		if l.flying == 0 {
			c.park(l)
		}
		return
	}
	p, t, ok := c.view.Partition(l.tp)
	if l.bound && c.moved(l, t, ok) {
		return
	}
	if !ok || p.Leader < 0 {
		c.lookSoon = true
		c.wait(l)
		if c.now.Sub(l.progress) > missingFor && t == nil {
			c.halt(l, 3, "topic "+l.tp.Topic+" does not exist at the target; create it, and the lane goes on by itself", true)
		}
		return
	}
	n := c.node(p.Leader)
	if l.flying > 0 && l.gen != n.gen {
		return // answers, or the end of the old connection, come first
	}
	if n.state != up {
		c.connect(n)
		return
	}
	if l.gen != n.gen {
		l.gen, l.cold = n.gen, true
		l.doubt = l.doubt || l.unproven
	}
	switch {
	case !l.bound:
		c.rebind(l, n.id, t.ID)
	case l.bump && l.flying == 0:
		l.bump = false
		c.rebind(l, n.id, t.ID)
	case l.doubt:
		l.busy, l.askedOf = true, leadership{p.Leader, p.LeaderEpoch}
		c.act.Ask(l.id, AskRequest{Node: n.id, TopicPartition: l.tp, PID: l.bind.PID})
	case l.barred(&l.queue[0]):
		if l.flying == 0 {
			c.rebind(l, n.id, t.ID)
		}
	case c.sendable(l):
		l.ready = true
		n.ready = append(n.ready, l)
	}
}

// sendable reports whether the lane has a batch that may leave now.
func (c *Core) sendable(l *lane) bool {
	return l.sent < len(l.queue) && l.flying < c.depth(l) && !l.doubt && !l.bad && !l.missed && !l.busy && l.stop == nil &&
		!l.barred(&l.queue[l.sent])
}

// barred reports whether a batch must not go out under the binding that there is: records before it are damaged, or it
// came after the binding was closed.
func (l *lane) barred(it *item) bool {
	return it.gap && l.bind.Base != it.ordinal || l.closed && it.ordinal >= l.most
}

// moved stops a lane whose topic or cluster is not the one it was bound to (rule D6).
func (c *Core) moved(l *lane, t *topic, ok bool) bool {
	switch {
	case c.view.ID != l.bind.Cluster:
		c.halt(l, 0, fmt.Sprintf("the target is cluster %s now, the lane was bound to cluster %s; if that is meant, "+
			"give the new cluster a data directory of its own", c.view.ID, l.bind.Cluster), true)
	case ok && t.ID != l.bind.Topic && !l.bind.Topic.IsZero() && !t.ID.IsZero():
		c.halt(l, 0, fmt.Sprintf("topic %s was deleted and created again (id %s, was %s); whether its records belong into "+
			"the new one is for a person to say", l.tp.Topic, t.ID, l.bind.Topic), true)
	case t != nil && !ok && len(t.Partitions) > 0:
		c.halt(l, 0, fmt.Sprintf("topic %s has %d partitions now; partition %d is gone", l.tp.Topic, len(t.Partitions), l.tp.Partition), true)
	default:
		return false
	}
	return true
}

func (c *Core) rebind(l *lane, node int32, id streamdown.ID) {
	r := c.bindRequest(l, node, id, l.queue[0].ordinal)
	l.busy = true
	c.act.Bind(l.id, r)
}

// bindRequest is what to ask for so that the lane goes on from base.
func (c *Core) bindRequest(l *lane, node int32, id streamdown.ID, base streamdown.Ordinal) BindRequest {
	r := BindRequest{Node: node, TopicPartition: l.tp, Cluster: c.view.ID, Topic: id, PID: -1, Not: -1, Base: base}
	// All that was sent under the old binding is confirmed: the queue begins behind it (rule C5).
	switch {
	case l.bound && l.closed && (l.split || r.Base >= l.most) && !c.cfg.plantOldID:
		r.Not = l.bind.PID
	case l.bound:
		r.PID, r.Epoch = l.bind.PID, l.bind.Epoch+1
	}
	return r
}

// Bound says that the binding is durable, or why it could not be made.
func (c *Core) Bound(now time.Time, id streamdown.LaneID, bind delivery.Binding, class sink.Class, err error) {
	c.now = now
	l := c.lanes[id]
	l.busy = false
	if err != nil {
		c.refused(l, class, 0, fmt.Sprintf("bind: %v", err))
		return
	}
	if bind.Base > l.confirmed && len(l.queue) > 0 && l.queue[0].gap {
		l.lostRanges = append(l.lostRanges, Lost{l.confirmed, bind.Base})
		c.act.Note(Note{Bad: true, What: "records damaged in the log", Lane: l.tp,
			Detail: fmt.Sprintf("ordinals %d to %d could not be read and were not sent", l.confirmed, bind.Base-1)})
		l.confirmed = bind.Base
		c.act.Confirm(l.id, bind.Base, streamdown.NoOffset)
	}
	if !l.bound || bind.PID != l.bind.PID || c.cfg.plantOldID {
		l.closed, l.most = false, bind.Base // a new epoch of a closed id is for what lies below its limit
	}
	l.bound, l.bind, l.doubt, l.unproven, l.cold, l.fenced = true, bind, false, false, true, false
	l.split = false
	if l.hazy = bind.Base; l.closed {
		l.hazy = l.most
	}
	if l.offset == streamdown.NoOffset {
		l.offset = bind.End
	}
	c.advance(l)
	c.flush()
}

// confirmItem takes the head of the queue, which is at the target.
func (c *Core) confirmHead(l *lane, end streamdown.Offset) {
	it := &l.queue[0]
	l.confirmed, l.newest, l.scannedOf = it.end(), it.newest, nobody
	if end != streamdown.NoOffset {
		l.offset = end
	}
	c.drop(l, 1)
	l.progress, l.lastOK, l.backoff, l.misses = c.now, c.now, 0, 0
	c.act.Confirm(l.id, l.confirmed, end)
}

// drop takes n batches off the head of the queue.
func (c *Core) drop(l *lane, n int) {
	for i := range n {
		body := l.queue[i].body
		l.bytes -= weight(body)
		c.bytes -= weight(body)
		if i >= l.sent-l.flying && i < l.sent { // in flight: answers come in order
			c.bodies.leave(body)
		} else {
			c.bodies.back(body)
		}
		l.queue[i] = item{}
	}
	if r := c.readers[l.reader]; l.full && l.bytes < c.cfg.ahead && r != nil {
		l.full = false
		r.full--
	}
	l.queue = l.queue[n:]
	if len(l.queue) == 0 {
		c.spare.giveRoom(l.room)
		l.queue, l.room = nil, nil
	}
	l.sent = max(l.sent-n, 0)
}

// refused handles a failure that is not about a batch in flight.
func (c *Core) refused(l *lane, class sink.Class, code int16, why string) {
	switch class {
	case sink.Forbidden:
		c.halt(l, code, why, true)
	case sink.Poison, sink.Fenced:
		c.halt(l, code, why, false)
	case sink.Moved:
		c.lookSoon = true
		c.wait(l)
	default:
		c.wait(l)
	}
}

// wait lets a lane rest for a while that grows.
func (c *Core) wait(l *lane) {
	l.backoff = min(max(2*l.backoff, backoffMin), backoffMax)
	l.retryAt = c.now.Add(l.backoff)
}

// halt stops a lane with a reason for people.
func (c *Core) halt(l *lane, code int16, reason string, retry bool) {
	if l.stop == nil {
		c.act.Note(Note{Bad: true, What: "lane stopped", Lane: l.tp, Detail: reason})
	}
	l.stop = &Stop{At: c.now, Code: code, Reason: reason, Retry: retry}
	l.retryAt = c.now.Add(forbiddenWait)
	l.doubt = l.bound
	if l.flying == 0 {
		c.park(l)
	}
}

// judge tells the book whether the lane is caught up.
func (c *Core) judge(l *lane) {
	live := c.up && l.stop == nil && !l.parked && l.reader == mainReader && c.fresh()
	if live && len(l.queue) > 0 {
		live = c.now.UnixMilli()-l.queue[0].arrival < c.cfg.Patience.Milliseconds()
	}
	if live != l.live {
		l.live = live
		c.act.SetLive(l.id, live)
	}
}

// fresh reports whether the main reader is at the end of the log, or nearly.
func (c *Core) fresh() bool {
	return c.readers[mainReader].pos >= c.durable || c.now.Sub(c.lastRead) < c.cfg.Patience
}

// stamp fills in the parcel of one batch under the lane's binding: its sequence follows from its ordinal (rule C1).
func (l *lane) stamp(p *sink.Parcel, it *item) {
	p.TopicPartition, p.TopicID, p.Payload = l.tp, l.bind.Topic, it.body[batch.HeaderSize:]
	batch.Restamp(&p.Header, it.body, batch.Stamp{ProducerID: l.bind.PID, Epoch: l.bind.Epoch, BaseSequence: l.bind.Sequence(it.ordinal)})
}
