package gateway

import (
	"context"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestFranzGoProducesWithEveryCodecAndAckLevel(t *testing.T) {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	modes := map[string][]kgo.Opt{
		"idempotent": nil,
		"acks=all":   {kgo.DisableIdempotentWrite()},
		"acks=1":     {kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck())},
		"acks=0":     {kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.NoAck())},
	}
	m := newMemory()
	s := serve(t, Config{}, m, m)
	for mode, opts := range modes {
		for codec, option := range codecs {
			topic := mode[:4] + mode[len(mode)-1:] + codec
			topic = fmt.Sprintf("%x", topic)
			m.add(topic, 3)
			t.Run(mode+" "+codec, func(t *testing.T) {
				produceAll(t, s.addr, topic, 500, append(opts, kgo.ProducerBatchCompression(option))...)
				eventually(t, "all records are there", func() bool { return m.records(topic) == 500 })
			})
		}
	}
}

func TestFranzGoGetsItsTopicCreated(t *testing.T) {
	m := newMemory()
	s := serve(t, Config{}, m, m)
	produceAll(t, s.addr, "brand-new", 10, kgo.AllowAutoTopicCreation())
	if n := m.records("brand-new"); n != 10 {
		t.Errorf("%d records, want 10", n)
	}
}

func TestClientSoftwareIsKnownWhileConnected(t *testing.T) {
	m := newMemory("t")
	s := serve(t, Config{}, m, m)
	cl := newClient(t, s.addr)
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	st := s.Stats()
	// franz-go says its name on one of its connections only.
	if named := st.Clients["kgo unknown"]; named == 0 || named+st.Clients[""] != st.Connections {
		t.Errorf("clients %v of %d connections", st.Clients, st.Connections)
	}
	if st.Requests[keyProduce] == 0 || st.AckLatency.Count() == 0 || st.BytesIn == 0 {
		t.Errorf("a produced record left no trace in %+v", st)
	}
	cl.Close()
	eventually(t, "the connections are gone", func() bool { return s.Stats().Connections == 0 })
}

func newClient(t testing.TB, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addr), kgo.RecordPartitioner(kgo.RoundRobinPartitioner())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func produceAll(t testing.TB, addr, topic string, n int, opts ...kgo.Opt) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTime)
	defer cancel()
	cl := newClient(t, addr, opts...)
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Topic: topic, Key: []byte("k"), Value: fmt.Appendf(nil, "a value that can be compressed %d", i)}
	}
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatalf("produce to %s: %v", topic, err)
	}
}
