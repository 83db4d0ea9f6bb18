package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/check"
)

// reader consumes the topic at the broker itself and hands every record to the checker. It stands for the users of the
// broker: it knows nothing of a gateway.
type reader struct {
	addr    string
	checker *check.Checker
	read    atomic.Int64

	cl     *kgo.Client // nil while it is stopped
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu   sync.Mutex // guards the following
	next []int64    // offset to be read next, by partition
	err  error      // the last that a fetch showed
}

func newReader(addr string, partitions int, checker *check.Checker) *reader {
	return &reader{addr: addr, checker: checker, next: make([]int64, partitions)}
}

// start begins to read where the last stop left off.
func (r *reader) start(ctx context.Context) error {
	at := map[int32]kgo.Offset{}
	for p, next := range r.next {
		at[int32(p)] = kgo.NewOffset().At(next)
	}
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(r.addr), kgo.ClientID("demo-consumer"),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: at}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // an offset that is gone is a loss, not a reason to skip
		kgo.FetchMaxWait(100*time.Millisecond),
	)
	if err != nil {
		return fmt.Errorf("make the consumer: %w", err)
	}
	r.cl = cl
	ctx, r.cancel = context.WithCancel(ctx)
	r.wg.Go(func() {
		for ctx.Err() == nil {
			r.take(cl.PollFetches(ctx))
		}
	})
	return nil
}

func (r *reader) take(fetches kgo.Fetches) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fetches.EachRecord(func(rec *kgo.Record) {
		r.checker.Seen(streamdown.TopicPartition{Topic: rec.Topic, Partition: rec.Partition}, streamdown.Offset(rec.Offset), rec.Value)
		r.next[rec.Partition] = rec.Offset + 1
		r.read.Add(1)
	})
	fetches.EachError(func(_ string, p int32, err error) {
		if !errors.Is(err, context.Canceled) && !errors.Is(err, kgo.ErrClientClosed) {
			r.err = fmt.Errorf("partition %d: %w", p, err)
		}
	})
}

// stop ends the reading and waits. What was fetched and not handed over is read again after the next start.
func (r *reader) stop() {
	if r.cl == nil {
		return
	}
	r.cancel()
	r.wg.Wait()
	r.cl.Close()
	r.cl = nil
}

// ends asks the broker where the partitions end.
func (r *reader) ends(ctx context.Context) ([]int64, error) {
	list, err := kadm.NewClient(r.cl).ListEndOffsets(ctx, topic)
	if err == nil {
		err = list.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("ask the broker where its partitions end: %w", err)
	}
	ends := make([]int64, len(r.next))
	for p := range ends {
		o, ok := list.Lookup(topic, int32(p))
		if !ok {
			return nil, fmt.Errorf("ask the broker where its partitions end: no answer for partition %d", p)
		}
		ends[p] = o.Offset
	}
	return ends, nil
}

// at reports whether all partitions were read up to ends, and the last error if not.
func (r *reader) at(ends []int64) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p, end := range ends {
		if r.next[p] < end {
			return false, r.err
		}
	}
	return true, nil
}
