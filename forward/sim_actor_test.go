package forward

import (
	"errors"
	"slices"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/sink"
	"github.com/streamdown/streamdown/wal"
)

// simActor is the gateway as its Core sees it: what Forwarder does with goroutines, done with events.
type simActor gateway

func (a *simActor) g() *gateway { return (*gateway)(a) }

func (a *simActor) Read(r Reader, from streamdown.LSN) {
	g := a.g()
	if g.s.plant == plantLostRead && g.s.chance(0.02) {
		return
	}
	limit := 1 + g.s.pick(4000)
	g.s.own(g.s.between(0, 4*time.Millisecond), func() {
		entries, next, err := g.s.log.read(from, limit)
		for i := range entries {
			entries[i].Body = slices.Clone(entries[i].Body)
		}
		g.s.own(g.s.between(0, time.Millisecond), func() {
			g.core.Chunk(g.s.now(), r, entries, next, err)
			for i := range entries { // the reader fills its buffer again
				spoil(entries[i].Body)
			}
		})
	})
}

func spoil(b []byte) {
	for i := range b {
		b[i] = 0xdb
	}
}

func (a *simActor) Connect(node int32) {
	g := a.g()
	g.s.kafka.dial(node, func(p *simPipe, reset bool, err error) {
		if err == nil {
			g.pipes[node] = p
		}
		g.core.Connected(g.s.now(), node, reset, err)
	})
}

// lost tells the core about the end of a connection, once.
func (g *gateway) lost(p *simPipe, reset bool, err error) {
	if g.pipes[p.node] != p {
		return
	}
	delete(g.pipes, p.node)
	g.s.stats.cuts++
	g.s.tracef("core: lost node %d: %v", p.node, err)
	g.core.Lost(g.s.now(), p.node, reset, err)
}

var errSimOurs = errors.New("closed by us")

func (a *simActor) Disconnect(node int32) {
	g := a.g()
	p := g.pipes[node]
	if p == nil {
		return
	}
	p.cut(true)
	g.s.own(0, func() { g.lost(p, false, errSimOurs) })
}

func (a *simActor) Send(node int32, tag uint64, parcels []sink.Parcel) {
	if a.s.plant == plantRenumber {
		a.renumber(parcels)
	}
	a.s.oracle.sent(parcels)
	if p := a.pipes[node]; p == nil || !p.send(tag, parcels) {
		a.Disconnect(node)
	}
}

// renumber is a planted bug: each life of the process begins a new numbering under the old identity.
func (a *simActor) renumber(parcels []sink.Parcel) {
	for i := range parcels {
		p := &parcels[i]
		h, err := batch.ParseHeader(p.Header[:])
		if err != nil {
			return
		}
		tp := place(p.TopicPartition)
		if !a.renumbered[tp] {
			a.renumbered[tp], a.firsts[tp] = true, h.BaseSequence
		}
		batch.Restamp(&p.Header, slices.Concat(p.Header[:], p.Payload), batch.Stamp{ProducerID: h.ProducerID, Epoch: h.ProducerEpoch, BaseSequence: h.BaseSequence - a.firsts[tp]})
	}
}

func (a *simActor) Bind(lane streamdown.LaneID, r BindRequest) {
	g := a.g()
	fail := func(b delivery.Binding, class sink.Class, err error) { g.core.Bound(g.s.now(), lane, b, class, err) }
	a.identify(lane, r, fail, func(b delivery.Binding) {
		e := delivery.BindingEntry(b)
		g.append(e)
		durable := g.whenDurable
		if g.s.plant == plantBindEarly {
			durable = func(_ streamdown.LSN, fn func()) { fn() }
		}
		durable(e.End(), func() {
			g.s.tracef("core: bound %s pid %d epoch %d base %d end %d", r.TopicPartition, b.PID, b.Epoch, b.Base, b.End)
			g.core.Bound(g.s.now(), lane, b, sink.OK, nil)
		})
	})
}

// identify makes an identity.
func (a *simActor) identify(lane streamdown.LaneID, r BindRequest, failed func(delivery.Binding, sink.Class, error), done func(delivery.Binding)) {
	g := a.g()
	g.s.stats.binds++
	b := delivery.Binding{Lane: lane, Cluster: r.Cluster, Topic: r.Topic, PID: r.PID, Epoch: r.Epoch, Base: r.Base}
	fail := func(class sink.Class, err error) { failed(b, class, err) }
	end := func() {
		g.s.kafka.endOffset(r, func(end streamdown.Offset, class sink.Class, err error) {
			if err != nil {
				fail(class, err)
				return
			}
			b.End = end
			done(b)
		})
	}
	switch {
	case b.PID >= 0:
		end()
	case g.pid >= 0 && g.pidOf == r.Cluster && g.pid != r.Not:
		b.PID = g.pid
		end()
	default:
		g.s.kafka.newProducer(func(pid int64, class sink.Class, err error) {
			if err != nil {
				fail(class, err)
				return
			}
			if g.pid < 0 || g.pidOf != r.Cluster || g.pid == r.Not {
				g.pid, g.pidOf = pid, r.Cluster
			}
			b.PID = g.pid
			end()
		})
	}
}

func (g *gateway) whenDurable(lsn streamdown.LSN, fn func()) {
	if g.s.log.durable() >= lsn {
		fn()
		return
	}
	g.s.own(time.Millisecond, func() { g.whenDurable(lsn, fn) })
}

func (a *simActor) Ask(lane streamdown.LaneID, r AskRequest) {
	g := a.g()
	g.s.stats.asks++
	g.s.kafka.ask(r, func(held sink.Held, class sink.Class, err error) {
		g.s.tracef("core: asked %s: %+v %v", r.TopicPartition, held, err)
		g.core.Asked(g.s.now(), lane, held, class, err)
	})
}

func (a *simActor) Scan(lane streamdown.LaneID, r ScanRequest) {
	g := a.g()
	g.s.kafka.scan(r, func(found sink.Found, class sink.Class, err error) {
		g.s.tracef("core: scanned %s from %d: end %d, %d batches, %v", r.TopicPartition, r.From, found.End, len(found.Batches), err)
		g.core.Scanned(g.s.now(), lane, found, class, err)
	})
}

func (a *simActor) Look() {
	g := a.g()
	g.s.kafka.look(func(view *view, reset bool, err error) {
		if err != nil {
			g.core.Looked(g.s.now(), nil, reset, err)
			return
		}
		g.catalog.Update(view)
		for _, e := range g.catalog.Entries() {
			g.append(e)
		}
		g.core.Looked(g.s.now(), g.catalog.Cluster(), false, nil)
	})
}

func (a *simActor) Probe() {
	g := a.g()
	g.s.kafka.probe(func(ok bool, latency time.Duration) { g.core.Probed(g.s.now(), ok, latency) })
}

func (a *simActor) Confirm(lane streamdown.LaneID, to streamdown.Ordinal, end streamdown.Offset) {
	a.s.oracle.confirmed(a.s.log.names[lane], to, end)
	if a.s.plant == plantJump && a.s.chance(0.3) {
		return // the next one confirms these records too
	}
	a.book.Confirm(lane, to, end)
}

func (a *simActor) SetLive(lane streamdown.LaneID, live bool) {
	a.s.tracef("core: lane %d live %v", lane, live)
	a.book.SetLive(lane, live)
}

func (a *simActor) SetUp(up bool) { a.book.SetUp(up) }

func (a *simActor) Renew() {
	a.s.stats.renewals++
	a.g().append(&wal.Entry{Kind: wal.KindIdentity, Body: make([]byte, 32)})
}

func (a *simActor) Note(n Note) {
	a.s.tracef("note: %s %s %s", n.What, n.Lane, n.Detail)
	switch n.What {
	case "breaker open":
		a.s.stats.breakers++
	case "lane set aside":
		a.s.stats.parked++
	}
}
