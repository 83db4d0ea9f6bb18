package forward

import (
	"fmt"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/breaker"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/sink"
	"github.com/streamdown/streamdown/wal"
)

// Actor does what a Core decides. Its methods return at once and never call the Core; what comes of them is told to
// the Core as an event, later.
type Actor interface {
	Read(r Reader, from streamdown.LSN)                 // → Core.Chunk
	Connect(node int32)                                 // → Core.Connected
	Disconnect(node int32)                              // → Core.Lost, if the connection was up
	Send(node int32, tag uint64, parcels []sink.Parcel) // → Core.Answered, in the order of Send
	Bind(lane streamdown.LaneID, r BindRequest)         // → Core.Bound, once it is durable
	Ask(lane streamdown.LaneID, r AskRequest)           // → Core.Asked
	Scan(lane streamdown.LaneID, r ScanRequest)         // → Core.Scanned
	Inspect(lane streamdown.LaneID, r InspectRequest)   // → Core.Inspected
	// Quarantine makes the batch's file durable, then the log's entry. → Core.Quarantined, once that is.
	Quarantine(lane streamdown.LaneID, r QuarantineRequest)
	Look()  // → Core.Looked
	Probe() // → Core.Probed
	Confirm(lane streamdown.LaneID, to streamdown.Ordinal, end streamdown.Offset)
	SetLive(lane streamdown.LaneID, live bool)
	SetUp(up bool)
	Renew() // the log takes a new identity, durably before the next binding is (rule A2)
	Note(n Note)
}

// Book answers what is durable of a lane, from memory; *delivery.Book is one.
type Book interface {
	Lane(id streamdown.LaneID) delivery.Lane
	Held(tp streamdown.TopicPartition) (delivery.Hold, bool)
	Quarantine(id streamdown.LaneID) []delivery.Quarantined
}

// Note is something that a person would want to be told; it becomes a log line.
type Note struct {
	Bad    bool
	What   string // constant phrase
	Lane   streamdown.TopicPartition
	Detail string
}

// BindRequest asks for a durable identity of a lane at the target. Epoch and Base are decided; a PID of -1 means the
// one that this process has at the target, allocated there on first use, and another one if that is Not. No process
// begins a binding under a producer id that an earlier one allocated: whoever runs on a copy of the directory has that
// one too (rule A2).
type BindRequest struct {
	Node           int32
	TopicPartition streamdown.TopicPartition
	Cluster        string
	Topic          streamdown.ID
	PID            int64
	Not            int64 // -1 = none
	Epoch          int16
	Base           streamdown.Ordinal
}

// AskRequest asks what the target holds of a producer id.
type AskRequest struct {
	Node           int32
	TopicPartition streamdown.TopicPartition
	PID            int64
}

// ScanRequest asks for the batches of a producer id from an offset on.
type ScanRequest struct {
	Node           int32
	TopicPartition streamdown.TopicPartition
	Topic          streamdown.ID
	LeaderEpoch    int32
	From           streamdown.Offset
	PID            int64
}

// Config says how a Core works. Zero values mean the defaults.
type Config struct {
	Name     func(streamdown.LaneID) (streamdown.TopicPartition, bool) // required
	Book     Book                                                      // required
	From     streamdown.LSN                                            // where reading begins: the book's watermark, at least the log's first LSN
	Durable  streamdown.LSN                                            // the log's durable end
	Breaker  breaker.Config
	Patience time.Duration // age above which a lane counts as not caught up, and silence as an outage; default 1.5 s
	Window   int           // bytes read ahead for all lanes together; default 64 MiB
	Request  int           // bytes of one produce request; default 1 MiB
	// Class tells the priority class of a topic; nil means that all are of one. A request never has lanes of two (rule C2):
	// its answer comes when the slowest of its partitions has answered.
	Class    func(topic string) int
	LookEach time.Duration // between looks at the cluster when all is well; default 5 s

	ahead int  // bytes read ahead for one lane; laneAhead
	near  int  // log bytes that a reader goes back rather than to start another one; nearby
	spoil bool // for the simulation: what is given back or used again is overwritten first

	// Planted bugs for the simulation: it has to find them.
	plantSilence bool // a lost answer means that nothing was stored
	plantSwap    bool // two batches of a lane leave in the wrong order
	plantEarly   bool // a sent batch counts as confirmed
	plantWarm    bool // a cold lane has as many in flight as a warm one
	plantBump    bool // a lost connection ends in a new epoch instead of a question
	plantAlias   bool // batches stay in the reader's buffer
	plantHasty   bool // a batch's buffer is given back when it was sent
	plantReuse   bool // a request's parcels are used again when it was sent
	plantEnd     bool // what the target may hold of ours ends where the log ends now
	plantLast    bool // the end that counts is the one of the last opening, not of the first since the binding
	plantStay    bool // a lane goes on under the binding that it found in the log
	plantOldID   bool // a new life takes a new epoch of the old producer id
	plantMove    bool // what is not stored after a scan goes out under the new id at once
	plantSkip    bool // a new life does not ask what is stored under the binding before
	plantMix     bool // a request takes lanes of all classes

	plantUnasked     bool // a batch is quarantined when it was refused once
	plantRefusedBump bool // a refusal ends in a new epoch instead of a question
	plantLimits      bool // a lowered limit counts as the batch's own fault
}

func (c Config) withDefaults() Config {
	if c.Patience <= 0 {
		c.Patience = 1500 * time.Millisecond
	}
	if c.Window <= 0 {
		c.Window = 64 << 20
	}
	if c.Request <= 0 {
		c.Request = 1 << 20
	}
	if c.LookEach <= 0 {
		c.LookEach = 5 * time.Second
	}
	if c.ahead <= 0 {
		c.ahead = laneAhead
	}
	if c.near <= 0 {
		c.near = nearby
	}
	c.Breaker.Patience = c.Patience
	return c
}

const (
	laneDepth     = 5 // batches in flight per lane: what a broker recognizes again (KIP-98)
	nodeDepth     = 5 // requests in flight per connection
	idleCold      = 10 * time.Minute
	backoffMin    = 50 * time.Millisecond
	backoffMax    = 2 * time.Second
	forbiddenWait = 10 * time.Second // a lane that stopped for a config error looks again after this time
	missingFor    = 10 * time.Second // a topic that does not exist for so long is a config error
	lookSoonest   = 200 * time.Millisecond
	defaultExpiry = 24 * time.Hour
	trimEach      = 10 * time.Second // buffers that nobody needed for so long are let go
)

// Core decides for all lanes of one target. It is owned by one goroutine. Every event carries the time.
type Core struct {
	cfg Config
	act Actor
	now time.Time

	lanes   map[streamdown.LaneID]*lane
	order   []*lane // by first appearance, so that iteration is the same in every run
	nodes   map[int32]*node
	nodeIDs []int32
	readers []*reader // [0] is the main reader; others are cursors, nil when not in use
	durable streamdown.LSN
	bytes   int     // read ahead, all lanes together
	bodies  bodies  // that they are in
	touched []*lane // got batches from the chunk being taken
	spare   spares
	trimAt  time.Time

	view     *catalog.Cluster
	lookedAt time.Time
	looking  bool
	lookSoon bool

	brk     *breaker.Breaker
	up      bool // what SetUp was told last
	probing bool

	tag         uint64
	renewed     bool    // somebody else wrote in the log's name
	quarantines int     // batches, since the start
	damage      []Range // of the log, met while reading
	counts      map[sink.Class]uint64
	sent        uint64 // batches
	scans       uint64
	lastRead    time.Time // arrival of the newest entry that the main reader saw
}

// Range is a range of the log.
type Range struct{ From, To streamdown.LSN }

// New returns a Core that knows what the book knows. Call Start next.
func New(cfg Config, act Actor) *Core {
	cfg = cfg.withDefaults()
	return &Core{
		cfg: cfg, act: act,
		lanes: map[streamdown.LaneID]*lane{}, nodes: map[int32]*node{},
		readers: []*reader{{pos: cfg.From}}, durable: cfg.Durable,
		brk: breaker.New(cfg.Breaker), counts: map[sink.Class]uint64{},
		bodies: bodies{most: cfg.Window, spoil: cfg.spoil},
	}
}

// Start begins: it looks at the cluster and reads the log.
func (c *Core) Start(now time.Time) {
	c.now = now
	c.look()
	c.feed()
}

// Appended says that the log is durable up to lsn.
func (c *Core) Appended(now time.Time, lsn streamdown.LSN) {
	c.now = now
	c.durable = max(c.durable, lsn)
	c.feed()
}

// Looked brings a new look at the cluster, or why there is none. reset says that the cluster refused or reset.
func (c *Core) Looked(now time.Time, view *catalog.Cluster, reset bool, err error) {
	c.now = now
	c.looking = false
	if err != nil {
		c.lookSoon = true
		if !c.anyUp() {
			c.change(c.brk.Failure(now, reset, fmt.Sprintf("metadata: %v", err)))
		}
		return
	}
	c.view = view
	c.change(c.brk.Success(now))
	if !c.brk.Allow() {
		return
	}
	c.setUp(true)
	for _, l := range c.order {
		l.class = c.class(l.tp)
		c.advance(l)
	}
	c.flush()
	c.feed()
}

func (c *Core) class(tp streamdown.TopicPartition) int {
	if c.cfg.Class == nil {
		return 0
	}
	return c.cfg.Class(tp.Topic)
}

// ProbeFailed tells why a probe came to nothing; Probed comes next. What is wrong may have changed since the breaker
// opened: a broker is back, and has another certificate.
func (c *Core) ProbeFailed(now time.Time, why error) {
	c.now = now
	if c.brk.State() == breaker.Open {
		c.change(c.brk.Failure(now, false, why.Error()))
	}
}

// Probed brings the outcome of a probe.
func (c *Core) Probed(now time.Time, ok bool, latency time.Duration) {
	c.now = now
	c.probing = false
	c.change(c.brk.Probe(now, ok, latency))
}

// change follows the breaker.
func (c *Core) change(ch breaker.Change, changed bool) {
	if !changed {
		return
	}
	c.act.Note(Note{Bad: ch.To != breaker.Closed, What: "breaker " + ch.To.String(), Detail: ch.Why})
	switch ch.To {
	case breaker.Open:
		c.setUp(false)
		for _, id := range c.nodeIDs {
			if n := c.nodes[id]; n.state != down {
				n.closing = true
				c.act.Disconnect(id)
			}
		}
	case breaker.Closed:
		for _, id := range c.nodeIDs {
			c.nodes[id].retryAt = time.Time{}
		}
		c.look()
	case breaker.HalfOpen:
	}
}

func (c *Core) setUp(up bool) {
	if c.up == up {
		return
	}
	c.up = up
	c.act.SetUp(up)
	for _, l := range c.order {
		// The book takes a lane without backlog for live when the target comes back; judge knows better.
		l.live = false
		c.act.SetLive(l.id, false)
	}
}

// look asks for a look now, unless one is under way.
func (c *Core) look() {
	if c.looking {
		c.lookSoon = true
		return
	}
	c.looking, c.lookSoon, c.lookedAt = true, false, c.now
	c.act.Look()
}

// Tick does what is due. Call it every 50 ms or so, and whenever a test wants time to pass.
func (c *Core) Tick(now time.Time) {
	c.now = now
	if !c.brk.Allow() {
		c.change(c.brk.Tick(now))
		if due := c.brk.NextProbe(); !c.probing && !due.IsZero() && !now.Before(due) {
			c.probing = true
			c.act.Probe()
		}
	}
	if since := now.Sub(c.lookedAt); !c.looking && c.brk.Allow() && (since >= c.cfg.LookEach || c.lookSoon && since >= lookSoonest) {
		c.look()
	}
	c.listen()
	for _, l := range c.order {
		c.wake(l)
		c.advance(l)
	}
	c.flush()
	c.unstick()
	c.feed()
	for _, l := range c.order {
		c.judge(l)
	}
	if !now.Before(c.trimAt) {
		c.bodies.trim()
		c.trimAt = now.Add(trimEach)
	}
}

// Resume gives a stopped lane another try, and lets lanes go on that were held.
func (c *Core) Resume(now time.Time, tp streamdown.TopicPartition) {
	c.now = now
	for _, l := range c.order {
		if l.tp == tp || tp.Topic == l.tp.Topic && tp.Partition < 0 || tp.Topic == "*" {
			l.stop = nil
			l.rowFrom = l.confirmed // a person has looked
			l.retryAt = time.Time{}
			c.wake(l)
			c.advance(l)
		}
	}
	c.flush()
	c.feed()
}

func (c *Core) expiry() time.Duration {
	if c.view != nil && c.view.ProducerExpiry > 0 {
		return c.view.ProducerExpiry
	}
	return defaultExpiry
}

func (c *Core) lane(id streamdown.LaneID) *lane {
	if l := c.lanes[id]; l != nil {
		return l
	}
	tp, ok := c.cfg.Name(id)
	if !ok {
		return nil
	}
	known := c.cfg.Book.Lane(id)
	l := &lane{
		id: id, tp: tp, class: c.class(tp), bound: known.Bound, bind: known.Binding, confirmed: known.Confirmed, wanted: known.Confirmed,
		offset: known.Offset, doubt: known.Bound, cold: true, live: c.up, scannedOf: nobody,
		closed: known.Bound, most: known.End,
	}
	if known.Closed && !c.cfg.plantLast {
		l.most = known.Limit // otherwise the log shows its opening in a moment: no record that came later is in the book yet
	}
	if c.cfg.plantStay {
		l.closed = false
	}
	if c.cfg.plantSkip && l.closed {
		l.doubt, l.most = false, l.confirmed
	}
	l.hazy = l.most
	l.progress = c.now
	c.lanes[id] = l
	c.order = append(c.order, l)
	// The book met the lane earlier, when the target may have been down: without a word from here both would go on
	// believing different things, and judge only tells changes.
	c.act.SetLive(id, l.live)
	return l
}

// Watermark is the lowest LSN that holds something unconfirmed, or is not read yet.
func (c *Core) Watermark() streamdown.LSN {
	low := c.readers[mainReader].pos
	for _, r := range c.readers[1:] {
		if r != nil {
			low = min(low, r.pos)
		}
	}
	for _, l := range c.order {
		switch {
		case len(l.queue) > 0:
			low = min(low, l.queue[0].lsn)
		case l.parked:
			low = min(low, l.from)
		}
	}
	return low
}

var _ Book = (*delivery.Book)(nil)

// entryIsBatch keeps the reader's loop readable.
func entryIsBatch(e *wal.Entry) bool { return e.Kind == wal.KindBatch }
