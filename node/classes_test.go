package node_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// classesIn starts a node with three classes.
func classesIn(t *testing.T, dir, bootstrap, data string) *running {
	t.Helper()
	return startFrom(t, fmt.Sprintf(`version: 1
listen: { kafka: { address: "127.0.0.1:0" }, http: { address: "127.0.0.1:0" } }
data: { dir: %q%s }
systems: { primary: { kafka: { bootstrap.servers: %q } } }
streams:
  - { name: first, topics: ["orders"], priority: critical, acks: wal }
  - { name: last, topics: ["clicks"], priority: low, acks: wal }
  - { name: rest, topics: ["*"], acks: wal }
`, dir, data, bootstrap))
}

// shows asks for the topics, by name in the answer, until all of them are there.
func shows(t *testing.T, addr string, topics ...string) *kmsg.MetadataResponse {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	r := kmsg.NewPtrMetadataRequest()
	for _, name := range topics {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = &name
		r.Topics = append(r.Topics, topic)
	}
	r.AllowAutoTopicCreation = true
	for {
		resp, err := r.RequestWith(t.Context(), cl)
		if err != nil {
			t.Fatal(err)
		}
		known := len(resp.Topics) == len(topics)
		for _, topic := range resp.Topics {
			known = known && topic.ErrorCode == 0
		}
		if known {
			slices.SortFunc(resp.Topics, func(a, b kmsg.MetadataResponseTopic) int { return strings.Compare(*a.Topic, *b.Topic) })
			return resp
		}
		pause(t)
	}
}

// pause is a moment between two looks.
func pause(t *testing.T) {
	t.Helper()
	select {
	case <-time.After(20 * time.Millisecond):
	case <-t.Context().Done():
		t.Fatal("the test's time is over")
	}
}

func TestEachPriorityIsABrokerWithAPort(t *testing.T) {
	c := cluster(t, t.TempDir())
	defer c.Close()
	n := classesIn(t, t.TempDir(), c.ListenAddrs()[0], "")
	defer n.stop(t)
	md := shows(t, n.KafkaAddr(), "orders", "clicks", "others")
	leaders := map[string]int32{}
	for _, topic := range md.Topics {
		leaders[*topic.Topic] = topic.Partitions[0].Leader
	}
	if want := map[string]int32{"orders": 1, "clicks": 4, "others": 3}; len(md.Brokers) != 3 || fmt.Sprint(leaders) != fmt.Sprint(want) {
		t.Fatalf("%d brokers, leaders %v, want %v", len(md.Brokers), leaders, want)
	}
	s := n.Status(t.Context())
	if len(s.Listen.Classes) != 3 || s.Listen.Classes[0].Address != s.Listen.Kafka {
		t.Fatalf("status shows %+v", s.Listen)
	}
	for i, class := range s.Listen.Classes {
		b := md.Brokers[i]
		if at := net.JoinHostPort(b.Host, fmt.Sprint(b.Port)); class.NodeID != b.NodeID || class.Advertised == nil || *class.Advertised != at || class.Address != at {
			t.Errorf("class %+v is broker %+v", class, b)
		}
		cl, err := kgo.NewClient(kgo.SeedBrokers(class.Address)) // any port tells of all
		if err != nil {
			t.Fatal(err)
		}
		for _, topic := range []string{"orders", "clicks", "others"} {
			if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("v")}).FirstErr(); err != nil {
				t.Errorf("through %s to %s: %v", class.Address, topic, err)
			}
		}
		cl.Close()
	}
	if s = n.Status(t.Context()); s.Gateway.Refusals["NOT_LEADER_FOR_PARTITION"] != 0 {
		t.Errorf("refusals %v", s.Gateway.Refusals)
	}
}

// The target is away and the log gets full: the low class has to wait before the critical one does (G4).
func TestCriticalRecordsAreTakenWhenThereIsNoRoomForLowOnes(t *testing.T) {
	c := cluster(t, t.TempDir())
	n := classesIn(t, t.TempDir(), c.ListenAddrs()[0], ", max_size: 16MiB")
	shows(t, n.KafkaAddr(), "orders", "clicks")
	c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	low, err := kgo.NewClient(kgo.SeedBrokers(n.KafkaAddr()), kgo.DefaultProduceTopic("clicks"), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(50_000), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer low.Close()
	noise := rand.NewChaCha8([32]byte{1})
	value := func() []byte {
		v := make([]byte, 10_000)
		_, _ = noise.Read(v) // never fails
		return v
	}
	for range 2000 { // 20 MB
		low.TryProduce(ctx, &kgo.Record{Value: value()}, func(_ *kgo.Record, err error) {
			if err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
	}
	for n.Status(t.Context()).Gateway.HeldReplies == 0 {
		pause(t)
	}
	left := n.Status(t.Context()).Log.RoomBytes
	if left == nil || *left < 300_000 {
		t.Fatalf("%v bytes of room are left when the low class has to wait", left)
	}
	critical, err := kgo.NewClient(kgo.SeedBrokers(n.KafkaAddr()), kgo.DefaultProduceTopic("orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer critical.Close()
	for range 10 {
		if err := critical.ProduceSync(t.Context(), &kgo.Record{Value: value()}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if low.BufferedProduceRecords() == 0 {
		t.Error("all low records were taken")
	}
	cancel()
	n.stop(t)
}

// What Metadata says of topic ids is the same after a restart of ours, with the target away, and is what the target says.
func TestTopicIDsSurviveARestartWhileTheTargetIsAway(t *testing.T) {
	c := cluster(t, t.TempDir())
	dir, bootstrap := t.TempDir(), c.ListenAddrs()[0]
	n := start(t, dir, bootstrap)
	want := shows(t, n.KafkaAddr(), "orders", "made-by-a-client")
	upstream := shows(t, bootstrap, "orders", "made-by-a-client")
	c.Close()
	for range 2 {
		n.stop(t)
		n = start(t, dir, bootstrap)
		got := shows(t, n.KafkaAddr(), "orders", "made-by-a-client")
		for i := range want.Topics {
			if id := got.Topics[i].TopicID; id == [16]byte{} || id != want.Topics[i].TopicID || id != upstream.Topics[i].TopicID {
				t.Errorf("%s has id %x, had %x, and is %x at the target", *got.Topics[i].Topic, id, want.Topics[i].TopicID, upstream.Topics[i].TopicID)
			}
		}
		produce(t, n.KafkaAddr(), 0, 10) // by id: franz-go takes what is offered
	}
	if n.Status(t.Context()).Gateway.Refusals["UNKNOWN_TOPIC_ID"] != 0 {
		t.Error("an id was not known")
	}
	n.stop(t)
}
