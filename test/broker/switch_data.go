package broker

import (
	"maps"
	"slices"

	"github.com/streamdown/streamdown"
)

// Stick keeps the followers of a partition from fetching: what is appended is not committed until Unstick, and requests
// with acks=all time out, all their partitions with it. With one replica the leader itself waits.
func (c *Cluster) Stick(tp streamdown.TopicPartition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.atLocked(tp).stuck = true
}

// Unstick lets them fetch again.
func (c *Cluster) Unstick(tp streamdown.TopicPartition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.atLocked(tp)
	p.stuck = false
	p.fillLocked()
}

// Truncate cuts a partition's last n batches off, committed or not, at all replicas, in a new epoch: an unclean election
// of a leader that did not have them. Without state the new leader does not know any producer either.
func (c *Cluster) Truncate(tp streamdown.TopicPartition, n int, state bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.atLocked(tp)
	l := p.at(p.now.leader)
	if l == nil || n <= 0 || len(l.log) == 0 {
		return
	}
	c.truth.stats.Elections++
	to := l.log[max(0, len(l.log)-n)].base
	p.takeLocked(func(*waiter) (int16, bool) { return codeNotLeader, true })
	for _, r := range p.replicas {
		if r.end > to {
			r.cut(to)
		}
		if !state {
			r.forgetAll()
		}
	}
	p.electLocked(p.now.leader, false)
}

// Recreate deletes a topic and makes it anew, empty, with another id and the same settings.
func (c *Cluster) Recreate(name string, partitions int32) Topic {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.topics[name]
	for _, p := range old.partitions {
		p.dropWaitersLocked(codeUnknownTopicOrPartition)
	}
	t := c.createLocked(name, partitions)
	t.config = maps.Clone(old.config)
	return t.show()
}

// Exchange puts another cluster behind the same addresses: another id, the same topics by name, and nothing in them.
func (c *Cluster) Exchange(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.id = id
	for _, name := range slices.Sorted(maps.Keys(c.topics)) {
		old := c.topics[name]
		for _, p := range old.partitions {
			p.dropWaitersLocked(codeUnknownTopicOrPartition)
		}
		c.createLocked(name, int32(len(old.partitions))).config = maps.Clone(old.config)
	}
	for _, b := range c.nodes {
		b.hangUpLocked()
	}
}

// SetConfig changes a setting of a topic: max.message.bytes, compression.type, message.timestamp.type, cleanup.policy,
// min.insync.replicas, message.timestamp.before.max.ms and others that settings.go knows.
func (c *Cluster) SetConfig(name, key, value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.topics[name].config[key] = value
}

// AddPartitions gives a topic more partitions.
func (c *Cluster) AddPartitions(name string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range n {
		c.addPartitionLocked(c.topics[name])
	}
}

// RemovePartitions takes a topic's last partitions away, as only another life of the topic can in Kafka; its id stays.
func (c *Cluster) RemovePartitions(name string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.topics[name]
	keep := max(0, len(t.partitions)-n)
	for _, p := range t.partitions[keep:] {
		p.dropWaitersLocked(codeUnknownTopicOrPartition)
	}
	t.partitions = t.partitions[:keep:keep]
}

// Trim moves a partition's log start, but not beyond what is committed (DeleteRecords, retention).
func (c *Cluster) Trim(tp streamdown.TopicPartition, start streamdown.Offset) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.atLocked(tp)
	l := p.at(p.now.leader)
	if l == nil {
		return
	}
	to := min(int64(start), l.hw)
	for _, r := range p.replicas {
		if to > r.start && to <= r.end {
			r.trim(to)
		}
	}
}

// Insert appends a batch as another client's that is not idempotent and goes no way through us.
func (c *Cluster) Insert(tp streamdown.TopicPartition, raw []byte) (code int16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.atLocked(tp)
	l := p.at(p.now.leader)
	if l == nil {
		return codeLeaderNotAvailable
	}
	rec := l.appendLocked(raw, 1)
	if rec.code == 0 {
		p.fillLocked()
	}
	return rec.code
}
