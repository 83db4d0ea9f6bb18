package broker

import (
	"slices"

	"github.com/streamdown/streamdown"
)

// Kill ends a broker's process: its connections end, the controller gives what it led to another replica that is in
// sync, and what it had written is there when it is started again.
func (c *Cluster) Kill(node int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.nodes[node]
	if !b.up {
		return
	}
	c.truth.stats.Kills++
	b.up, b.deaf = false, false
	b.life++
	b.hangUpLocked()
	b.letLocked()
	for p := range c.partitionsLocked() {
		p.takeLocked(func(w *waiter) (int16, bool) { return codeNotLeader, w.node == node })
		p.goneLocked(node)
	}
}

// Start brings a broker back. Clean: it was stopped and not killed, so it has snapshots, in which each producer has one
// batch; otherwise it read its logs again. Rule 6 of its producers: what had expired stays so.
func (c *Cluster) Start(node int32, clean bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.nodes[node]
	if b.up {
		return
	}
	b.up = true
	for p := range c.partitionsLocked() {
		if r := p.at(node); r != nil {
			r.rebuild()
			if clean {
				r.shrink()
			}
		}
		p.backLocked()
	}
}

// LosePower takes from a broker that is down the last n batches of each log: they were never on its disk (Kafka does
// not sync before it answers). If it comes back as a leader they are gone for good.
func (c *Cluster) LosePower(node int32, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.partitionsLocked() {
		r := p.at(node)
		if r == nil || c.nodes[node].up {
			continue
		}
		if keep := max(0, len(r.log)-n); keep < len(r.log) {
			r.cut(r.log[keep].base)
		}
	}
}

// Up says whether a broker runs.
func (c *Cluster) Up(node int32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[node].up
}

// HangUp ends all connections of a broker. What they carried and the broker has read is done.
func (c *Cluster) HangUp(node int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[node].hangUpLocked()
}

// Deafen lets a broker learn of no election from now on: it answers from the past, leads what it led, and its followers
// fetch from others. Hear ends that.
func (c *Cluster) Deafen(node int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[node].deaf = true
}

// Hear brings a deaf broker to the present.
func (c *Cluster) Hear(node int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[node].deaf = false
	for p := range c.partitionsLocked() {
		p.tellLocked()
		p.fillLocked()
	}
}

// Queue lets requests with records wait in a broker until Dequeue, also when their connections end meanwhile.
func (c *Cluster) Queue(node int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b := c.nodes[node]; b.hold == nil {
		b.hold = make(chan struct{})
	}
}

// Dequeue lets the broker take what waits.
func (c *Cluster) Dequeue(node int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[node].letLocked()
}

// Calm ends what switches began and brings all brokers back. What is lost stays lost.
func (c *Cluster) Calm() {
	c.mu.Lock()
	for _, b := range c.nodes {
		b.answers = nil
		b.letLocked()
		b.deaf = false
	}
	for p := range c.partitionsLocked() {
		p.scripts, p.stuck, p.forget = nil, false, 0
	}
	c.mu.Unlock()
	for i := range c.nodes {
		c.Start(int32(i), false)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.partitionsLocked() {
		p.backLocked()
	}
}

// Elect makes a broker that has a replica lead a partition, cleanly: one that is in sync, whatever is named. It returns
// whether the leader changed.
func (c *Cluster) Elect(tp streamdown.TopicPartition, to int32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.atLocked(tp)
	if p.now.leader == to || !slices.Contains(p.now.isr, to) || !c.nodes[to].up {
		return false
	}
	c.truth.stats.Elections++
	p.electLocked(to, false)
	return true
}

// Leader tells who leads a partition, and in which epoch.
func (c *Cluster) Leader(tp streamdown.TopicPartition) (node, epoch int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.atLocked(tp)
	return p.now.leader, p.now.epoch
}
