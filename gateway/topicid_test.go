package gateway

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/catalog"
)

// byID is a produce request of one batch for each of the topics.
func byID(acks int16, ids ...streamdown.ID) *kmsg.ProduceRequest {
	r := kmsg.NewPtrProduceRequest()
	r.Version, r.Acks = produceTopicID, acks
	for _, id := range ids {
		t := kmsg.NewProduceRequestTopic()
		t.TopicID = id
		p := kmsg.NewProduceRequestTopicPartition()
		p.Records = recordBatch(1, []byte("payload"))
		t.Partitions = append(t.Partitions, p)
		r.Topics = append(r.Topics, t)
	}
	return r
}

func TestProduceByTopicIDIsAnsweredTopicByTopic(t *testing.T) {
	m := newMemory("t", "u", "other-not-ours")
	s := serve(t, Config{}, m, m)
	id := func(name string) streamdown.ID { return m.Cluster().Topics[name].ID }
	for _, c := range []struct {
		name  string
		ids   []streamdown.ID
		codes []int16
	}{
		{"known ones", []streamdown.ID{id("u"), id("t")}, []int16{0, 0}},
		{"one that nobody has, between two", []streamdown.ID{id("u"), {1, 2, 3}, id("t")}, []int16{0, codeUnknownTopicID, 0}},
		{"no id", []streamdown.ID{{}}, []int16{codeUnknownTopicID}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := produced(produceTopicID)
			dial(t, s.addr).ask(byID(-1, c.ids...), r)
			if len(r.Topics) != len(c.ids) {
				t.Fatalf("%d topics, want %d", len(r.Topics), len(c.ids))
			}
			for i, topic := range r.Topics {
				if topic.TopicID != c.ids[i] || topic.Topic != "" || len(topic.Partitions) != 1 || topic.Partitions[0].ErrorCode != c.codes[i] {
					t.Errorf("topic %d: %+v, want id %v and code %d", i, topic, c.ids[i], c.codes[i])
				}
			}
		})
	}
	if m.records("t") != 2 || m.records("u") != 2 {
		t.Errorf("%d and %d records, want 2 each", m.records("t"), m.records("u"))
	}
}

// A topic that was deleted and made anew is another one: what was meant for the first must not come to the second.
func TestRecordsForATopicThatWasMadeAnewAreRefused(t *testing.T) {
	m := newMemory("t")
	s := serve(t, Config{}, m, m)
	p := dial(t, s.addr)
	was := m.Cluster().Topics["t"].ID
	m.set(func(m *memory) {
		c := *m.cluster
		anew := *c.Topics["t"]
		anew.ID[0]++
		c.Topics = map[string]*catalog.Topic{"t": &anew}
		m.cluster = &c
	})
	r := produced(produceTopicID)
	p.ask(byID(-1, was), r)
	if code := r.Topics[0].Partitions[0].ErrorCode; code != codeUnknownTopicID || m.records("t") != 0 {
		t.Fatalf("code %d, %d records", code, m.records("t"))
	}
	md := described(13)
	p.ask(metadataOf(13, false, "t"), md)
	r = produced(produceTopicID)
	p.ask(byID(-1, md.Topics[0].TopicID), r)
	if code := r.Topics[0].Partitions[0].ErrorCode; code != 0 || m.records("t") != 1 {
		t.Errorf("with the id that Metadata tells: code %d, %d records", code, m.records("t"))
	}
}

// A cluster before 2.8 has no topic ids. Its topics have ones all the same, and they need no memory.
func TestTopicsOfAClusterWithoutIDsAreFoundByOurs(t *testing.T) {
	m := newMemory("t", "u")
	m.set(func(m *memory) {
		for _, topic := range m.cluster.Topics {
			topic.ID = streamdown.ID{}
		}
	})
	s := serve(t, Config{}, m, m)
	p := dial(t, s.addr)
	md := described(12)
	p.ask(metadataOf(12, false, "t", "u"), md)
	ids := []streamdown.ID{md.Topics[0].TopicID, md.Topics[1].TopicID}
	if ids[0].IsZero() || ids[1].IsZero() || ids[0] == ids[1] {
		t.Fatalf("ids %v", ids)
	}
	r := produced(produceTopicID)
	p.ask(byID(-1, ids...), r)
	if r.Topics[0].Partitions[0].ErrorCode != 0 || m.records("t") != 1 || m.records("u") != 1 {
		t.Errorf("%+v", r.Topics)
	}
	again := *m.Cluster()
	if got := again.ShownID(again.Topics["t"]); got != ids[0] {
		t.Errorf("the id is %v now, and was %v", got, ids[0])
	}
}

// forgetful is a directory whose log does not know its topics yet.
type forgetful struct{ *memory }

func (forgetful) Durable(*catalog.Topic) bool { return false }

func TestAnIDIsShownOnceItIsDurable(t *testing.T) {
	m := newMemory("t")
	s := serve(t, Config{}, m, forgetful{m})
	p := dial(t, s.addr)
	for version := range int16(14) {
		r := described(version)
		p.ask(metadataOf(version, false, "t"), r)
		if want := map[bool]int16{true: codeLeaderNotAvailable}[version >= metadataTopicID]; r.Topics[0].ErrorCode != want {
			t.Errorf("v%d: code %d, want %d", version, r.Topics[0].ErrorCode, want)
		}
	}
}

// franz-go takes version 13 where it is offered. At an id that is gone it gives the records back, as with a broker, until
// its user starts it anew: so an id may only change where the topic is another one.
func TestFranzGoGivesRecordsOfATopicThatWasMadeAnewBack(t *testing.T) {
	m := newMemory("t")
	s := serve(t, Config{}, m, m)
	cl := newClient(t, s.addr, kgo.MetadataMinAge(10*time.Millisecond))
	send := func() error {
		return cl.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr()
	}
	if err := send(); err != nil {
		t.Fatal(err)
	}
	m.set(func(m *memory) {
		c := *m.cluster
		anew := *c.Topics["t"]
		anew.ID[0]++
		c.Topics = map[string]*catalog.Topic{"t": &anew}
		m.cluster = &c
	})
	if err := send(); !errors.Is(err, kerr.UnknownTopicID) || m.records("t") != 1 {
		t.Fatalf("%v, %d records", err, m.records("t"))
	}
	produceAll(t, s.addr, "t", 10)
	if n := m.records("t"); n != 11 {
		t.Errorf("%d records after another client's ten", n)
	}
}
