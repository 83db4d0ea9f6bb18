package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func metadataOf(version int16, create bool, names ...string) *kmsg.MetadataRequest {
	r := kmsg.NewPtrMetadataRequest()
	r.Version, r.AllowAutoTopicCreation = version, create
	r.Topics = []kmsg.MetadataRequestTopic{}
	for _, name := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &name
		r.Topics = append(r.Topics, t)
	}
	return r
}

func described(version int16) *kmsg.MetadataResponse {
	r := kmsg.NewPtrMetadataResponse()
	r.Version = version
	return r
}

func TestOneBrokerLeadsEverythingInEveryVersion(t *testing.T) {
	m := newMemory("t", "other-not-ours")
	s := serve(t, Config{Brokers: []Broker{{NodeID: 5, Advertise: "gate.example:1234"}}}, m, m)
	p := dial(t, s.addr)
	for version := range int16(14) {
		r := described(version)
		p.ask(metadataOf(version, false, "t", "t"), r)
		if len(r.Brokers) != 1 || r.Brokers[0].NodeID != 5 || r.Brokers[0].Host != "gate.example" || r.Brokers[0].Port != 1234 {
			t.Fatalf("v%d: brokers %+v", version, r.Brokers)
		}
		if version >= 2 && *r.ClusterID != "upstream-cluster" || version >= 1 && r.ControllerID != 5 {
			t.Errorf("v%d: cluster %v, controller %d", version, r.ClusterID, r.ControllerID)
		}
		if len(r.Topics) != 1 || r.Topics[0].ErrorCode != 0 || len(r.Topics[0].Partitions) != 3 {
			t.Fatalf("v%d: topics %+v", version, r.Topics)
		}
		if id := m.Cluster().Topics["t"].ID; version >= 10 && r.Topics[0].TopicID != id {
			t.Errorf("v%d: topic id %v, want the cluster's own %v", version, r.Topics[0].TopicID, id)
		}
		for i, part := range r.Topics[0].Partitions {
			if part.Partition != int32(i) || part.Leader != 5 || part.ErrorCode != 0 || !slices.Equal(part.ISR, []int32{5}) {
				t.Errorf("v%d: partition %+v", version, part)
			}
		}
		all := metadataOf(version, false)
		if version >= 1 {
			all.Topics = nil
		}
		r = described(version)
		p.ask(all, r)
		if len(r.Topics) != 1 || *r.Topics[0].Topic != "t" {
			t.Errorf("v%d: of all topics %d are shown, want those that a stream takes: %+v", version, len(r.Topics), r.Topics)
		}
		if version >= 1 {
			r = described(version)
			p.ask(metadataOf(version, false), r)
			if len(r.Topics) != 0 {
				t.Errorf("v%d: %d topics where none was asked for", version, len(r.Topics))
			}
		}
	}
}

func TestTopicsAreFoundByID(t *testing.T) {
	m := newMemory("t", "other-not-ours")
	s := serve(t, Config{}, m, m)
	p := dial(t, s.addr)
	r := metadataOf(12, false)
	for _, id := range [][16]byte{m.Cluster().Topics["t"].ID, m.Cluster().Topics["other-not-ours"].ID, {1, 2, 3}, {}} {
		topic := kmsg.NewMetadataRequestTopic()
		topic.TopicID = id
		r.Topics = append(r.Topics, topic)
	}
	got := described(12)
	p.ask(r, got)
	for _, topic := range got.Topics {
		if known := topic.TopicID == m.Cluster().Topics["t"].ID; known != (topic.ErrorCode == 0) || (!known && topic.ErrorCode != codeUnknownTopicID) {
			t.Errorf("topic %+v", topic)
		}
	}
	if len(got.Topics) != 4 {
		t.Errorf("%d topics, want 4", len(got.Topics))
	}
}

func TestWhatIsSaidOfATopic(t *testing.T) {
	for _, c := range []struct {
		name   string
		topic  string
		create bool
		state  func(m *memory)
		want   int16
	}{
		{"known", "t", true, nil, 0},
		{"known, seen long ago", "t", false, func(m *memory) { m.cluster.At = time.Now().Add(-time.Hour) }, 0},
		{"known, without a leader upstream", "t", false, func(m *memory) { m.cluster.Topics["t"].Partitions[0].Leader = -1; m.cluster.Topics["t"].Err = 5 }, 0},
		{"not taken by any stream", "other-x", true, nil, codeTopicNotAllowed},
		{"not taken, existing", "other-y", false, nil, codeTopicNotAllowed},
		{"created", "new", true, nil, 0},
		{"not to be created", "new", false, nil, codeUnknownTopic},
		{"not to be created, our view is old", "new", false, func(m *memory) { m.cluster.At = time.Now().Add(-time.Hour) }, codeLeaderNotAvailable},
		{"nothing was ever seen", "new", false, func(m *memory) { m.cluster = nil }, codeLeaderNotAvailable},
		{"upstream is away", "new", true, func(m *memory) {
			m.create = func(context.Context, string) error { return errors.New("away") }
		}, codeLeaderNotAvailable},
		{"upstream does not answer", "new", true, func(m *memory) {
			m.create = func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }
		}, codeLeaderNotAvailable},
		{"no name", "", true, nil, codeInvalidTopic},
		{"a path", "../../etc", true, nil, codeInvalidTopic},
		{"too long", fmt.Sprintf("%0250d", 0), true, nil, codeInvalidTopic},
		{"not ASCII", "tö", true, nil, codeInvalidTopic},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMemory("t", "other-y")
			if c.state != nil {
				m.set(c.state)
			}
			s := serve(t, Config{CreateWait: 20 * time.Millisecond}, m, m)
			r := described(9)
			dial(t, s.addr).ask(metadataOf(9, c.create, c.topic), r)
			if len(r.Topics) != 1 || *r.Topics[0].Topic != c.topic || r.Topics[0].ErrorCode != c.want {
				t.Errorf("%+v, want code %d", r.Topics, c.want)
			}
			if c.want != 0 && s.Stats().Refusals[c.want] != 1 {
				t.Errorf("refusals %v", s.Stats().Refusals)
			}
			if c.want == codeInvalidTopic || c.want == codeTopicNotAllowed {
				if len(m.created) > 0 {
					t.Errorf("%q was created", m.created)
				}
			}
		})
	}
}

func TestTopicIsCreatedOnceForManyClients(t *testing.T) {
	m := newMemory()
	begin := make(chan struct{})
	m.create = func(_ context.Context, topic string) error {
		<-begin
		m.add(topic, 3)
		return nil
	}
	s := serve(t, Config{CreateWait: testTime}, m, m)
	var clients sync.WaitGroup
	for range 10 {
		p := dial(t, s.addr)
		clients.Go(func() {
			r := described(9)
			p.ask(metadataOf(9, true, "new"), r)
			if r.Topics[0].ErrorCode != 0 {
				t.Errorf("code %d", r.Topics[0].ErrorCode)
			}
		})
	}
	eventually(t, "all ten have asked", func() bool { return s.Stats().Requests[keyMetadata] == 10 })
	close(begin)
	clients.Wait()
	if len(m.created) != 1 {
		t.Errorf("created %q, want once", m.created)
	}
}

func TestCreationThatHangsHoldsNobodyElse(t *testing.T) {
	m := newMemory("t")
	m.create = func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }
	s := serve(t, Config{CreateWait: testTime / 2, DrainTime: 20 * time.Millisecond}, m, m)
	waiting := dial(t, s.addr)
	waiting.send(frame(1, metadataOf(9, true, "new1", "new2", "new3", "new4", "new5", "new6")))
	waiting.send(frame(2, produceOf(9, 0, "t", 0)))
	eventually(t, "what the waiting client sent after it is taken all the same", func() bool { return m.records("t") == 1 })
	r := described(9)
	dial(t, s.addr).ask(metadataOf(9, true, "t"), r)
	if r.Topics[0].ErrorCode != 0 {
		t.Errorf("another client got %+v", r.Topics)
	}
}

func TestFailedCreationIsNotRepeatedAtOnce(t *testing.T) {
	m := newMemory()
	m.create = func(context.Context, string) error { return errors.New("not allowed") }
	s := serve(t, Config{}, m, m)
	p := dial(t, s.addr)
	for range 20 {
		r := described(9)
		p.ask(metadataOf(9, true, "new"), r)
		if r.Topics[0].ErrorCode != codeLeaderNotAvailable {
			t.Fatalf("code %d", r.Topics[0].ErrorCode)
		}
	}
	if len(m.created) != 1 || s.Stats().CreatesFailed != 1 {
		t.Errorf("upstream was asked %d times, %d failed; want once", len(m.created), s.Stats().CreatesFailed)
	}
}

func TestCreationsAreBounded(t *testing.T) {
	m := newMemory()
	m.create = func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }
	s := serve(t, Config{CreateWait: time.Millisecond}, m, m)
	names := make([]string, 2*maxCreations)
	for i := range names {
		names[i] = fmt.Sprintf("new%d", i)
	}
	r := described(9)
	dial(t, s.addr).ask(metadataOf(9, true, names...), r)
	if len(r.Topics) != len(names) {
		t.Errorf("%d answers for %d topics", len(r.Topics), len(names))
	}
	s.creations.mu.Lock()
	defer s.creations.mu.Unlock()
	if n := len(s.creations.flights); n > maxCreations {
		t.Errorf("%d creations are kept, want at most %d", n, maxCreations)
	}
}

// TestATopicThatIsNewUpstreamIsSeenAtOnce: some clients give up on a topic when they are told once that there is none.
func TestATopicThatIsNewUpstreamIsSeenAtOnce(t *testing.T) {
	for _, name := range []string{"by its name", "among all"} {
		t.Run(name, func(t *testing.T) {
			m := newMemory("t")
			m.look = func() {
				m.mu.Unlock()
				defer m.mu.Lock()
				m.add("new", 2)
			}
			late := m.cluster.At.Add(2 * lookAfter)
			s := serve(t, Config{Now: func() time.Time { return late }}, m, m)
			q := metadataOf(9, false, "new")
			if name == "among all" {
				q.Topics = nil
			}
			r := described(9)
			dial(t, s.addr).ask(q, r)
			last := r.Topics[0]
			if name == "among all" && len(r.Topics) != 2 {
				t.Fatalf("%d topics", len(r.Topics))
			}
			if *last.Topic != "new" || last.ErrorCode != 0 || len(last.Partitions) != 2 {
				t.Errorf("%+v", last)
			}
		})
	}
	t.Run("one look at a fresh view is enough", func(t *testing.T) {
		m := newMemory("t")
		fresh := m.cluster.At
		s := serve(t, Config{Now: func() time.Time { return fresh }}, m, m)
		r := described(9)
		dial(t, s.addr).ask(metadataOf(9, false, "none"), r)
		if m.looks != 0 || r.Topics[0].ErrorCode != codeUnknownTopic {
			t.Errorf("%d looks, %+v", m.looks, r.Topics[0])
		}
	})
}
