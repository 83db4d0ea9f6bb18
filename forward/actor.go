package forward

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/sink"
	"github.com/streamdown/streamdown/wal"
)

// actor is the Forwarder as its Core sees it. Its methods are called in the loop.
type actor Forwarder

func (a *actor) f() *Forwarder { return (*Forwarder)(a) }

func (a *actor) Read(r Reader, from streamdown.LSN) {
	f := a.f()
	// The Core asks for the next read before this one's chunk is free again, so a reader has two of them.
	var c *chunk
	if last := len(f.chunks) - 1; last >= 0 {
		c, f.chunks = f.chunks[last], f.chunks[:last]
	} else {
		c = &chunk{f: f}
		c.read, c.hand = c.doRead, c.doHand
	}
	c.reader, c.from = r, from
	f.wg.Go(c.read)
}

// chunk is one read of the log, and the buffer for it.
type chunk struct {
	wal.Chunk
	f      *Forwarder
	reader Reader
	from   streamdown.LSN
	err    error
	read   func() // doRead, made once
	hand   func(now time.Time)
}

func (c *chunk) doRead() {
	if c.Buf == nil {
		c.Buf = make([]byte, readSize)
	}
	c.err = c.f.opt.Log.Read(&c.Chunk, c.from)
	c.f.mail.post(c.hand)
}

// doHand gives the Core what was read, which is the chunk's again afterwards.
func (c *chunk) doHand(now time.Time) {
	c.f.core.Chunk(now, c.reader, c.Entries, c.Next, c.err)
	if len(c.Buf) > 4*readSize {
		c.Buf, c.Entries = nil, nil // one giant batch must not keep its buffer for ever
	}
	c.f.chunks = append(c.f.chunks, c)
}

func (a *actor) Connect(node int32) {
	f := a.f()
	f.dials++
	dial := f.dials
	f.run(lookWithin, func(ctx context.Context) func(now time.Time) {
		p, err := f.opt.Target.Dial(ctx, node, nodeDepth, func(tag uint64, answers []sink.Answer, err error) {
			if err == nil {
				f.mail.answered(node, tag, answers)
				return
			}
			f.mail.post(func(now time.Time) { f.lost(now, node, dial, err) })
		})
		if err == nil && !f.open.add(p) {
			err = errClosedByUs
		}
		return func(now time.Time) {
			if err == nil {
				f.pipes[node] = link{pipe: p, dial: dial}
				f.watch(node, dial, p)
			}
			f.core.Connected(now, node, f.opt.Target.Reset(err), err)
		}
	})
}

// watch tells of a connection that ends while nothing is in flight: otherwise only the next record would find out.
func (f *Forwarder) watch(node int32, dial uint64, p Pipe) {
	f.wg.Go(func() {
		<-p.Done()
		f.mail.post(func(now time.Time) { f.lost(now, node, dial, p.Err()) })
	})
}

// lost closes a dead pipe and tells the Core once, however many sends it left unanswered.
func (f *Forwarder) lost(now time.Time, node int32, dial uint64, err error) {
	l, ok := f.pipes[node]
	if !ok || l.dial != dial {
		return
	}
	delete(f.pipes, node)
	f.wg.Go(func() { f.open.close(l.pipe) })
	f.core.Lost(now, node, f.opt.Target.Reset(err), err)
}

var errClosedByUs = errors.New("connection closed by the gateway")

// Disconnect closes a connection. The Core hears of it when the pipe has ended and not before: until then the pipe may be
// reading the bytes of what it was given.
func (a *actor) Disconnect(node int32) {
	f := a.f()
	l, ok := f.pipes[node]
	if !ok || l.closing {
		return
	}
	l.closing = true
	f.pipes[node] = l
	f.wg.Go(func() {
		f.open.close(l.pipe)
		f.mail.post(func(now time.Time) { f.lost(now, node, l.dial, errClosedByUs) })
	})
}

func (a *actor) Send(node int32, tag uint64, parcels []sink.Parcel) {
	if l, ok := a.pipes[node]; !ok || !l.pipe.Send(tag, parcels) {
		a.Disconnect(node)
	}
}

func (a *actor) Bind(lane streamdown.LaneID, r BindRequest) {
	f := a.f()
	f.question(askWithin, func(ctx context.Context) func(now time.Time) {
		b, err := f.identity(ctx, lane, r)
		class := f.opt.Target.Classify(err)
		return func(now time.Time) {
			if err == nil {
				e := delivery.BindingEntry(b)
				if _, err = f.opt.Log.Append(e); err == nil {
					f.unsynced = append(f.unsynced, unsynced{e.End(), b, false})
					return
				}
			}
			f.core.Bound(now, lane, b, class, err)
		}
	})
}

// identity makes an identity for a lane. It may be used once it is durable (rule C1).
func (f *Forwarder) identity(ctx context.Context, lane streamdown.LaneID, r BindRequest) (delivery.Binding, error) {
	b := delivery.Binding{Lane: lane, Cluster: r.Cluster, Topic: r.Topic, PID: r.PID, Epoch: r.Epoch, Base: r.Base}
	var err error
	if b.PID < 0 {
		if b.PID, err = f.producerID(ctx, r.Cluster, r.Not); err != nil {
			return b, err
		}
	}
	if b.End, err = f.opt.Target.End(ctx, r.Node, r.TopicPartition); err != nil {
		return b, err
	}
	// The right to ask is needed after a crash; that it is missing is found out now (rule D1).
	if r.Not < 0 { // otherwise the lane has asked under the binding before
		if _, err := f.opt.Target.Ask(ctx, AskRequest{Node: r.Node, TopicPartition: r.TopicPartition, PID: b.PID}); err != nil {
			return b, fmt.Errorf("ask what the target holds (that needs READ on the topic): %w", err)
		}
	}
	return b, nil
}

// unsynced is a binding that is in the log and not durable yet.
type unsynced struct {
	end     streamdown.LSN
	binding delivery.Binding
	behind  bool // a batch that was quarantined in the same entry
}

// synced tells of the bindings that have become durable. Thousands may wait: none of them costs a goroutine.
func (f *Forwarder) synced(now time.Time, durable streamdown.LSN) {
	n := 0
	for n < len(f.unsynced) && f.unsynced[n].end <= durable {
		if b := f.unsynced[n].binding; f.unsynced[n].behind {
			f.core.Quarantined(now, b.Lane, b, sink.OK, nil)
		} else {
			f.core.Bound(now, b.Lane, b, sink.OK, nil)
		}
		n++
	}
	f.unsynced = slices.Delete(f.unsynced, 0, n)
}

func (a *actor) Ask(lane streamdown.LaneID, r AskRequest) {
	f := a.f()
	f.question(askWithin, func(ctx context.Context) func(now time.Time) {
		held, err := f.opt.Target.Ask(ctx, r)
		class := f.opt.Target.Classify(err)
		return func(now time.Time) { f.core.Asked(now, lane, held, class, err) }
	})
}

func (a *actor) Scan(lane streamdown.LaneID, r ScanRequest) {
	f := a.f()
	f.question(scanWithin, func(ctx context.Context) func(now time.Time) {
		found, err := f.opt.Target.Scan(ctx, r)
		class := f.opt.Target.Classify(err)
		return func(now time.Time) { f.core.Scanned(now, lane, found, class, err) }
	})
}

func (a *actor) Look() {
	f := a.f()
	f.run(lookWithin, func(ctx context.Context) func(now time.Time) {
		view, err := f.opt.Target.Look(ctx)
		reset := f.opt.Target.Reset(err)
		return func(now time.Time) {
			if err == nil {
				f.opt.Catalog.Update(view)
				for _, e := range f.opt.Catalog.Entries() {
					f.append(e)
				}
				view = f.opt.Catalog.Cluster()
			}
			f.core.Looked(now, view, reset, err)
		}
	})
}

func (a *actor) Probe() {
	f := a.f()
	f.run(probeWithin, func(ctx context.Context) func(now time.Time) {
		began := time.Now()
		err := f.opt.Target.Probe(ctx)
		took := time.Since(began)
		return func(now time.Time) {
			if err != nil {
				f.core.ProbeFailed(now, err)
			}
			f.core.Probed(now, err == nil, took)
		}
	})
}

func (a *actor) Confirm(lane streamdown.LaneID, to streamdown.Ordinal, end streamdown.Offset) {
	a.opt.Book.Confirm(lane, to, end)
}

func (a *actor) SetLive(lane streamdown.LaneID, live bool) { a.opt.Book.SetLive(lane, live) }

func (a *actor) SetUp(up bool) { a.opt.Book.SetUp(up) }

func (a *actor) Renew() {
	was := a.opt.Log.ID()
	id, err := a.opt.Log.Renew()
	if err != nil && !errors.Is(err, wal.ErrClosed) {
		a.log.Error("take a new log id", "err", err)
		return
	}
	a.log.Warn("the log takes a new id", "was", was, "log", id)
}

func (a *actor) Note(n Note) {
	args := []any{"detail", n.Detail}
	if n.Lane.Topic != "" {
		args = append(args, "topic", n.Lane.Topic, "partition", n.Lane.Partition)
	}
	if n.Bad {
		a.log.Warn(n.What, args...)
	} else {
		a.log.Info(n.What, args...)
	}
}
