package forward

import (
	"fmt"
	"slices"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/ingest"
)

// client is one producer of one partition, with one connection: up to five batches in flight, answers in the order of
// requests, and after a lost connection or a time-out all that is unanswered again, in order, as Kafka's clients do.
type client struct {
	s          *sim
	id         int
	tp         streamdown.TopicPartition
	idempotent bool
	acks       int16
	old        time.Duration // age of its timestamps
	pace       time.Duration
	pid        int64
	epoch      int16
	seq        int32
	proven     bool // a batch of this epoch was acked: only then it pipelines (see send)
	count      int  // batches made
	unacked    []*content
	conn       *clientConn
	waiting    bool // for a connection, or to try again
}

// content is one batch of a producer. All its attempts carry the same bytes.
type content struct {
	c        *client
	index    int // per client
	name     string
	body     []byte
	records  int32
	epoch    int16
	seq      int32
	flying   bool
	given    bool // the client gave up: its outcome is not known to it
	attempts int
	refused  int // attempts that got an answer that says no
	oks      int // attempts that got an answer that says yes
	stored   int // times that it is durable in our log
	lost     int // times that it was, before the log was rolled back
	ill      *ill
	spat     int // times that a broker refused it for that
}

// clientConn is a connection to one life of our process.
type clientConn struct {
	c       *client
	g       *gateway
	alive   bool
	lastIn  time.Duration
	lastOut time.Duration
	owed    []*owed
}

type owed struct {
	of   *content
	done bool
	r    ingest.Result
}

const maxInFlight = 5

func newClient(s *sim, id int) *client {
	c := &client{s: s, id: id, tp: simPartitions[s.pick(s.knobs.partitions)], idempotent: s.chance(0.75), acks: -1}
	if s.chance(0.2) {
		c.acks = 1
	}
	if s.chance(s.knobs.old) {
		c.old = s.knobs.expiry + time.Minute
	}
	c.pace = s.between(20*time.Millisecond, 400*time.Millisecond)
	c.pid = batch.NoProducerID
	if c.idempotent {
		c.pid = s.rng.Int64()
	}
	return c
}

func (c *client) start() { c.s.after(c.s.between(0, time.Second), c.produce) }

// produce makes a batch now and then until the faults end.
func (c *client) produce() {
	if c.s.healed {
		return
	}
	c.s.after(c.s.between(0, 2*c.pace), c.produce)
	// No more than five ahead of the oldest that is unanswered, as Kafka's producer does it while it retries.
	if len(c.unacked) > 0 && c.count-c.unacked[0].index >= maxInFlight || c.idempotent && !c.proven && len(c.unacked) > 0 {
		return
	}
	if c.idempotent && len(c.unacked) == 0 && c.s.chance(0.01) {
		c.bump()
	}
	c.unacked = append(c.unacked, c.make())
	c.send()
}

// bump begins a new epoch, as clients do after they gave something up (KIP-360).
func (c *client) bump() {
	c.epoch++
	c.seq, c.proven = 0, false
	c.s.stats.bumps++
	c.s.tracef("client %d: epoch %d", c.id, c.epoch)
}

func (c *client) make() *content {
	n := 1 + c.s.pick(3)
	at := c.s.now().Add(-c.old).UnixMilli()
	b := &c.s.builder
	for i := range n {
		b.Append(at, []byte{byte(c.id)}, fmt.Appendf(nil, "c%d b%d r%d", c.id, c.count, i))
	}
	stamp := batch.NoStamp
	if c.idempotent {
		stamp = batch.Stamp{ProducerID: c.pid, Epoch: c.epoch, BaseSequence: c.seq}
	}
	body, err := b.Build(batch.None, stamp)
	if err != nil {
		c.s.violate("model", "build: %v", err)
	}
	m := &content{
		c: c, index: c.count, name: fmt.Sprintf("c%d.%d", c.id, c.count), body: slices.Clone(body), records: int32(n),
		epoch: c.epoch, seq: c.seq,
	}
	c.count++
	c.seq += m.records
	c.s.oracle.made(m)
	if at := place(c.tp); c.s.illNext[at] > 0 {
		c.s.illNext[at]--
		c.s.sicken(m, c.s.illUntil[at])
	}
	return m
}

// send sends what is not in flight, in order, on the connection that there is.
//
// An idempotent producer sends the first batch of an epoch alone. Kafka's clients do not: if the first is refused for
// a moment and the second is not, a partition that knows nothing of the producer takes the second, in Kafka as here.
func (c *client) send() {
	if c.waiting {
		return
	}
	if c.conn == nil || !c.conn.alive {
		c.waiting = true
		c.s.after(c.s.between(time.Millisecond, 300*time.Millisecond), c.connect)
		return
	}
	for _, m := range c.unacked {
		if !m.flying {
			c.conn.send(m)
		}
	}
}

func (c *client) connect() {
	c.waiting = false
	if len(c.unacked) == 0 {
		return
	}
	if c.s.gateway.dead {
		c.waiting = true
		c.s.after(c.s.between(50*time.Millisecond, 300*time.Millisecond), c.connect)
		return
	}
	c.conn = &clientConn{c: c, g: c.s.gateway, alive: true}
	c.s.gateway.conns = append(c.s.gateway.conns, c.conn)
	for _, m := range c.unacked {
		m.flying = false
	}
	c.send()
}

func (n *clientConn) send(m *content) {
	s := n.c.s
	m.flying = true
	m.attempts++
	n.lastIn = max(n.lastIn, s.at+s.net())
	s.when(n.lastIn, func() {
		if n.g.dead || !n.alive && s.chance(0.5) {
			return // lost; otherwise the bytes of a dead connection arrive all the same
		}
		n.arrive(m)
	})
	s.after(s.knobs.clientPatience, func() {
		if n.alive && m.flying && n.c.conn == n && slices.Contains(n.c.unacked, m) {
			s.tracef("client %d: no answer for %s", n.c.id, m.name)
			n.c.tired()
			n.broken()
		}
	})
}

// arrive is what the gateway's connection does with one request.
func (n *clientConn) arrive(m *content) {
	s := n.c.s
	o := &owed{of: m}
	n.owed = append(n.owed, o)
	n.g.intake.Produce(ingest.Request{TopicPartition: n.c.tp, Records: m.body, Acks: n.c.acks}, func(r ingest.Result) {
		if o.done {
			s.violate("ingest", "%s answered twice", m.name)
		}
		o.done, o.r = true, r
		s.oracle.answered(m, r)
		n.flush()
	})
}

// flush sends the answers that are due, in the order of the requests.
func (n *clientConn) flush() {
	s := n.c.s
	for len(n.owed) > 0 && n.owed[0].done {
		o := n.owed[0]
		n.owed = n.owed[1:]
		n.lastOut = max(n.lastOut, s.at+s.net())
		s.when(n.lastOut, func() {
			if !n.alive {
				return
			}
			if o.r.Close {
				n.broken()
				return
			}
			n.c.answered(o.of, o.r)
		})
	}
}

// broken ends the connection; the client notices and sends all that is unanswered again.
func (n *clientConn) broken() {
	if !n.alive {
		return
	}
	n.alive = false
	if n.c.conn == n {
		n.c.conn = nil
		n.c.send()
	}
}

// tired may make the client give up what it waits for, as a delivery time-out does.
func (c *client) tired() {
	if c.s.healed || !c.s.chance(0.15) {
		return
	}
	c.s.tracef("client %d: gives %d batches up", c.id, len(c.unacked))
	for _, m := range c.unacked {
		m.given = true
	}
	c.unacked = nil
	if c.idempotent {
		c.bump()
	}
}

const (
	codeUnknown    = -1
	codeOutOfOrder = 45
	codeStaleEpoch = 47
)

func (c *client) answered(m *content, r ingest.Result) {
	i := slices.Index(c.unacked, m)
	if i < 0 {
		return
	}
	m.flying = false
	switch r.Code {
	case 0:
		c.unacked = slices.Delete(c.unacked, i, i+1)
		c.proven = true
		c.s.stats.acks++
		return
	case codeUnknown: // final, and no news about what is stored
		m.given = true
		c.unacked = slices.Delete(c.unacked, i, i+1)
		return
	case codeOutOfOrder, codeStaleEpoch:
		if i == 0 || r.Code == codeStaleEpoch {
			c.s.violate("B2", "client %d: %s (epoch %d sequence %d) is next, and the answer is code %d", c.id, m.name, m.epoch, m.seq, r.Code)
			return
		}
	}
	if !c.waiting {
		c.waiting = true
		c.s.after(c.s.between(50*time.Millisecond, 200*time.Millisecond), func() {
			c.waiting = false
			c.send()
		})
	}
}
