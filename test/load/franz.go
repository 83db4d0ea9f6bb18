package load

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamdown/streamdown/check"
)

// franz is franz-go in this process.
type franz struct {
	spec  Spec
	tally *tally
	log   *os.File
	cl    *kgo.Client
	once  sync.Once
}

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

var acks = map[string]kgo.Acks{"all": kgo.AllISRAcks(), "1": kgo.LeaderAck(), "0": kgo.NoAck()}

func startFranz(s Spec, t *tally) (sender, error) {
	codec, known := codecs[s.Compression]
	ack, knownAck := acks[s.Acks]
	if !known || !knownAck {
		return nil, fmt.Errorf("no compression %q or acks %q", s.Compression, s.Acks)
	}
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(s.Dir, "franz.log"))
	if err != nil {
		return nil, err
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(s.Bootstrap), kgo.DefaultProduceTopic(s.Topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(codec), kgo.RequiredAcks(ack),
		kgo.ProducerLinger(5 * time.Millisecond),
		kgo.MaxBufferedRecords(100_000),
		kgo.UnknownTopicRetries(-1),
		kgo.MetadataMinAge(250 * time.Millisecond), // a retry waits for a look at the metadata
		kgo.WithLogger(kgo.BasicLogger(log, kgo.LogLevelInfo, func() string { return time.Now().Format("15:04:05.000 ") })),
	}
	if !s.Idempotent { // with idempotence the number in flight is the client's own choice
		opts = append(opts, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(s.InFlight))
	}
	f := &franz{spec: s, tally: t, log: log}
	if f.cl, err = kgo.NewClient(opts...); err != nil {
		return nil, fmt.Errorf("make the client: %w", err)
	}
	return f, nil
}

func (f *franz) grant(ctx context.Context, partition int32, from, to uint64) error {
	for seq := from; seq < to; seq++ {
		r := &kgo.Record{Partition: partition, Value: check.AppendRecord(nil, f.spec.record(partition, seq))}
		f.cl.Produce(ctx, r, func(_ *kgo.Record, err error) {
			if err != nil {
				f.tally.failed(partition, err.Error())
				return
			}
			f.tally.acked(partition, seq)
		})
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (f *franz) finish(ctx context.Context) error { return f.cl.Flush(ctx) }

func (f *franz) abort() {
	f.once.Do(func() {
		f.cl.Close()
		_ = f.log.Close()
	})
}
