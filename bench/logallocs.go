package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/forward"
	"github.com/streamdown/streamdown/ingest"
	"github.com/streamdown/streamdown/sink"
	"github.com/streamdown/streamdown/wal"
)

// allocated is what a batch costs in memory on its way, in one process without connections: admission, commit, and with
// Forward set reading, stamping and confirming too.
type allocated struct {
	Forward   bool    `json:"forward"`
	Batches   int     `json:"batches"`
	Allocs    float64 `json:"allocations_per_batch"`
	Bytes     float64 `json:"allocated_bytes_per_batch"`
	PerCommit float64 `json:"batches_per_commit"`
}

const (
	allocLanes    = 100
	allocWarm     = 20_000 // batches
	allocBatches  = 50_000
	allocInFlight = 256 // batches that are not answered yet
)

func measureAllocs(ctx context.Context, dir string, r *logReport, say func(string, ...any)) error {
	for _, forwarding := range []bool{false, true} {
		a, err := allocsOf(ctx, filepath.Join(dir, "allocs"), forwarding)
		if err != nil {
			return err
		}
		say("admission and commit, forward %v: %.2f allocations, %.0f bytes per batch", forwarding, a.Allocs, a.Bytes)
		r.Allocs = append(r.Allocs, a)
	}
	return nil
}

// allocsOf counts all allocations of this process while batches pass.
func allocsOf(ctx context.Context, dir string, forwarding bool) (a allocated, err error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return a, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	book, known, to := delivery.New(), catalog.New(), &nothing{}
	cl, _ := to.Look(ctx) // never fails
	known.Update(cl)
	in := ingest.New(ingest.Config{
		Confirmations: book, Cluster: known.Cluster,
		Policy: func(string) (ingest.Policy, bool) { return ingest.Policy{}, true },
	})
	l, _, err := wal.Open(wal.Config{Dir: dir, Books: []wal.Book{book, in, known}})
	if err != nil {
		return a, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := l.Begin(); err != nil {
		return a, err
	}
	in.Attach(l)
	if forwarding {
		ctx, cancel := context.WithCancel(ctx)
		f := forward.NewForwarder(forward.Options{Log: l, Book: book, Catalog: known, Target: to, Retain: time.Minute})
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		defer func() { cancel(); err = errors.Join(err, <-done) }()
	}
	var build batch.Builder
	build.Append(time.Now().UnixMilli(), nil, noise(laneBatch-batch.HeaderSize-16))
	records, err := build.Build(batch.None, batch.NoStamp)
	if err != nil {
		return a, err
	}
	var before, after runtime.MemStats
	groups := uint64(0)
	for _, n := range []int{allocWarm, allocBatches} {
		runtime.ReadMemStats(&before)
		groups = l.Stats().Groups
		if err := admit(ctx, in, records, n); err != nil {
			return a, err
		}
		if forwarding {
			if err := confirmed(ctx, book); err != nil {
				return a, err
			}
		}
		runtime.ReadMemStats(&after)
	}
	a.Forward, a.Batches = forwarding, allocBatches
	a.Allocs = float64(after.Mallocs-before.Mallocs) / allocBatches
	a.Bytes = float64(after.TotalAlloc-before.TotalAlloc) / allocBatches
	a.PerCommit = allocBatches / float64(l.Stats().Groups-groups)
	return a, nil
}

// admit hands in n batches and waits for all answers.
func admit(ctx context.Context, in *ingest.Intake, records []byte, n int) error {
	slots := make(chan struct{}, allocInFlight)
	var mu sync.Mutex // guards refused
	var refused error
	done := func(r ingest.Result) {
		if r.Code != 0 || r.Close {
			mu.Lock()
			refused = fmt.Errorf("a batch was refused: code %d %s", r.Code, r.Message)
			mu.Unlock()
		}
		<-slots
	}
	for i := range n {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		tp := streamdown.TopicPartition{Topic: "bench", Partition: int32(i % allocLanes)}
		in.Produce(ingest.Request{TopicPartition: tp, Records: records, Acks: -1}, done)
	}
	for range allocInFlight {
		slots <- struct{}{}
	}
	mu.Lock()
	defer mu.Unlock()
	return refused
}

func confirmed(ctx context.Context, book *delivery.Book) error {
	return poll(ctx, time.Minute, func(context.Context) error {
		if accepted, confirmed := book.Totals(); confirmed < accepted {
			return fmt.Errorf("%d of %d records are confirmed", confirmed, accepted)
		}
		return nil
	})
}

// nothing is a target in this process that says OK to everything and keeps nothing.
type nothing struct{}

func (*nothing) Look(context.Context) (*catalog.Cluster, error) {
	config := catalog.DefaultTopicConfig()
	config.Known = true
	return &catalog.Cluster{ID: "nothing", At: time.Now(), Topics: map[string]*catalog.Topic{
		"bench": {Name: "bench", Partitions: make([]catalog.Partition, allocLanes), Config: config},
	}}, nil
}

func (*nothing) Probe(context.Context) error                  { return nil }
func (*nothing) NewProducerID(context.Context) (int64, error) { return 1, nil }
func (*nothing) Classify(error) sink.Class                    { return sink.Doubt }
func (*nothing) Reset(error) bool                             { return false }
func (*nothing) End(context.Context, int32, streamdown.TopicPartition) (streamdown.Offset, error) {
	return 0, nil
}
func (*nothing) Ask(context.Context, forward.AskRequest) (sink.Held, error) { return sink.Held{}, nil }
func (*nothing) Scan(context.Context, forward.ScanRequest) (sink.Found, error) {
	return sink.Found{}, nil
}

func (*nothing) Dial(_ context.Context, _ int32, depth int, answered func(tag uint64, answers []sink.Answer, err error)) (forward.Pipe, error) {
	v := &void{sends: make(chan toVoid, depth), stop: make(chan struct{}), done: make(chan struct{})}
	go v.run(answered)
	return v, nil
}

type toVoid struct {
	tag     uint64
	parcels int
}

// void is a connection to nothing.
type void struct {
	sends chan toVoid
	once  sync.Once
	stop  chan struct{}
	done  chan struct{}
}

func (v *void) run(answered func(tag uint64, answers []sink.Answer, err error)) {
	defer close(v.done)
	var answers []sink.Answer
	for {
		select {
		case s := <-v.sends:
			answers = answers[:0]
			for range s.parcels {
				answers = append(answers, sink.Answer{Class: sink.OK, Base: streamdown.NoOffset, LogStart: streamdown.NoOffset})
			}
			answered(s.tag, answers, nil)
		case <-v.stop: // only when all is over: nobody waits for what is left
			return
		}
	}
}

func (v *void) Send(tag uint64, parcels []sink.Parcel) bool {
	select {
	case v.sends <- toVoid{tag, len(parcels)}:
		return true
	default:
		return false
	}
}

func (v *void) Close() error {
	v.once.Do(func() { close(v.stop) })
	<-v.done
	return nil
}

func (v *void) Done() <-chan struct{} { return v.done }
func (v *void) Err() error            { return errVoid }

var errVoid = errors.New("closed")
