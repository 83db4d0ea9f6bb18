// Package reader reads a topic straight from Kafka, every partition from its start, and hands what it finds to a
// judge, as a consumer sees it that knows nothing of what stands before Kafka.
//
// Stability: may change.
package reader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown"
)

// Judge takes what was found, in the order of offsets of each partition; *check.Checker is one. It is called by one
// goroutine; the bytes are valid only during the call.
type Judge interface {
	Seen(tp streamdown.TopicPartition, offset streamdown.Offset, value []byte)
}

// Reader reads until Close. Its methods may be called concurrently.
type Reader struct {
	topic string
	cl    *kgo.Client
	judge Judge
	end   context.CancelFunc
	done  chan struct{}

	mu     sync.Mutex // guards the following
	next   []int64    // offset to be read next, by partition
	moved  chan struct{}
	codecs [5]int64 // records read, by the compression their batch has
	err    error    // the last that a fetch showed
}

// Open begins to read partitions 0 … partitions-1 of a topic at the broker with the given address. An outage of the
// broker is waited out. Whoever opens a reader closes it.
func Open(addr, topic string, partitions int32, judge Judge) (*Reader, error) {
	start := make(map[int32]kgo.Offset)
	for p := range partitions {
		start[p] = kgo.NewOffset().At(0)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: start}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // an offset that is gone is loss, not an invitation to skip
		kgo.FetchMaxWait(200*time.Millisecond), kgo.MetadataMinAge(250*time.Millisecond))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", topic, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &Reader{
		topic: topic, cl: cl, judge: judge, end: cancel, done: make(chan struct{}),
		next: make([]int64, partitions), moved: make(chan struct{}),
	}
	go r.run(ctx)
	return r, nil
}

func (r *Reader) run(ctx context.Context) {
	defer close(r.done)
	for ctx.Err() == nil {
		fetches := r.cl.PollFetches(ctx)
		fetches.EachRecord(func(rec *kgo.Record) {
			r.judge.Seen(streamdown.TopicPartition{Topic: rec.Topic, Partition: rec.Partition}, streamdown.Offset(rec.Offset), rec.Value)
		})
		r.mu.Lock()
		fetches.EachRecord(func(rec *kgo.Record) {
			r.next[rec.Partition] = rec.Offset + 1
			r.codecs[min(int(rec.Attrs.CompressionType()), len(r.codecs)-1)]++
		})
		fetches.EachError(func(_ string, p int32, err error) {
			if !errors.Is(err, context.Canceled) {
				r.err = fmt.Errorf("partition %d: %w", p, err)
			}
		})
		close(r.moved)
		r.moved = make(chan struct{})
		r.mu.Unlock()
	}
}

// Ends asks the broker where the partitions end now.
func (r *Reader) Ends(ctx context.Context) ([]int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic = r.topic
	for p := range r.next {
		part := kmsg.NewListOffsetsRequestTopicPartition()
		part.Partition, part.Timestamp = int32(p), -1 // the end
		topic.Partitions = append(topic.Partitions, part)
	}
	req.Topics = append(req.Topics, topic)
	ends := slices.Repeat([]int64{-1}, len(r.next))
	for _, shard := range r.cl.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return nil, fmt.Errorf("ask for the end of %s: %w", r.topic, shard.Err)
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return nil, fmt.Errorf("ask for the end of %s/%d: %w", r.topic, p.Partition, err)
				}
				ends[p.Partition] = p.Offset
			}
		}
	}
	if slices.Contains(ends, -1) {
		return nil, fmt.Errorf("ask for the end of %s: no answer for some partition: %v", r.topic, ends)
	}
	return ends, nil
}

// CatchUp waits until everything that is in the partitions when it is called was handed to the judge.
func (r *Reader) CatchUp(ctx context.Context) error {
	ends, err := r.Ends(ctx)
	if err != nil {
		return err
	}
	return r.await(ctx, fmt.Sprintf("%v", ends), func(next []int64) bool {
		for p, end := range ends {
			if next[p] < end {
				return false
			}
		}
		return true
	})
}

// Await waits until done says so; it is asked again whenever something was read.
func (r *Reader) Await(ctx context.Context, done func() bool) error {
	return r.await(ctx, "the wanted state", func([]int64) bool { return done() })
}

func (r *Reader) await(ctx context.Context, what string, done func(next []int64) bool) error {
	for {
		r.mu.Lock()
		ok, moved := done(r.next), r.moved
		next, last := slices.Clone(r.next), r.err
		r.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-moved:
		case <-r.done:
			return fmt.Errorf("read %s: closed at %v", r.topic, next)
		case <-ctx.Done():
			return fmt.Errorf("read %s up to %s: %w; read up to %v, last error: %w", r.topic, what, ctx.Err(), next, last)
		}
	}
}

// Codecs counts the records read so far by the compression of their batch: none, gzip, snappy, lz4, zstd.
func (r *Reader) Codecs() [5]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.codecs
}

// Close ends the reading and waits for it.
func (r *Reader) Close() {
	r.end()
	<-r.done
	r.cl.Close()
}
