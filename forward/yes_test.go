package forward_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/forward"
	"github.com/streamdown/streamdown/sink"
	"github.com/streamdown/streamdown/wal"
)

// yes is a target that says OK to everything at once, in the goroutine of a connection. It keeps nothing of what it is
// given but the numbers.
type yes struct {
	partitions int
	batches    atomic.Int64
	took       func(parcels []sink.Parcel) // nil = looks at nothing; called right before the answer
	left       func(parcels []sink.Parcel) // the same for what a connection leaves unanswered when it ends
	every      int                         // a connection ends after so many requests; 0 = never
	down       chan struct{}               // closed when a connection is being closed, if it is not nil
	at         int64                       // reached is called when so many batches were taken
	reached    func()
	seen       chan struct{} // capacity 1: more batches were taken

	mu   sync.Mutex // guards the following
	ends map[streamdown.TopicPartition]streamdown.Offset
}

func newYes(partitions int) *yes {
	return &yes{partitions: partitions, seen: make(chan struct{}, 1), ends: map[streamdown.TopicPartition]streamdown.Offset{}}
}

func (y *yes) Look(context.Context) (*catalog.Cluster, error) {
	return &catalog.Cluster{ID: "yes", At: time.Now(), Topics: map[string]*catalog.Topic{
		"orders": {Name: "orders", Partitions: make([]catalog.Partition, y.partitions)},
	}}, nil
}

func (y *yes) Probe(context.Context) error                  { return nil }
func (y *yes) NewProducerID(context.Context) (int64, error) { return 7, nil }
func (y *yes) Classify(error) sink.Class                    { return sink.Doubt }
func (y *yes) Reset(error) bool                             { return false }

func (y *yes) End(_ context.Context, _ int32, tp streamdown.TopicPartition) (streamdown.Offset, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.ends[tp], nil
}

// Ask knows nobody, so that a scan is needed: it finds no batch that is not confirmed, for what a connection leaves
// unanswered was never taken.
func (y *yes) Ask(context.Context, forward.AskRequest) (sink.Held, error) { return sink.Held{}, nil }

func (y *yes) Scan(ctx context.Context, r forward.ScanRequest) (sink.Found, error) {
	end, err := y.End(ctx, r.Node, r.TopicPartition)
	return sink.Found{End: end}, err
}

func (y *yes) Dial(_ context.Context, _ int32, depth int, answered func(tag uint64, answers []sink.Answer, err error)) (forward.Pipe, error) {
	p := &yesPipe{y: y, depth: depth, answered: answered, done: make(chan struct{})}
	p.cond = sync.NewCond(&p.mu)
	go p.run()
	return p, nil
}

type yesPipe struct {
	y        *yes
	depth    int
	answered func(tag uint64, answers []sink.Answer, err error)
	done     chan struct{}

	mu         sync.Mutex // guards the following
	cond       *sync.Cond
	unanswered []yesSend
	ended      bool
}

type yesSend struct {
	tag     uint64
	parcels []sink.Parcel
}

var errYesEnded = errors.New("the connection has ended")

func (p *yesPipe) Send(tag uint64, parcels []sink.Parcel) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || len(p.unanswered) == p.depth {
		return false
	}
	p.unanswered = append(p.unanswered, yesSend{tag, parcels})
	p.cond.Signal()
	return true
}

func (p *yesPipe) run() {
	defer close(p.done)
	var answers []sink.Answer
	for n := 1; p.wait(p.y.every > 0 && n > p.y.every); n++ {
		p.mu.Lock()
		s := p.unanswered[0]
		p.mu.Unlock()
		answers = p.y.take(s.parcels, answers[:0])
		p.mu.Lock()
		p.unanswered = slices.Delete(p.unanswered, 0, 1)
		p.mu.Unlock()
		p.answered(s.tag, answers, nil)
		p.y.batches.Add(int64(len(answers)))
		select {
		case p.y.seen <- struct{}{}:
		default:
		}
	}
	// All that is unanswered may be read until the first report.
	for _, s := range p.unanswered {
		if p.y.left != nil {
			p.y.left(s.parcels)
		}
	}
	for _, s := range p.unanswered {
		p.answered(s.tag, nil, errYesEnded)
	}
}

// wait waits for something to answer; false means that the connection has ended.
func (p *yesPipe) wait(end bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = p.ended || end
	for !p.ended && len(p.unanswered) == 0 {
		p.cond.Wait()
	}
	return !p.ended
}

func (p *yesPipe) Close() error {
	p.mu.Lock()
	if p.y.down != nil && !p.ended {
		close(p.y.down)
		p.y.down = nil
	}
	p.ended = true
	p.cond.Signal()
	p.mu.Unlock()
	<-p.done
	return nil
}

func (p *yesPipe) Done() <-chan struct{} { return p.done }
func (p *yesPipe) Err() error            { return errYesEnded }

func (y *yes) take(parcels []sink.Parcel, answers []sink.Answer) []sink.Answer {
	if y.took != nil {
		y.took(parcels)
	}
	y.mu.Lock()
	for i := range parcels {
		h, err := batch.ParseHeader(parcels[i].Header[:])
		if err != nil {
			panic(err) // of what was just stamped
		}
		base := y.ends[parcels[i].TopicPartition]
		y.ends[parcels[i].TopicPartition] = base + streamdown.Offset(h.Count)
		answers = append(answers, sink.Answer{Class: sink.OK, Base: base, LogStart: streamdown.NoOffset})
	}
	y.mu.Unlock()
	if n := y.batches.Load(); y.reached != nil && n < y.at && n+int64(len(parcels)) >= y.at {
		y.reached()
	}
	return answers
}

// batchOf is a whole batch of about n bytes.
func batchOf(tb testing.TB, n int) []byte {
	tb.Helper()
	value := make([]byte, n-batch.HeaderSize-16)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(value) // never fails
	var build batch.Builder
	build.Append(time.Now().UnixMilli(), nil, value)
	body, err := build.Build(batch.None, batch.NoStamp)
	if err != nil {
		tb.Fatal(err)
	}
	return body
}

// bench is a log with a forwarder to a target that says yes.
type bench struct {
	tb    testing.TB
	log   *wal.Log
	book  *delivery.Book
	lanes []streamdown.LaneID
	ends  []streamdown.Ordinal
	to    *yes
	core  forward.Config
	f     *forward.Forwarder // once it runs
}

func newBench(tb testing.TB, lanes int) *bench {
	tb.Helper()
	b := &bench{tb: tb, book: delivery.New(), ends: make([]streamdown.Ordinal, lanes), to: newYes(lanes)}
	var err error
	if b.log, _, err = wal.Open(wal.Config{Dir: tb.TempDir(), Books: []wal.Book{b.book}}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := b.log.Close(); err != nil {
			tb.Error(err)
		}
	})
	if err := b.log.Begin(); err != nil {
		tb.Fatal(err)
	}
	for i := range lanes {
		id, err := b.log.Lane(streamdown.TopicPartition{Topic: "orders", Partition: int32(i)})
		if err != nil {
			tb.Fatal(err)
		}
		b.lanes = append(b.lanes, id)
	}
	return b
}

func (b *bench) append(i int, body []byte) *wal.Entry {
	e := &wal.Entry{Kind: wal.KindBatch, Lane: b.lanes[i], Ordinal: b.ends[i], Count: 1, Body: body}
	b.log.Ready()
	if _, err := b.log.Append(e); err != nil {
		b.tb.Fatal(err)
	}
	b.ends[i]++
	return e
}

// run starts a forwarder; what it returns ends it.
func (b *bench) run() (stop func()) {
	f := forward.NewForwarder(forward.Options{
		Core: b.core, Log: b.log, Book: b.book, Catalog: catalog.New(), Target: b.to, Retain: time.Hour,
	})
	b.f = f
	ctx, cancel := context.WithCancel(b.tb.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			b.tb.Error(err)
		}
	}
}

// confirmed waits until the target took so many batches and the book knows.
func (b *bench) confirmed(n int64) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if _, c := b.book.Totals(); c >= n {
			return
		}
		select {
		case <-b.to.seen:
		case <-tick.C:
		case <-b.tb.Context().Done():
			b.tb.Fatal("not confirmed")
		}
	}
}
