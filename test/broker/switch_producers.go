package broker

import (
	"time"

	"github.com/streamdown/streamdown"
)

// Expire forgets all producers that are old by the timestamp of their last batch, as Kafka does every ten minutes
// (producer.id.expiration.check.interval.ms), and returns how many a leader forgot.
func (c *Cluster) Expire() (gone int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.partitionsLocked() {
		for _, r := range p.replicas {
			n := r.expire(time.Now(), c.cfg.ProducerExpiry)
			if r.node == p.now.leader {
				gone += n
			}
		}
	}
	c.truth.stats.Expired += gone
	return gone
}

// Forget makes a partition forget all its producers, however young: a leader that never had their state.
func (c *Cluster) Forget(tp streamdown.TopicPartition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.atLocked(tp).replicas {
		r.forgetAll()
	}
}

// ForgetAfter does so right after n more batches were appended: between two that are pipelined.
func (c *Cluster) ForgetAfter(tp streamdown.TopicPartition, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.atLocked(tp).forget = n
}

// Shrink leaves each producer of a partition the last of its batches: a broker that was stopped cleanly comes back
// with what its snapshot holds.
func (c *Cluster) Shrink(tp streamdown.TopicPartition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.atLocked(tp).replicas {
		r.shrink()
	}
}

// ProducerID gives a producer id as InitProducerId does, without asking a broker over the network. It returns false when
// no broker runs.
func (c *Cluster) ProducerID() (pid int64, up bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.nodes {
		up = up || b.up
	}
	if up {
		pid = c.nextPID
		c.nextPID++
	}
	return pid, up
}
