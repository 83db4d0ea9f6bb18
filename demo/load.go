package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/check"
	"github.com/streamdown/streamdown/tally"
)

// era is a part of the story that acks are measured in.
type era int32

const (
	before era = iota // all is well
	during            // the broker is away
	after             // it is back
	eras   = iota
)

// load is a number of producers as anybody would write them: kgo clients with their defaults, which are idempotent and
// wait for all acks. They know the node's address and nothing else. Each sends one dense stream to every partition.
type load struct {
	cfg     Config
	checker *check.Checker
	clients []*kgo.Client
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	era   atomic.Int32
	acks  [eras]tally.Histogram // from Produce to its callback, by the era of the callback
	sent  atomic.Int64
	acked atomic.Int64

	mu     sync.Mutex // guards the following
	failed int64
	why    error // the first failure
}

// openLoad starts producers that send until stop.
func openLoad(ctx context.Context, cfg Config, addr string, checker *check.Checker) (*load, error) {
	l := &load{cfg: cfg, checker: checker}
	for i := range cfg.Producers {
		cl, err := kgo.NewClient(
			kgo.SeedBrokers(addr), kgo.ClientID(fmt.Sprintf("demo-producer-%d", i+1)),
			kgo.RecordPartitioner(kgo.ManualPartitioner()), // the checker wants to know where each record belongs
		)
		if err != nil {
			l.close()
			return nil, fmt.Errorf("make producer %d: %w", i+1, err)
		}
		l.clients = append(l.clients, cl)
	}
	pacing, cancel := context.WithCancel(ctx)
	l.cancel = cancel
	for i, cl := range l.clients {
		l.wg.Go(func() { l.produce(ctx, pacing, i, cl) })
	}
	return l, nil
}

const (
	paceEach = 20 * time.Millisecond
	// A producer that was held up does not make up for more than this: the load stays steady.
	paceBehind = 200 * time.Millisecond
)

// produce sends at the producer's share of the rate until pacing ends; ctx ends what is still buffered.
func (l *load) produce(ctx, pacing context.Context, producer int, cl *kgo.Client) {
	rng := rand.New(rand.NewPCG(l.cfg.Seed, uint64(producer)))
	rate := float64(l.cfg.Rate) / float64(l.cfg.Producers)
	tick := time.NewTicker(paceEach)
	defer tick.Stop()
	next := make([]uint64, l.cfg.Partitions)
	last, owed := time.Now(), 0.0
	for partition := 0; ; {
		select {
		case <-pacing.Done():
			return
		case now := <-tick.C:
			owed = min(owed+rate*now.Sub(last).Seconds(), max(rate*paceBehind.Seconds(), 1))
			last = now
		}
		// What is due goes to one partition, the next time to the next one: batches of more than one record.
		for ; owed >= 1 && pacing.Err() == nil; owed-- {
			l.send(ctx, cl, producer, int32(partition), next[partition], 100+rng.IntN(300))
			next[partition]++
		}
		partition = (partition + 1) % l.cfg.Partitions
	}
}

func (l *load) send(ctx context.Context, cl *kgo.Client, producer int, partition int32, seq uint64, size int) {
	stream := check.Stream{
		Producer: uint32(producer*l.cfg.Partitions) + uint32(partition), Incarnation: uint32(l.cfg.Seed),
	}
	began := time.Now()
	value := check.AppendRecord(make([]byte, 0, size+64), check.Record{
		Producer: stream.Producer, Incarnation: stream.Incarnation, Seq: seq, Size: size, SentMicros: began.UnixMicro(),
		Target: check.TargetOf(streamdown.TopicPartition{Topic: topic, Partition: partition}),
	})
	l.checker.Sent(stream, seq)
	l.sent.Add(1)
	cl.Produce(ctx, &kgo.Record{Topic: topic, Partition: partition, Value: value}, func(_ *kgo.Record, err error) {
		if err != nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.failed++; l.why == nil {
				l.why = err
			}
			return // its outcome is unknown to the checker, which is the truth
		}
		l.acks[l.era.Load()].Observe(time.Since(began))
		l.checker.Acked(stream, seq)
		l.acked.Add(1)
	})
}

// errors returns how many records the producers were told had failed, and why the first one did.
func (l *load) errors() (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed, l.why
}

// finish stops sending and waits until every record has its ack, or its error.
func (l *load) finish(ctx context.Context) error {
	l.cancel()
	l.wg.Wait()
	for i, cl := range l.clients {
		if err := cl.Flush(ctx); err != nil {
			return fmt.Errorf("flush producer %d: %w", i+1, err)
		}
	}
	return nil
}

// close ends the producers, with whatever they still hold.
func (l *load) close() {
	if l.cancel != nil {
		l.cancel()
	}
	for _, cl := range l.clients {
		cl.Close() // a Produce that waits for room returns
	}
	l.wg.Wait()
}
