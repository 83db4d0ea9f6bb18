package catalog

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streamdown/streamdown/wal"
)

// Catalog holds the last look at one cluster. All methods may be called concurrently.
type Catalog struct {
	last atomic.Pointer[Cluster]

	mu     sync.Mutex // guards the following
	facts  facts
	topics map[string]*Topic // as the log knows them
}

// facts is what the log keeps of the cluster itself.
type facts struct {
	ID             string `json:"id"`
	ProducerExpiry int64  `json:"producer_expiry_ms,omitempty"`
}

// kept is what the log keeps of a topic.
type kept struct {
	Name    string `json:"name"`
	Topic   *form  `json:"topic,omitempty"`
	Deleted bool   `json:"deleted,omitempty"`
}

// known is what a snapshot holds.
type known struct {
	Facts  facts            `json:"cluster"`
	Topics map[string]*form `json:"topics"`
}

// New returns a catalog that knows nothing.
func New() *Catalog {
	return &Catalog{topics: map[string]*Topic{}}
}

// Cluster returns the last look, which must not be changed; nil if there never was one.
func (c *Catalog) Cluster() *Cluster { return c.last.Load() }

// Update takes a new look. A look without a topic means that the topic is gone; a topic whose own error is set keeps
// what was known of it, and one that is shown without an id keeps its id. Settings that could not be read keep what was
// known, and so does a partition that is shown with an older leader epoch.
func (c *Catalog) Update(now *Cluster) {
	old := c.last.Load()
	for name, t := range now.Topics {
		if old == nil || old.ID != now.ID {
			break // another cluster's topics are other topics
		}
		if was := old.Topics[name]; was != nil && sameTopic(was, t) {
			now.keepTopic(was, t)
		}
	}
	if old != nil && now.ProducerExpiry == 0 && now.ID == old.ID {
		now.ProducerExpiry = old.ProducerExpiry
	}
	now.index()
	c.last.Store(now)
}

// Entries returns the log entries for what changed since the log knew it last; they are to be appended.
func (c *Catalog) Entries() []*wal.Entry {
	now := c.last.Load()
	if now == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*wal.Entry
	add := func(kind wal.Kind, v any) {
		if body, err := json.Marshal(v); err == nil {
			out = append(out, &wal.Entry{Kind: kind, Body: body})
		}
	}
	if f := (facts{now.ID, now.ProducerExpiry.Milliseconds()}); f != c.facts {
		add(wal.KindCluster, f)
	}
	names := make([]string, 0, len(now.Topics))
	for name := range now.Topics {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if t := durablePart(now.Topics[name]); !t.Internal && !reflect.DeepEqual(t, c.topics[name]) {
			add(wal.KindTopic, kept{Name: name, Topic: formOf(t)})
		}
	}
	for name := range c.topics {
		if now.Topics[name] == nil {
			add(wal.KindTopic, kept{Name: name, Deleted: true})
		}
	}
	return out
}

// durablePart is the topic without what changes by itself.
func durablePart(t *Topic) *Topic {
	k := *t
	k.Err, k.Partitions = 0, noLeaders(len(t.Partitions))
	k.Config.BeforeMax, k.Config.AfterMax, k.Config.Retention = whole(k.Config.BeforeMax), whole(k.Config.AfterMax), whole(k.Config.Retention)
	return &k
}

// whole is d in the milliseconds that Kafka has and the log writes.
func whole(d time.Duration) time.Duration { return d.Truncate(time.Millisecond) }

// BookID implements wal.Book.
func (c *Catalog) BookID() byte { return 4 }

// Apply implements wal.Book.
func (c *Catalog) Apply(e *wal.Entry) {
	if e.Kind != wal.KindCluster && e.Kind != wal.KindTopic {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.Kind == wal.KindCluster {
		if json.Unmarshal(e.Body, &c.facts) != nil {
			return
		}
	} else {
		var k kept
		if json.Unmarshal(e.Body, &k) != nil {
			return
		}
		if k.Deleted {
			delete(c.topics, k.Name)
		} else if k.Topic != nil {
			if t, err := k.Topic.topic(k.Name); err == nil {
				c.topics[k.Name] = t
			}
		}
	}
}

// Snapshot implements wal.Book.
func (c *Catalog) Snapshot(dst []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := known{Facts: c.facts, Topics: make(map[string]*form, len(c.topics))}
	for name, t := range c.topics {
		v.Topics[name] = formOf(t)
	}
	body, err := json.Marshal(v)
	if err != nil {
		return dst // plain values: cannot happen
	}
	dst = binary.AppendUvarint(dst, uint64(len(body)))
	return append(dst, body...)
}

// Restore implements wal.Book.
func (c *Catalog) Restore(s []byte) error {
	n, w := binary.Uvarint(s)
	if w <= 0 || n > uint64(len(s)-w) {
		return fmt.Errorf("catalog: malformed snapshot")
	}
	var v known
	if err := json.Unmarshal(s[w:w+int(n)], &v); err != nil {
		return fmt.Errorf("catalog: %w", err)
	}
	topics := make(map[string]*Topic, len(v.Topics))
	for name, f := range v.Topics {
		if f == nil {
			continue
		}
		t, err := f.topic(name)
		if err != nil {
			return fmt.Errorf("catalog: topic %s: %w", name, err)
		}
		topics[name] = t
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.facts, c.topics = v.Facts, topics
	return nil
}

// Remember makes what the log knows the last look, when nothing newer was seen: after the log was opened.
func (c *Catalog) Remember() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.facts.ID == "" && len(c.topics) == 0 {
		return
	}
	look := &Cluster{ID: c.facts.ID, Controller: -1, Topics: map[string]*Topic{}, ProducerExpiry: msDuration(c.facts.ProducerExpiry)}
	for name, t := range c.topics {
		cp := *t
		look.Topics[name] = &cp
	}
	look.index()
	c.last.CompareAndSwap(nil, look)
}
