package gateway

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/ingest"
)

// memory is an Intake and a Directory that keep everything in memory.
type memory struct {
	mu      sync.Mutex // guards the following
	cluster *catalog.Cluster
	batches map[streamdown.TopicPartition][][]byte
	ends    map[streamdown.TopicPartition]int64
	next    map[sequenceKey]int32
	created []string
	ids     int64
	refuse  ingest.Result // given to every partition while its Code is set or Close is
	later   []func()      // answers that are kept back while keep is set
	keep    bool
	counts  bool // records only, and keeps none of them

	takes  func(topic string) bool
	create func(ctx context.Context, topic string) error // nil: create it with 3 partitions
	look   func()                                        // called with mu held; nil: nothing is new
	looks  int
}

type sequenceKey struct {
	tp  streamdown.TopicPartition
	pid int64
}

func newMemory(topics ...string) *memory {
	m := &memory{
		batches: map[streamdown.TopicPartition][][]byte{},
		ends:    map[streamdown.TopicPartition]int64{},
		next:    map[sequenceKey]int32{},
		takes:   func(topic string) bool { return len(topic) < 5 || topic[:5] != "other" },
		cluster: &catalog.Cluster{
			At: time.Now(), ID: "upstream-cluster", Brokers: []catalog.Broker{{ID: 7, Host: "kafka.example", Port: 9092}},
			Topics: map[string]*catalog.Topic{},
		},
	}
	for _, t := range topics {
		m.add(t, 3)
	}
	return m
}

// add shows a topic in a new view of the cluster.
func (m *memory) add(name string, partitions int) {
	t := &catalog.Topic{Name: name, Partitions: make([]catalog.Partition, partitions), Config: catalog.DefaultTopicConfig()}
	copy(t.ID[:], name)
	t.ID[15] = 0x42
	m.mu.Lock()
	defer m.mu.Unlock()
	c := *m.cluster
	c.At = time.Now()
	c.Topics = map[string]*catalog.Topic{name: t}
	for k, v := range m.cluster.Topics {
		c.Topics[k] = v
	}
	m.cluster = &c
}

func (m *memory) Cluster() *catalog.Cluster {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cluster
}

func (m *memory) Durable(*catalog.Topic) bool { return true }

func (m *memory) Takes(topic string) bool { return m.takes(topic) }

func (m *memory) Look(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.looks++
	if m.look != nil {
		m.look()
	}
	return nil
}

func (m *memory) Create(ctx context.Context, topic string) error {
	m.mu.Lock()
	m.created = append(m.created, topic)
	m.mu.Unlock()
	if m.create != nil {
		return m.create(ctx, topic)
	}
	m.add(topic, 3)
	return nil
}

func (m *memory) NewProducer(context.Context) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ids++
	return 0x5000_0000_0000 + m.ids, nil
}

var errNotABatch = errors.New("not one record batch")

func (m *memory) Produce(r ingest.Request, done func(ingest.Result)) {
	m.mu.Lock()
	res := m.admit(r)
	if m.keep {
		m.later = append(m.later, func() { done(res) })
		m.mu.Unlock()
		return
	}
	m.mu.Unlock()
	done(res)
}

func (m *memory) admit(r ingest.Request) ingest.Result {
	none := ingest.Result{Base: streamdown.NoOffset, LogStart: streamdown.NoOffset}
	if m.refuse.Code != 0 || m.refuse.Close {
		return m.refuse
	}
	b := r.Records
	_, _, exists := m.cluster.Partition(r.TopicPartition)
	switch {
	case !exists:
		none.Code, none.Message = 3, "no such partition"
		return none
	case len(b) > 16 && b[16] < 2:
		none.Code, none.Message = 43, "message sets are not stored"
		return none
	case len(b) < 61 || int(binary.BigEndian.Uint32(b[8:]))+12 != len(b):
		none.Code, none.Message = 87, errNotABatch.Error()
		return none
	}
	count := int32(binary.BigEndian.Uint32(b[57:]))
	pid, first := int64(binary.BigEndian.Uint64(b[43:])), int32(binary.BigEndian.Uint32(b[53:]))
	if pid >= 0 {
		k := sequenceKey{r.TopicPartition, pid}
		if first != m.next[k] {
			none.Code, none.Message = 45, "out of order"
			return none
		}
		m.next[k] += count
	}
	base := m.ends[r.TopicPartition]
	m.ends[r.TopicPartition] = base + int64(count)
	if !m.counts {
		m.batches[r.TopicPartition] = append(m.batches[r.TopicPartition], append([]byte(nil), b...))
	}
	return ingest.Result{Base: streamdown.Offset(base), LogStart: 0}
}

// records is how many records the topic holds.
func (m *memory) records(topic string) (n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for tp, end := range m.ends {
		if tp.Topic == topic {
			n += end
		}
	}
	return n
}

func (m *memory) set(f func(m *memory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m)
}
