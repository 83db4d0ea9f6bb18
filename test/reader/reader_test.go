package reader_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/test/reader"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// list keeps what was seen, as text.
type list struct{ seen []string }

func (l *list) Seen(tp streamdown.TopicPartition, offset streamdown.Offset, value []byte) {
	l.seen = append(l.seen, fmt.Sprintf("%v@%d=%s", tp, offset, value))
}

func TestReaderHandsOverEverythingInTheOrderOfOffsets(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic("t"), kgo.ProducerBatchCompression(kgo.Lz4Compression()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var got list
	r, err := reader.Open(c.ListenAddrs()[0], "t", 1, &got)
	if err != nil {
		t.Fatal(err)
	}
	const n = 100
	for i := range n {
		cl.Produce(t.Context(), kgo.StringRecord(fmt.Sprintf("%050d", i)), nil)
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Await(ended, func() bool { return false }); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting ended with %v", err)
	}
	codecs := r.Codecs()
	r.Close()
	if len(got.seen) != n || codecs[3] == 0 {
		t.Fatalf("%d records, codecs %v", len(got.seen), codecs)
	}
	for i, s := range got.seen {
		if want := fmt.Sprintf("t/0@%d=%050d", i, i); s != want {
			t.Fatalf("record %d is %s, want %s", i, s, want)
		}
	}
}
