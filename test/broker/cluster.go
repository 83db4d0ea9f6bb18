package broker

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/streamdown/streamdown"
)

// Config says what the cluster is like. The zero value is one fine broker for each listener.
type Config struct {
	// ClusterID is what Metadata names. Default "test-cluster".
	ClusterID string
	// Replicas of each partition. Default 3, at most one for each broker.
	Replicas int
	// ProducerExpiry is producer.id.expiration.ms: a producer is forgotten when the timestamp of its last batch is so
	// old. Default 24 h. Nothing is forgotten by itself: see Expire.
	ProducerExpiry time.Duration
	// Lag is how long followers take to fetch, asked before each round. Nil = no time at all.
	Lag func() time.Duration
	// Partitions of a topic that is made because a client asked for it; 0 = none is made.
	Partitions int32
	// Seed draws topic ids; 0 = by chance.
	Seed uint64
}

// Cluster is some brokers and what they hold.
type Cluster struct {
	cfg Config
	wg  sync.WaitGroup // of all goroutines and timers

	mu      sync.Mutex // guards the following, and all that hangs on it
	id      string
	nodes   []*node
	topics  map[string]*topic
	nextPID int64
	ids     uint64 // of topics that were made
	timers  map[*time.Timer]struct{}
	closed  bool
	truth   truth
}

// topic is one life of a topic: made anew under its name it is another one.
type topic struct {
	name       string
	id         streamdown.ID
	partitions []*partition
	config     map[string]string // what differs from the defaults
}

// Topic is what a test may know of a topic.
type Topic struct {
	Name       string
	ID         streamdown.ID
	Partitions int
}

// New begins to serve: one broker for each listener, with ids from 0. It owns the listeners. Close it.
func New(cfg Config, listeners ...net.Listener) *Cluster {
	if cfg.ClusterID == "" {
		cfg.ClusterID = "test-cluster"
	}
	if cfg.Replicas == 0 {
		cfg.Replicas = 3
	}
	cfg.Replicas = min(cfg.Replicas, len(listeners))
	if cfg.ProducerExpiry == 0 {
		cfg.ProducerExpiry = 24 * time.Hour
	}
	c := &Cluster{cfg: cfg, id: cfg.ClusterID, topics: map[string]*topic{}, nextPID: 4000, timers: map[*time.Timer]struct{}{}}
	c.truth.sequences = map[lane]map[mark]uint64{}
	for i, l := range listeners {
		host, port, err := net.SplitHostPort(l.Addr().String())
		n, perr := strconv.Atoi(port)
		if err != nil || perr != nil {
			panic(fmt.Sprintf("a listener at %q: no host and port", l.Addr()))
		}
		b := &node{c: c, id: int32(i), host: host, port: int32(n), up: true, listener: l, conns: map[net.Conn]struct{}{}}
		c.nodes = append(c.nodes, b)
		c.wg.Go(b.accept)
	}
	return c
}

// Close ends all connections and listeners and waits for what it began.
func (c *Cluster) Close() {
	c.mu.Lock()
	c.closed = true
	for t := range c.timers {
		if t.Stop() {
			c.wg.Done()
		}
	}
	c.timers = nil
	for _, b := range c.nodes {
		_ = b.listener.Close()
		b.hangUpLocked()
		b.letLocked()
	}
	for p := range c.partitionsLocked() {
		p.dropWaitersLocked(codeNotLeader)
	}
	c.mu.Unlock()
	c.wg.Wait()
}

// after runs f with the lock held, some time from now, unless the cluster was closed. The lock is held.
func (c *Cluster) afterLocked(d time.Duration, f func()) *time.Timer {
	if c.closed {
		return nil
	}
	c.wg.Add(1)
	var t *time.Timer
	t = time.AfterFunc(d, func() {
		defer c.wg.Done()
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.timers, t)
		if !c.closed {
			f()
		}
	})
	c.timers[t] = struct{}{}
	return t
}

// stopLocked ends a timer that afterLocked began.
func (c *Cluster) stopLocked(t *time.Timer) {
	if _, live := c.timers[t]; t != nil && live && t.Stop() {
		delete(c.timers, t)
		c.wg.Done()
	}
}

// Create makes a topic. Its configuration is changed with SetConfig.
func (c *Cluster) Create(name string, partitions int32) Topic {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.createLocked(name, partitions).show()
}

func (c *Cluster) createLocked(name string, partitions int32) *topic {
	t := &topic{name: name, config: map[string]string{}}
	c.ids++
	if c.cfg.Seed == 0 {
		_, _ = rand.Read(t.id[:])
	} else {
		for i := range t.id {
			t.id[i] = byte(c.cfg.Seed>>(i%8*8)) ^ byte(c.ids*31>>(i%4*8)) ^ byte(i*17)
		}
	}
	t.id[6], t.id[8] = t.id[6]&0x0f|0x40, t.id[8]&0x3f|0x80
	for range partitions {
		c.addPartitionLocked(t)
	}
	c.topics[name] = t
	return t
}

func (t *topic) show() Topic { return Topic{t.name, t.id, len(t.partitions)} }

// Topic returns a topic by its name.
func (c *Cluster) Topic(name string) (Topic, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.topics[name]
	if t == nil {
		return Topic{}, false
	}
	return t.show(), true
}

// Partitions lists all partitions, in order.
func (c *Cluster) Partitions() (list []streamdown.TopicPartition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.partitionsLocked() {
		list = append(list, p.tp())
	}
	return list
}

func (c *Cluster) partitionsLocked() func(yield func(*partition) bool) {
	return func(yield func(*partition) bool) {
		for _, name := range slices.Sorted(maps.Keys(c.topics)) {
			for _, p := range c.topics[name].partitions {
				if !yield(p) {
					return
				}
			}
		}
	}
}

// byIDLocked finds a topic by its id, or by its name where the id is zero.
func (c *Cluster) topicLocked(name string, id streamdown.ID) *topic {
	if id.IsZero() {
		return c.topics[name]
	}
	for _, t := range c.topics {
		if t.id == id {
			return t
		}
	}
	return nil
}

// partitionLocked finds a partition, nil if there is none.
func (t *topic) partition(number int32) *partition {
	if t == nil || number < 0 || int(number) >= len(t.partitions) {
		return nil
	}
	return t.partitions[number]
}

// atLocked is the partition that a test names; a wrong name is a fault of the test.
func (c *Cluster) atLocked(tp streamdown.TopicPartition) *partition {
	p := c.topics[tp.Topic].partition(tp.Partition)
	if p == nil {
		panic(fmt.Sprintf("there is no partition %s", tp))
	}
	return p
}
