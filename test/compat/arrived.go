package compat

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ends are the end offsets of a topic, by partition.
func (d *Doors) ends(ctx context.Context, topic string) ([Partitions]int64, error) {
	var out [Partitions]int64
	list, err := d.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return out, fmt.Errorf("ask for the end of %s: %w", topic, err)
	}
	for p := range out {
		o, ok := list.Lookup(topic, int32(p))
		if !ok || o.Err != nil {
			return out, fmt.Errorf("ask for the end of %s-%d: %w", topic, p, o.Err)
		}
		out[p] = o.Offset
	}
	return out, nil
}

// compare reads what came behind the offsets before, straight from Kafka, and says what is not as it was sent.
func (d *Doors) compare(ctx context.Context, topic string, before [Partitions]int64, codec int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	from := map[int32]kgo.Offset{}
	for p, o := range before {
		from[int32(p)] = kgo.NewOffset().At(o)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(d.broker.Addr()), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	if err != nil {
		return err
	}
	defer cl.Close()
	var next [Partitions]int
	coded := 0
	for next[0]+next[1] < Partitions*Records {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("%v of %d records a partition arrived: %w", next, Records, ctx.Err())
		}
		for r := range fetches.RecordsAll() {
			if err := differs(r, next[r.Partition]); err != nil {
				return err
			}
			if int(r.Attrs.CompressionType()) == codec {
				coded++
			}
			next[r.Partition]++
		}
	}
	after, err := d.ends(ctx, topic)
	if err != nil {
		return err
	}
	for p := range after {
		if n := after[p] - before[p]; n != Records {
			return fmt.Errorf("partition %d has %d records, %d were sent", p, n, Records)
		}
	}
	// Clients send a batch as it is where compression would not make it smaller.
	if coded < Partitions*Records*9/10 {
		return fmt.Errorf("%d of %d records are in batches of %s", coded, Partitions*Records, Codecs[codec])
	}
	return nil
}

// differs says how a record is not number i of its partition.
func differs(r *kgo.Record, i int) error {
	var key, value []byte
	if i%10 != 7 {
		key = fmt.Appendf(nil, "k-%d-%d", r.Partition, i)
	}
	if i%10 != 3 {
		value = fmt.Appendf(nil, "v-%d-%d-%s", r.Partition, i, strings.Repeat("abcdefgh", 16))
	}
	same := bytes.Equal(r.Key, key) && (r.Key == nil) == (key == nil) && bytes.Equal(r.Value, value) && (r.Value == nil) == (value == nil)
	want := []kgo.RecordHeader{{Key: "a", Value: fmt.Appendf(nil, "%d-%d", r.Partition, i)}, {Key: "b", Value: []byte{0, 0xff, 0x7f}}, {Key: "c", Value: []byte{}}}
	same = same && len(r.Headers) == len(want)
	for n := 0; same && n < len(want); n++ {
		same = r.Headers[n].Key == want[n].Key && bytes.Equal(r.Headers[n].Value, want[n].Value)
	}
	if !same || time.Since(r.Timestamp).Abs() > time.Hour {
		return fmt.Errorf("record %d of partition %d is key %q, value %q, headers %q, time %v", i, r.Partition, r.Key, r.Value, r.Headers, r.Timestamp)
	}
	return nil
}
