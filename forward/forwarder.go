package forward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/quarantine"
	"github.com/streamdown/streamdown/sink"
	"github.com/streamdown/streamdown/wal"
)

// Target is a cluster that takes batches. All methods may be called concurrently.
type Target interface {
	// Look reads what exists at the target now.
	Look(ctx context.Context) (*catalog.Cluster, error)
	// Probe makes one cheap round trip on a fresh connection.
	Probe(ctx context.Context) error
	// NewProducerID allocates an id that nobody else at the target has.
	NewProducerID(ctx context.Context) (int64, error)
	// End returns the end offset of a partition.
	End(ctx context.Context, node int32, tp streamdown.TopicPartition) (streamdown.Offset, error)
	Ask(ctx context.Context, r AskRequest) (sink.Held, error)
	Scan(ctx context.Context, r ScanRequest) (sink.Found, error)
	// Dial opens a connection that takes up to depth unanswered sends. answered is called once per Send, in order: with
	// the answers in the order of the parcels, borrowed until it returns, or with the error that ended the connection. Parcels
	// and payloads are the pipe's to read until then; after the first error it reads none of them any more.
	Dial(ctx context.Context, node int32, depth int, answered func(tag uint64, answers []sink.Answer, err error)) (Pipe, error)
	// Classify says what an error means; Reset whether a connection was refused or reset.
	Classify(err error) sink.Class
	Reset(err error) bool
}

// Pipe is a connection to one node of a target.
type Pipe interface {
	// Send never waits; false means that it took nothing, for it is dead or depth was exceeded.
	Send(tag uint64, parcels []sink.Parcel) bool
	// Close ends the connection and waits until answered was called for all that was sent.
	Close() error
	// Done is closed when the connection has ended, also when nothing was unanswered; Err says why.
	Done() <-chan struct{}
	Err() error
}

// Options wires a Forwarder.
type Options struct {
	Core    Config // Name, Book, From and Durable are filled in
	Log     *wal.Log
	Book    *delivery.Book
	Catalog *catalog.Catalog
	Target  Target
	// Quarantine takes the batches that the target refuses for good; without it they stop their lanes.
	Quarantine *quarantine.Store
	Logger     *slog.Logger  // nil = silent
	Retain     time.Duration // how long the log keeps what is confirmed; yields when the log is nearly full
	// Floor, if set, is how far the log may release, whatever is confirmed: what lies from there on is needed by somebody else.
	Floor func() streamdown.LSN
}

const (
	tickEach     = 50 * time.Millisecond
	progressEach = time.Second
	askersAtOnce = 8
	readSize     = 1 << 20
	lookWithin   = 10 * time.Second
	askWithin    = 15 * time.Second
	scanWithin   = 5 * time.Minute
	probeWithin  = 2 * time.Second
)

// Forwarder drives a Core.
type Forwarder struct {
	opt  Options
	log  *slog.Logger
	core *Core
	mail mailbox
	wg   sync.WaitGroup // of all goroutines but the loop
	// run starts work in a goroutine that Run waits for; what it returns becomes an event. Set by Run, whose context bounds it.
	run   func(within time.Duration, work func(ctx context.Context) func(now time.Time))
	ended chan struct{} // closed when Run has ended

	open  openPipes
	pipes map[int32]link // by node; owned by the loop
	dials uint64         // counts connections, so that a late word on an old one does not end a new one; owned by the loop

	custody *Custody // nil without a quarantine

	pidMu sync.Mutex // guards the following; held while an id is allocated
	pid   int64
	pidOf string // the cluster that pid belongs to

	// Owned by the loop.
	chunks      []*chunk   // for use again
	waiting     []question // to be asked when others were answered
	asking      int
	unsynced    []unsynced     // bindings in the log, in order
	confirmedAt []sample       // what was the watermark when
	releasable  streamdown.LSN // but for the floor
	released    streamdown.LSN
}

type link struct {
	pipe    Pipe
	dial    uint64
	closing bool // Disconnect was called
}

type sample struct {
	at  time.Time
	lsn streamdown.LSN
}

// NewForwarder returns a forwarder that goes on where the book and the log stand. The log's Begin must have been called.
func NewForwarder(opt Options) *Forwarder {
	f := &Forwarder{opt: opt, log: opt.Logger, ended: make(chan struct{}), pipes: map[int32]link{}, pid: -1}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	f.mail.signal = make(chan struct{}, 1)
	cfg := opt.Core
	cfg.Book, cfg.Name = opt.Book, opt.Log.LaneName
	cfg.From = max(opt.Book.Watermark(), opt.Log.Stats().First)
	cfg.Durable = opt.Log.Durable()
	f.core = New(cfg, (*actor)(f))
	if opt.Quarantine != nil {
		f.custody = &Custody{
			Target: parcels{opt.Target}, Log: opt.Log, Book: opt.Book, Store: opt.Quarantine, View: opt.Catalog.Cluster,
			Name: opt.Log.LaneName, Now: time.Now,
		}
		if s, ok := opt.Target.(Settings); ok {
			f.custody.Settings = s.TopicSettings
		}
	}
	return f
}

// Run forwards until ctx ends, then writes down how far it came and waits for its goroutines.
func (f *Forwarder) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	f.run = func(within time.Duration, work func(ctx context.Context) func(now time.Time)) {
		f.wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, within)
			defer cancel()
			f.mail.post(work(ctx))
		})
	}
	tick := time.NewTicker(tickEach)
	defer tick.Stop()
	progress := time.Now()
	f.core.Start(time.Now())
	for {
		changed := f.opt.Log.Changed()
		if d := f.opt.Log.Durable(); d > f.core.durable {
			f.core.Appended(time.Now(), d)
			f.synced(time.Now(), d)
		}
		select {
		case <-changed:
		case <-f.mail.signal:
			events := f.mail.take()
			for i := range events {
				events[i].happen(f.core)
			}
			f.mail.done(events)
		case <-tick.C:
			now := time.Now()
			f.core.Tick(now)
			f.opt.Book.Sweep(now)
			if now.Sub(progress) >= progressEach {
				progress = now
				f.progress(now)
			}
		case <-ctx.Done():
			cancel()
			f.open.end() // what was unanswered is asked about at the next start
			f.wg.Wait()
			f.mail.close()
			close(f.ended)
			f.opt.Book.SetUp(false)
			f.progress(time.Now())
			return nil
		}
	}
}

// progress writes down what is confirmed and lets go of log segments that nobody needs.
func (f *Forwarder) progress(now time.Time) {
	mark := f.core.Watermark()
	if e := f.opt.Book.ProgressEntry(mark); e != nil {
		f.append(e)
	}
	f.confirmedAt = append(f.confirmedAt, sample{now, mark})
	st := f.opt.Log.Stats()
	// Retained payload yields to new data. Then the log is asked again and again: what it needs for it, it makes meanwhile.
	pressed := st.Full != "" || st.Room >= 0 && st.Room < st.MaxSize/10 // before any class of producers has to wait
	n := 0
	for n < len(f.confirmedAt) && (now.Sub(f.confirmedAt[n].at) >= f.opt.Retain || pressed) {
		n++
	}
	if n > 0 {
		f.releasable = max(f.releasable, f.confirmedAt[n-1].lsn)
		f.confirmedAt = append(f.confirmedAt[:0], f.confirmedAt[n:]...)
	}
	upTo := f.releasable
	if f.opt.Floor != nil {
		upTo = min(upTo, f.opt.Floor())
	}
	if upTo > f.released || pressed {
		f.released = upTo
		if _, err := f.opt.Log.Release(upTo); err != nil {
			f.log.Warn("release log segments", "lsn", upTo, "err", err)
		}
	}
}

func (f *Forwarder) append(e *wal.Entry) {
	if _, err := f.opt.Log.Append(e); err != nil && !errors.Is(err, wal.ErrClosed) {
		f.log.Error("append to log", "kind", e.Kind, "err", err)
	}
}

// question is something to ask the target. askersAtOnce are under way at a time; the others wait in line, and their time
// begins when it is their turn. There may be one for each lane, so they wait as a function and not as a goroutine each.
type question struct {
	within time.Duration
	work   func(ctx context.Context) func(now time.Time)
}

// question asks, or waits in line.
func (f *Forwarder) question(within time.Duration, work func(ctx context.Context) func(now time.Time)) {
	f.waiting = append(f.waiting, question{within, work})
	f.ask()
}

// ask asks what may be asked now.
func (f *Forwarder) ask() {
	for f.asking < askersAtOnce && len(f.waiting) > 0 {
		q := f.waiting[0]
		f.waiting[0] = question{}
		f.waiting = f.waiting[1:]
		f.asking++
		f.run(q.within, func(ctx context.Context) func(now time.Time) {
			event := q.work(ctx)
			return func(now time.Time) {
				f.asking--
				event(now)
				f.ask()
			}
		})
	}
}

var errEnded = errors.New("the forwarder has ended")

// do runs fn in the loop and waits for it.
func (f *Forwarder) do(ctx context.Context, fn func(now time.Time)) error {
	done := make(chan struct{})
	if !f.mail.post(func(now time.Time) { fn(now); close(done) }) {
		return errEnded
	}
	select {
	case <-done:
		return nil
	case <-f.ended:
		return errEnded // it was posted and not taken any more
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Resume lets lanes go on that were stopped or held. tp.Partition -1 means all of the topic, topic "*" all lanes.
func (f *Forwarder) Resume(ctx context.Context, tp streamdown.TopicPartition) error {
	return f.do(ctx, func(now time.Time) { f.core.Resume(now, tp) })
}

// Status tells how things stand, from memory.
func (f *Forwarder) Status(ctx context.Context) (Status, error) {
	var s Status // the loop's until it has answered: it may do so after ctx has ended
	if err := f.do(ctx, func(time.Time) { s = f.core.Status() }); err != nil {
		return Status{}, err
	}
	return s, nil
}

// producerID returns the one id of this process at the cluster, allocated on first use and when it is not to be used any
// more.
func (f *Forwarder) producerID(ctx context.Context, cluster string, not int64) (int64, error) {
	f.pidMu.Lock()
	defer f.pidMu.Unlock()
	if f.pid >= 0 && f.pidOf == cluster && f.pid != not {
		return f.pid, nil
	}
	pid, err := f.opt.Target.NewProducerID(ctx)
	if err != nil {
		return 0, fmt.Errorf("allocate a producer id: %w", err)
	}
	f.pid, f.pidOf = pid, cluster
	return pid, nil
}
