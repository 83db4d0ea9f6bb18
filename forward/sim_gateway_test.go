package forward

import (
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/breaker"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/ingest"
	"github.com/streamdown/streamdown/wal"
)

// gateway is one life of our process: the real intake, book, catalog and core between the models.
type gateway struct {
	s          *sim
	life       int
	dead       bool
	book       *delivery.Book
	catalog    *catalog.Catalog
	intake     *ingest.Intake
	core       *Core
	pipes      map[int32]*simPipe // looked up only
	pid        int64
	pidOf      string
	conns      []*clientConn
	person     *person
	firsts     [4]int32 // planted: the first sequence of each partition in this life
	renumbered [4]bool
	nanos      time.Duration // makes the intake's clock move on with every look at it
}

// own runs fn later in the life of the process that is running now; it dies with it.
func (s *sim) own(d time.Duration, fn func()) {
	g := s.gateway
	s.after(d, func() {
		if !g.dead {
			fn()
		}
	})
}

// open starts our process on what the log holds.
func (s *sim) open() {
	k := &s.knobs
	g := &gateway{s: s, book: delivery.New(), catalog: catalog.New(), pipes: map[int32]*simPipe{}, pid: -1}
	if s.gateway != nil {
		g.life = s.gateway.life + 1
	}
	s.gateway = g
	g.intake = ingest.New(ingest.Config{
		Confirmations: &watchedBook{g.book, s},
		Policy: func(string) (ingest.Policy, bool) {
			return ingest.Policy{Remote: k.remote, Patience: k.patience, RejectIsolated: k.reject}, true
		},
		Cluster: g.catalog.Cluster,
		// A full log is refused at once instead of after some real seconds: the simulation must not sleep.
		HoldFor: 1,
		Now: func() time.Time {
			g.nanos++
			return s.now().Add(g.nanos)
		},
	})
	s.log.reopen([]wal.Book{g.book, g.intake, g.catalog})
	g.intake.Attach(s.log)
	g.catalog.Remember()
	if s.plant == plantOpenLate {
		s.own(s.between(0, 3*time.Second), func() { g.append(&wal.Entry{Kind: wal.KindOpened}) })
	} else {
		g.append(&wal.Entry{Kind: wal.KindOpened})
	}
	cfg := Config{
		Name: s.log.laneName, Book: g.book, From: g.book.Watermark(), Durable: s.log.durable(),
		Breaker: breaker.Config{Seed: s.rng.Uint64()}, Patience: k.patience, Window: k.window, Request: k.request, ahead: k.ahead, near: k.near, spoil: true,
		Class: rankOf,
	}
	s.plant.config(&cfg)
	g.core = New(cfg, (*simActor)(g))
	s.tracef("gateway: life %d, lanes %d, from %d to %d", g.life, len(g.book.Lanes()), cfg.From, cfg.Durable)
	g.core.Start(s.now())
	s.own(s.between(0, 50*time.Millisecond), g.tick)
	s.own(time.Second, g.progress)
	s.own(time.Second, g.people)
}

func (g *gateway) tick() {
	g.core.Tick(g.s.now())
	g.book.Sweep(g.s.now())
	g.s.oracle.bounded(g.core)
	g.s.own(50*time.Millisecond, g.tick)
}

func (g *gateway) appended() { g.core.Appended(g.s.now(), g.s.log.durable()) }

func (g *gateway) progress() {
	mark := g.core.Watermark()
	if g.s.plant == plantRelease && g.s.chance(0.2) {
		mark = g.s.log.durable()
	}
	g.s.oracle.watermark(g, mark)
	if e := g.book.ProgressEntry(mark); e != nil {
		g.append(e)
	}
	g.s.own(time.Second, g.progress)
}

func (g *gateway) append(e *wal.Entry) {
	if _, err := g.s.log.Append(e); err != nil {
		g.s.violate("log", "append kind %d: %v", e.Kind, err)
	}
}

// crash ends our process at once: kill -9. It is started again on what its log is by then.
func (s *sim) crash() {
	s.kill()
	s.log.crash()
	s.after(s.between(10*time.Millisecond, 2*time.Second), s.open)
}

func (s *sim) kill() {
	g := s.gateway
	s.stats.crashes++
	s.tracef("gateway: CRASH")
	s.endLife()
	s.disk = s.disk.Crash(s.rng)
	for _, b := range s.kafka.brokers {
		if p := g.pipes[b.id]; p != nil {
			p.cut(true)
		}
	}
	for _, c := range g.conns {
		c.broken()
	}
}

func (s *sim) endLife() {
	g := s.gateway
	st := g.core.Status()
	s.stats.scans += int(st.Scans)
	s.stats.repeats += int(g.intake.Stats().Repeated)
	s.stats.cursors += max(0, len(g.core.readers)-1) // cursors that were ever used
	for i := range st.Lanes {
		if st.Lanes[i].Doubled > 0 {
			s.violate("G6", "%s: the scan met %d batches twice", st.Lanes[i].TopicPartition, st.Lanes[i].Doubled)
		}
		s.oracle.reported(st.Lanes[i].TopicPartition, st.Lanes[i].Foreign)
	}
	g.dead = true
	g.end()
}

// watchedBook is the book that the intake waits on, with the oracle looking on.
type watchedBook struct {
	*delivery.Book
	s *sim
}

// Await implements ingest.Confirmations.
func (w *watchedBook) Await(id streamdown.LaneID, from, to streamdown.Ordinal, deadline time.Time, done func(streamdown.Offset, bool)) {
	waits := w.Lane(id).Confirmed < to
	w.Book.Await(id, from, to, deadline, func(base streamdown.Offset, confirmed bool) {
		if confirmed {
			w.s.oracle.told(w.s.log.names[id], from)
		}
		if confirmed && waits {
			w.s.stats.remote++
			w.s.oracle.remote(w.s.log.names[id], from, base)
		}
		done(base, confirmed)
	})
}

// withoutProducer is the batch as a producer without idempotence would have sent it; only its header is looked at.
func withoutProducer(b []byte) []byte {
	out := append([]byte(nil), b...)
	batch.Restamp((*[batch.HeaderSize]byte)(out), b, batch.NoStamp)
	return out
}
