package broker

import (
	"slices"

	"github.com/streamdown/streamdown"
)

// partition is its replicas, who leads them, and who waits for them.
type partition struct {
	c        *Cluster
	topic    *topic
	number   int32
	now      leadership   // what the controller decided
	views    []leadership // what each broker believes, by node: it may be older
	replicas []*replica   // in the order of assignment
	waiting  []*waiter
	filling  bool    // a round of fetches is on its way
	history  []entry // what was committed, as the leaders had it
	losses   []entry // of these, what a later leader did not have

	// What switches set.
	stuck   bool // followers fetch nothing, so nothing is committed
	forget  int  // after so many appends the leader forgets its producers
	scripts []*script
}

// leadership is who leads a partition, in which epoch, and which replicas are in sync.
type leadership struct {
	leader int32 // -1: none
	epoch  int32
	isr    []int32
}

// replica is one broker's copy of a partition.
type replica struct {
	p         *partition
	node      int32
	log       []entry
	start     int64 // log start offset
	end       int64 // log end offset
	hw        int64
	epochs    []epochStart
	producers map[int64]*producer
	// expired says, for each producer that was forgotten, where the log ended then: what is before says nothing of it.
	expired map[int64]int64
}

func (c *Cluster) addPartitionLocked(t *topic) {
	p := &partition{c: c, topic: t, number: int32(len(t.partitions))}
	for i := range c.cfg.Replicas {
		id := int32((int(p.number) + i) % len(c.nodes))
		p.replicas = append(p.replicas, &replica{p: p, node: id, producers: map[int64]*producer{}, expired: map[int64]int64{}})
	}
	p.now = leadership{leader: -1, epoch: -1}
	for range c.nodes {
		p.views = append(p.views, leadership{leader: -1, epoch: -1})
	}
	t.partitions = append(t.partitions, p)
	isr := []int32{}
	for _, r := range p.replicas {
		if c.nodes[r.node].up {
			isr = append(isr, r.node)
		}
	}
	leader := int32(-1)
	if len(isr) > 0 {
		leader = isr[0]
	}
	p.installLocked(leadership{leader, 0, isr})
}

func (p *partition) tp() streamdown.TopicPartition {
	return streamdown.TopicPartition{Topic: p.topic.name, Partition: p.number}
}

// at is the replica on a broker, nil if it has none.
func (p *partition) at(node int32) *replica {
	for _, r := range p.replicas {
		if r.node == node {
			return r
		}
	}
	return nil
}

// leads says whether the broker believes that it leads the partition.
func (p *partition) leads(node int32) bool { return p.views[node].leader == node && p.at(node) != nil }

// waiter is an append that waits until it is committed at the broker that took it.
type waiter struct {
	node int32
	upTo int64
	done func(code int16) // called once, with the lock held
}

// wakeLocked answers who waited for what is committed now, as DelayedProduce does.
func (p *partition) wakeLocked(r *replica) {
	p.takeLocked(func(w *waiter) (int16, bool) {
		if w.node != r.node || w.upTo > r.hw {
			return 0, false
		}
		if len(p.views[r.node].isr) < p.minISR() {
			return codeNotEnoughAfterAppend, true
		}
		return 0, true
	})
}

// dropWaitersLocked answers all who wait.
func (p *partition) dropWaitersLocked(code int16) {
	p.takeLocked(func(*waiter) (int16, bool) { return code, true })
}

// takeLocked removes those who wait for whom f has an answer, and then gives it.
func (p *partition) takeLocked(f func(*waiter) (int16, bool)) {
	type answer struct {
		w    *waiter
		code int16
	}
	var list []answer
	p.waiting = slices.DeleteFunc(p.waiting, func(w *waiter) bool {
		code, done := f(w)
		if done {
			list = append(list, answer{w, code})
		}
		return done
	})
	for _, a := range list {
		a.w.done(a.code)
	}
}
