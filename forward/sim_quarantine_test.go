package forward

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/quarantine"
	"github.com/streamdown/streamdown/sink"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// ill is why brokers refuse a batch for what it is: from a moment on, for a while or for good, whether they hold it or not.
type ill struct {
	from, until time.Duration // until 0: for good
	over        bool
}

const (
	codeInvalid = 87
	simData     = "data"
)

// refuses is the validation that a leader does before it looks for duplicates.
//
// A refusal that ends does so when no request of a dead connection is on its way: that is a limit. Such a request would have
// to stay behind while the batch is refused twice, and to land when it is not refused any more. So does a process on a copy
// of the directory that goes on sending meanwhile.
func (p *partition) refuses(payload []byte) int16 {
	s := p.s
	if s.at < p.limitUntil && batch.HeaderSize+len(payload) > p.limit {
		return codeTooLarge
	}
	m := s.oracle.contents[string(payload)]
	if m == nil || m.ill == nil || m.ill.over || s.at < m.ill.from {
		return 0
	}
	if m.ill.until > 0 && s.at >= m.ill.until && p.zombies == 0 && s.stats.clones == 0 {
		m.ill.over = true
		s.tracef("kafka: %s is not refused any more", m.name)
		return 0
	}
	m.spat++
	return codeInvalid
}

// faultIll makes brokers refuse some of the newest batches, which may be on their way or stored by now, or of those to come.
func (s *sim) faultIll() {
	at := s.pick(s.knobs.partitions)
	until := time.Duration(0)
	if s.chance(0.6) {
		until = s.at + s.between(100*time.Millisecond, 6*time.Second)
	}
	n := 1
	if s.chance(0.3) {
		n += s.pick(4)
	}
	if s.chance(0.5) {
		s.illNext[at], s.illUntil[at] = n, until
		return
	}
	l := &s.oracle.lanes[at]
	first := max(0, len(l.batches)-1-s.pick(6))
	for i := first; i < len(l.batches) && n > 0; i++ {
		s.sicken(l.batches[i].of, until)
		n--
	}
}

func (s *sim) sicken(m *content, until time.Duration) {
	if m.ill == nil {
		m.ill = &ill{from: s.at, until: until}
		s.stats.ill++
		s.tracef("kafka: %s is refused from now until %v", m.name, until)
	}
}

// sickenLate makes brokers refuse, from now on, what a request of a dead connection has just brought: whoever asked a moment
// ago knows nothing of it.
func (s *sim) sickenLate(parcels []sink.Parcel) {
	if s.healed || !s.knobs.sickly || !s.chance(0.5) {
		return
	}
	until := time.Duration(0)
	if s.chance(0.7) {
		until = s.at + s.between(50*time.Millisecond, 3*time.Second)
	}
	for i := range parcels {
		if m := s.oracle.contents[string(parcels[i].Payload)]; m != nil {
			s.sicken(m, until)
		}
	}
}

// faultLimit lowers max.message.bytes for a while: a matter of settings, and of no batch.
func (s *sim) faultLimit() {
	p := s.kafka.partitions[s.pick(len(s.kafka.partitions))]
	p.limit, p.limitUntil = 70+s.pick(60), s.at+s.between(100*time.Millisecond, 4*time.Second)
	s.stats.limits++
	s.tracef("kafka: %s takes %d bytes until %v", p.tp, p.limit, p.limitUntil)
}

func (a *simActor) Inspect(lane streamdown.LaneID, _ InspectRequest) {
	g := a.g()
	p := g.s.kafka.partition(g.s.log.names[lane])
	node := int32(g.s.pick(len(g.s.kafka.brokers)))
	fail := func(err error) { g.core.Inspected(g.s.now(), lane, catalog.TopicConfig{}, sink.Doubt, err) }
	g.s.kafka.reach(node, 15*time.Second, fail, func(*broker) {
		cfg := catalog.DefaultTopicConfig()
		if cfg.Known = true; g.s.at < p.limitUntil {
			cfg.MaxMessageBytes = int32(p.limit)
		}
		g.s.own(g.s.net(), func() { g.core.Inspected(g.s.now(), lane, cfg, sink.OK, nil) })
	})
}

func (s *sim) store() *quarantine.Store { return quarantine.New(s.disk, simData) }

func (a *simActor) Quarantine(lane streamdown.LaneID, r QuarantineRequest) {
	g := a.g()
	s := g.s
	q, body := r.Batch, slices.Clone(r.Body)
	q.At, q.Log = s.now(), "sim"
	fail := func(b delivery.Binding, class sink.Class, err error) {
		g.core.Quarantined(s.now(), lane, b, class, err)
	}
	put := func() error { return s.store().Put(recordOf(&q, s.log.names[lane]), body) }
	s.own(s.between(0, 20*time.Millisecond), func() {
		if !s.healed && s.chance(0.05) {
			s.disk.Inject(func(op vfs.Op, _ string) error {
				if op.Changes() {
					return errSimRead
				}
				return nil
			})
			err := put()
			s.disk.Inject(nil)
			fail(delivery.Binding{}, sink.Forbidden, err)
			return
		}
		if s.plant == plantPutLate {
			s.own(s.between(0, time.Second), func() { _ = put() }) // what becomes of it is the point
		} else if err := put(); err != nil {
			s.violate("model", "put: %v", err)
		}
		a.identify(lane, r.Bind, fail, func(b delivery.Binding) {
			e, err := delivery.QuarantineEntry(q, b)
			if err != nil {
				s.violate("model", "quarantine: %v", err)
				return
			}
			g.append(e)
			durable := g.whenDurable
			if s.plant == plantAsideEarly {
				durable = func(_ streamdown.LSN, fn func()) { s.own(0, fn) }
			}
			durable(e.End(), func() {
				s.tracef("core: %s quarantined from %d, bound epoch %d base %d", r.Bind.TopicPartition, q.From, b.Epoch, b.Base)
				g.core.Quarantined(s.now(), lane, b, sink.OK, nil)
			})
		})
	})
}

// person retries and discards what is in quarantine, one batch at a time, and lets lanes go on that stopped after three.
type person struct {
	s     *sim
	g     *gateway
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
}

var errSimEnded = errors.New("the process has ended")

func (g *gateway) people() {
	s := g.s
	s.own(s.between(300*time.Millisecond, 3*time.Second), g.people)
	for _, l := range g.core.order {
		if l.stop != nil && strings.Contains(l.stop.Reason, "in a row") && (s.healed || s.chance(0.3)) {
			s.stats.rows++
			s.resume(l.tp)
		}
	}
	if g.person != nil {
		return
	}
	var kept []delivery.Quarantined
	for _, q := range g.book.Quarantines() {
		if q.Fate == delivery.Kept {
			kept = append(kept, q)
		}
	}
	if len(kept) == 0 {
		return
	}
	q := kept[s.pick(len(kept))]
	order := Order{Lane: q.Lane, From: q.From, By: "sim", Why: "test"}
	c := &Custody{
		Target: nil, Log: nil, Book: g.book, Store: s.store(), View: g.catalog.Cluster, Name: s.log.laneName, Now: s.now,
		plantBlind: s.plant == plantBlind,
	}
	p := &person{s: s, g: g}
	c.Target, c.Log = p, p
	discard := s.chance(0.05)
	g.person = p
	p.start(func() {
		var how string
		var is delivery.Quarantined
		var err error
		if discard {
			is, how, err = c.Discard(context.Background(), order)
		} else {
			is, how, err = c.Retry(context.Background(), order)
		}
		if (how != "") != (is.Fate == delivery.Late || is.Fate == delivery.Discarded) && err == nil || how != "" && err != nil {
			s.violate("retry", "%s@%d: %q is said of a batch that is %q: %v", s.log.names[q.Lane], q.From, how, is.Fate, err)
		}
		s.tracef("person: %s@%d: %s %v", s.log.names[q.Lane], q.From, how, err)
		switch {
		case how == Sent:
			s.stats.late++
		case how == Found:
			s.stats.found++
		case errors.Is(err, ErrNotKnown):
			s.stats.unknown++
		case errors.Is(err, ErrUnproven), errors.Is(err, quarantine.ErrDamaged):
			s.violate("retry", "%s@%d: %v", s.log.names[q.Lane], q.From, err)
		}
	})
}

// resume is a person's order to lanes that stopped. Three in a row are counted from there on.
func (s *sim) resume(tp streamdown.TopicPartition) {
	s.tracef("person: resume %s", tp)
	for _, l := range s.gateway.core.order {
		if l.tp == tp || tp.Topic == "*" {
			s.oracle.lanes[place(l.tp)].rowFrom = l.confirmed
		}
	}
	s.gateway.core.Resume(s.now(), tp)
}

func (p *person) Append(e *wal.Entry) (streamdown.LSN, error) { return p.s.log.Append(e) }

func (p *person) Wait(_ context.Context, lsn streamdown.LSN) error {
	return p.await(func(done func()) { p.g.whenDurable(lsn, done) })
}

func (p *person) NewProducerID(context.Context) (pid int64, err error) {
	return pid, errors.Join(p.await(func(done func()) {
		p.s.kafka.newProducer(func(got int64, _ sink.Class, e error) { pid, err = got, e; done() })
	}), err)
}

func (p *person) End(_ context.Context, node int32, tp streamdown.TopicPartition) (end streamdown.Offset, err error) {
	stopped := p.await(func(done func()) {
		p.s.kafka.endOffset(BindRequest{Node: node, TopicPartition: tp}, func(at streamdown.Offset, _ sink.Class, e error) { end, err = at, e; done() })
	})
	return end, errors.Join(stopped, err)
}

func (p *person) Scan(_ context.Context, r ScanRequest) (found sink.Found, err error) {
	stopped := p.await(func(done func()) {
		p.s.kafka.scan(r, func(f sink.Found, _ sink.Class, e error) { found, err = f, e; done() })
	})
	return found, errors.Join(stopped, err)
}

func (p *person) Deliver(_ context.Context, node int32, q *sink.Parcel) (a sink.Answer, err error) {
	p.s.oracle.again(q)
	stopped := p.await(func(done func()) {
		p.s.kafka.deliver(p.g, node, q, func(got sink.Answer, e error) { a, err = got, e; done() })
	})
	return a, errors.Join(stopped, err)
}

// deliver is one parcel on a connection of its own: lost on the way there or back, late, or landing after our process died.
func (c *cluster) deliver(g *gateway, node int32, q *sink.Parcel, done func(sink.Answer, error)) {
	s, b := c.s, c.broker(node)
	own, life, p := *q, b.life, c.partition(q.TopicPartition)
	own.Payload = slices.Clone(q.Payload)
	tell := func(d time.Duration, a sink.Answer, err error) {
		s.after(d, func() {
			if !g.dead {
				done(a, err)
			}
		})
	}
	took := s.net()
	if !s.healed && s.chance(0.15) {
		took = s.between(0, 3*time.Second)
	}
	lost := !s.healed && s.chance(0.25)
	early := !s.healed && s.chance(0.1) // we give up while it is on its way
	p.zombies++
	if early {
		tell(took/2, sink.Answer{}, errSimSilent)
	}
	s.after(took, func() {
		p.zombies--
		p.landed = s.at
		switch {
		case !b.up || b.life != life || s.at < b.refuseUntil || s.at < b.silentUntil:
			if !early {
				tell(s.net(), sink.Answer{}, errSimReset)
			}
		default:
			b.produce([]sink.Parcel{own}, func(answers []sink.Answer) {
				switch {
				case early:
				case lost:
					tell(s.net(), sink.Answer{}, errSimReset)
				default:
					tell(s.net(), answers[0], nil)
				}
			})
		}
	})
}
