package catalog

import (
	"crypto/sha256"

	"github.com/streamdown/streamdown"
)

// ShownID is the topic's id as producers are told it (KIP-516): the cluster's own where it gives topics one. Where it
// does not (before 2.8) it is made of the cluster's id and the topic's name, so that it needs no memory to be the same
// after a restart; a topic that is deleted and made anew there keeps it, as it keeps its name. When the cluster begins
// to give ids, the topic gets that one.
func (c *Cluster) ShownID(t *Topic) streamdown.ID {
	if !t.ID.IsZero() {
		return t.ID
	}
	sum := sha256.Sum256([]byte("streamdown topic id\x00" + c.ID + "\x00" + t.Name))
	id := streamdown.ID(sum[:16])
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // RFC 9562, version 8: made as its maker likes
	return id
}

// TopicByID returns the topic whose ShownID it is, nil if there is none. A topic that was deleted and made anew is not
// found by the id that it had.
func (c *Cluster) TopicByID(id streamdown.ID) *Topic {
	switch {
	case c == nil || id.IsZero():
		return nil
	case c.byID != nil:
		return c.byID[id]
	}
	for _, t := range c.Topics {
		if c.ShownID(t) == id {
			return t
		}
	}
	return nil
}

// index makes TopicByID quick. It is called before others see the cluster.
func (c *Cluster) index() {
	c.byID = make(map[streamdown.ID]*Topic, len(c.Topics))
	for _, t := range c.Topics {
		c.byID[c.ShownID(t)] = t
	}
}

// Durable reports whether the log knows the topic by that id, so that it is the same after a restart. Until then
// producers are not told it: one that the log forgot could come back as another one, with the topic's old id before it.
func (c *Catalog) Durable(t *Topic) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := c.topics[t.Name]
	return kept != nil && kept.ID == t.ID
}

// sameTopic reports whether a look shows the topic that was known: the id says so. A look without an id (of a broker
// that is too old for them, or of a topic that it can say nothing about) says nothing against it.
func sameTopic(was, now *Topic) bool { return was.ID == now.ID || now.ID.IsZero() }

// keepTopic takes over from the last look what this one could not tell of a topic.
func (c *Cluster) keepTopic(was, t *Topic) {
	if t.Err != 0 && len(t.Partitions) == 0 {
		keep := *was
		keep.Err = t.Err
		c.Topics[t.Name] = &keep
		return
	}
	t.ID = was.ID
	if !t.Config.Known && was.Config.Known {
		t.Config = was.Config
	}
	for i := range min(len(t.Partitions), len(was.Partitions)) {
		// A broker whose metadata lags shows an older leader: clients keep the newer one, and so do we.
		if !t.ID.IsZero() && t.Partitions[i].LeaderEpoch < was.Partitions[i].LeaderEpoch {
			t.Partitions[i] = was.Partitions[i]
		}
	}
}
