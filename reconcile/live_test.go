package reconcile_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/connect/kafka"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/reconcile"
	"github.com/streamdown/streamdown/sink"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// TestALogAgainstALiveTopic speaks to kfake, an embedded broker with the real protocol, while the log is open and with
// a directory on the real disk.
func TestALogAgainstALiveTopic(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer fake.Close()
	c, err := kafka.New(kafka.Config{Bootstrap: fake.ListenAddrs()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	view, err := c.Look(ctx, []string{"orders"})
	if err != nil {
		t.Fatal(err)
	}
	target := reconcile.NewKafkaTopics(c)
	id, _, err := c.NewProducerID(ctx)
	if err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	book := delivery.New()
	log, _, err := wal.Open(wal.Config{Dir: dir, SegmentSize: 64 << 10, Books: []wal.Book{book}})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	put := func(e *wal.Entry) {
		t.Helper()
		if _, err := log.Append(e); err != nil {
			t.Fatal(err)
		}
		if err := log.Wait(ctx, e.End()); err != nil {
			t.Fatal(err)
		}
	}
	replies := make(chan []sink.Answer, 1)
	_, topic, _ := view.Partition(streamdown.TopicPartition{Topic: "orders"})
	pipe, err := c.Dial(ctx, topic.Partitions[0].Leader, 1, func(_ uint64, answers []sink.Answer, err error) {
		if err == nil {
			replies <- append([]sink.Answer(nil), answers...) // borrowed
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	send := func(lane streamdown.LaneID, o streamdown.Ordinal, raw []byte) streamdown.Offset {
		t.Helper()
		bind := book.Lane(lane).Binding
		tp, _ := log.LaneName(lane)
		p := sink.Parcel{TopicPartition: tp, TopicID: topic.ID, Payload: raw[batch.HeaderSize:]}
		batch.Restamp(&p.Header, raw, batch.Stamp{ProducerID: bind.PID, Epoch: bind.Epoch, BaseSequence: bind.Sequence(o)})
		if !pipe.Send(1, []sink.Parcel{p}) {
			t.Fatal("the pipe takes nothing")
		}
		select {
		case a := <-replies:
			if a[0].Class != sink.OK {
				t.Fatalf("%+v", a[0])
			}
			return a[0].Base
		case <-ctx.Done():
			t.Fatal("no answer")
			return 0
		}
	}

	var b batch.Builder
	build := func(codec batch.Codec, n int) []byte {
		for i := range n {
			b.Append(time.Now().UnixMilli(), []byte("key"), make([]byte, 300+i))
		}
		raw, err := b.Build(codec, batch.NoStamp)
		if err != nil {
			t.Fatal(err)
		}
		return append([]byte(nil), raw...)
	}
	next := map[streamdown.LaneID]streamdown.Ordinal{}
	accept := func(lane streamdown.LaneID, codec batch.Codec, n int) (streamdown.Ordinal, []byte) {
		o, raw := next[lane], build(codec, n)
		put(&wal.Entry{Kind: wal.KindBatch, Lane: lane, Ordinal: o, Count: int32(n), Body: raw})
		next[lane] += streamdown.Ordinal(n)
		return o, raw
	}
	var lanes []streamdown.LaneID
	for p := range int32(3) {
		lane, err := log.Lane(streamdown.TopicPartition{Topic: "orders", Partition: p})
		if err != nil {
			t.Fatal(err)
		}
		put(delivery.BindingEntry(delivery.Binding{Lane: lane, Cluster: view.ID, Topic: topic.ID, PID: id}))
		lanes = append(lanes, lane)
	}
	for i := range 120 {
		lane := lanes[i%3]
		o, raw := accept(lane, batch.Codec(i%5), 1+i%7)
		base := send(lane, o, raw)
		book.Confirm(lane, next[lane], base+streamdown.Offset(next[lane]-o))
	}
	put(book.ProgressEntry(log.Durable()))

	run := func() *reconcile.Report {
		t.Helper()
		r, err := wal.OpenReader(vfs.OS{}, dir) // the log is open and locked
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		rep, err := reconcile.Run(ctx, reconcile.Config{Log: r, Topic: target, Window: 50})
		if err != nil {
			t.Fatal(err)
		}
		return rep
	}
	if r := run(); r.Exit() != 0 || r.Total.Identical.Batches != 120 || r.Total.Compared != r.Total.Accepted {
		t.Fatal(r)
	}
	accept(lanes[0], batch.None, 5)
	if r := run(); r.Exit() != 0 || r.Total.Pending.Records != 5 {
		t.Fatal(r)
	}
	accept(lanes[1], batch.None, 2) // never sent, and confirmed all the same
	book.Confirm(lanes[1], next[lanes[1]], streamdown.NoOffset)
	put(book.ProgressEntry(log.Durable()))
	send(lanes[2], next[lanes[2]], build(batch.Zstd, 4)) // sent, and never in the log
	r := run()
	if r.Exit() != 4 || r.Total.Absent.Records != 2 || r.Total.Foreign.Records != 4 || r.Total.Pending.Records != 5 || r.Total.Identical.Batches != 120 {
		t.Fatal(r)
	}
	if w := r.Worst[0]; w.Verdict != reconcile.Absent || w.Partition != 1 || w.From != next[lanes[1]]-2 || w.LSN == 0 {
		t.Errorf("%s", w)
	}
}
