package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// producerBuffer is how many bytes the producer holds at most: enough to keep its requests coming.
const producerBuffer = 64 << 20

// offer says what load to put on an address.
type offer struct {
	addr, topic string
	partitions  int32
	size        int // bytes of a value
	rate        int // records per second; 0 = as fast as they are taken
	batch       int32
	linger      time.Duration
	warm        time.Duration // runs before what is measured
	window      time.Duration // is measured
}

// outcome is what the producer saw.
type outcome struct {
	records int64 // acked in all
	failed  int64
	failure error // the first

	window        time.Duration // as it really was
	windowRecords int64         // acked in the window
	p50, p99      time.Duration // in the window: of requests at full speed, of records at a fixed load
	latencies     int           // how many these are of
	lateness      time.Duration // p99 of how late the fixed load was offered
	batches       int64         // in all
	batchBytes    int64
}

// produce offers a load and returns once every record was answered. The first records, one per partition, are sent and
// answered before the clock starts: they find the topic, the producer id and the way.
func produce(ctx context.Context, o offer) (*outcome, error) {
	out := &outcome{}
	lat, late := &samples{}, &samples{}
	m := &meter{requests: lat}
	if o.rate > 0 {
		m.requests = nil // records are timed instead
	}
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(o.addr), kgo.DefaultProduceTopic(o.topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(o.batch), kgo.ProducerLinger(o.linger),
		kgo.MaxBufferedRecords(1<<20), kgo.MaxBufferedBytes(producerBuffer),
		kgo.UnknownTopicRetries(-1), kgo.MetadataMinAge(100*time.Millisecond), kgo.WithHooks(m),
	)
	if err != nil {
		return nil, fmt.Errorf("make a producer: %w", err)
	}
	defer cl.Close()
	value := make([]byte, o.size)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(value) // never fails

	var failure sync.Once
	var acked, failed atomic.Int64
	answered := func(_ *kgo.Record, err error) {
		if err != nil {
			failed.Add(1)
			failure.Do(func() { out.failure = err })
			return
		}
		acked.Add(1)
	}
	for p := range o.partitions {
		cl.Produce(ctx, &kgo.Record{Partition: p, Value: value}, answered)
	}
	if err := cl.Flush(ctx); err != nil {
		return nil, fmt.Errorf("send the first records: %w", err)
	}

	began := time.Now()
	var from time.Time // begin of the window
	var before int64
	// edge notes where the window begins and says whether it is over.
	edge := func(now time.Time) bool {
		switch since := now.Sub(began); {
		case from.IsZero() && since >= o.warm:
			from, before = now, acked.Load()
			lat.reset()
			late.reset()
		case !from.IsZero() && now.Sub(from) >= o.window:
			out.window, out.windowRecords = now.Sub(from), acked.Load()-before
			return true
		}
		return false
	}
	if o.rate > 0 {
		pace(ctx, cl, &o, value, began, edge, answered, lat, late)
	} else {
		flood(ctx, cl, &o, value, edge, answered)
	}
	p := lat.quantiles(0.5, 0.99)
	out.p50, out.p99, out.latencies = p[0], p[1], lat.len()
	out.lateness = late.quantiles(0.99)[0]
	if err := cl.Flush(ctx); err != nil {
		return nil, fmt.Errorf("wait for the last acks: %w", err)
	}
	out.records, out.failed = acked.Load(), failed.Load()
	out.batches, out.batchBytes = m.batches.Load(), m.bytes.Load()
	return out, nil
}

// chunk is how many records are made and sent between looks at the clock.
const chunk = 256

// flood sends as fast as the producer's buffer is emptied.
func flood(ctx context.Context, cl *kgo.Client, o *offer, value []byte, edge func(time.Time) bool, answered func(*kgo.Record, error)) {
	p := int32(0)
	for ctx.Err() == nil && !edge(time.Now()) {
		records := make([]kgo.Record, chunk)
		for i := range records {
			r := &records[i]
			r.Partition, r.Value = p, value
			p = (p + 1) % o.partitions
			cl.Produce(ctx, r, answered)
		}
	}
}

// pace sends what is due every millisecond. A record's latency runs from the moment it is handed to the producer; how
// much later that is than it should be is noted apart.
func pace(ctx context.Context, cl *kgo.Client, o *offer, value []byte, began time.Time, edge func(time.Time) bool, answered func(*kgo.Record, error), lat, late *samples) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	p := int32(0)
	for n := 0; ; {
		now := time.Now()
		if edge(now) {
			return
		}
		for due := int(now.Sub(began).Seconds() * float64(o.rate)); n < due; n++ {
			at := time.Now()
			late.add(at.Sub(began) - time.Duration(float64(n+1)/float64(o.rate)*float64(time.Second)))
			cl.Produce(ctx, &kgo.Record{Partition: p, Value: value}, func(r *kgo.Record, err error) {
				lat.add(time.Since(at))
				answered(r, err)
			})
			p = (p + 1) % o.partitions
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// meter hears of requests and batches from the client.
type meter struct {
	requests       *samples // nil = requests are not timed
	batches, bytes atomic.Int64
}

// OnBrokerE2E implements kgo.HookBrokerE2E.
func (m *meter) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e kgo.BrokerE2E) {
	if key == 0 && m.requests != nil && e.Err() == nil {
		m.requests.add(e.DurationE2E())
	}
}

// OnProduceBatchWritten implements kgo.HookProduceBatchWritten.
func (m *meter) OnProduceBatchWritten(_ kgo.BrokerMetadata, _ string, _ int32, b kgo.ProduceBatchMetrics) {
	m.batches.Add(1)
	m.bytes.Add(int64(b.CompressedBytes))
}

// samples keeps every duration: there are few enough, and quantiles are exact. Methods may be called concurrently.
type samples struct {
	mu  sync.Mutex // guards the following
	all []time.Duration
}

func (s *samples) add(d time.Duration) {
	s.mu.Lock()
	s.all = append(s.all, d)
	s.mu.Unlock()
}

func (s *samples) reset() {
	s.mu.Lock()
	s.all = s.all[:0]
	s.mu.Unlock()
}

func (s *samples) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// quantiles returns the smallest samples that at least a share q of them do not exceed; 0 when there are none.
func (s *samples) quantiles(qs ...float64) []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]time.Duration, len(qs))
	if len(s.all) == 0 {
		return out
	}
	slices.Sort(s.all)
	for i, q := range qs {
		n := int(q * float64(len(s.all)))
		if float64(n) == q*float64(len(s.all)) {
			n--
		}
		out[i] = s.all[min(max(n, 0), len(s.all)-1)]
	}
	return out
}
