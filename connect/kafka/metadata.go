package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/catalog"
)

const (
	codeUnknownTopicOrPartition = 3
	codeBrokerNotAvailable      = 8
)

// mostPartitions bounds the partition numbers that are believed; a Topic's slice is indexed by them.
const mostPartitions = 1 << 20

// Look asks any broker for the cluster's brokers and for topics: nil for all, an empty list for none. It never causes
// a topic's creation (rule C7). A topic that does not exist is in the result with its Err. Settings are not read:
// every Topic has DefaultTopicConfig, to be replaced by Configs.Apply. One round trip, cheap enough to poll.
func (c *Client) Look(ctx context.Context, topics []string) (*catalog.Cluster, error) {
	resp, err := c.metadata(ctx, topics, false)
	if err != nil {
		return nil, fmt.Errorf("look at kafka: %w", err)
	}
	cl := &catalog.Cluster{
		At:         time.Now(),
		Controller: resp.ControllerID,
		Brokers:    make([]catalog.Broker, 0, len(resp.Brokers)),
		Topics:     make(map[string]*catalog.Topic, len(resp.Topics)),
	}
	if resp.ClusterID != nil {
		cl.ID = *resp.ClusterID
	}
	for _, b := range resp.Brokers {
		br := catalog.Broker{ID: b.NodeID, Host: b.Host, Port: b.Port}
		if b.Rack != nil {
			br.Rack = *b.Rack
		}
		cl.Brokers = append(cl.Brokers, br)
	}
	for i := range resp.Topics {
		t, err := topicOf(&resp.Topics[i])
		if err != nil {
			return nil, fmt.Errorf("look at kafka: %w", err)
		}
		cl.Topics[t.Name] = t
	}
	return cl, nil
}

func topicOf(m *kmsg.MetadataResponseTopic) (*catalog.Topic, error) {
	t := &catalog.Topic{ID: streamdown.ID(m.TopicID), Internal: m.IsInternal, Err: m.ErrorCode, Config: catalog.DefaultTopicConfig()}
	if m.Topic != nil {
		t.Name = *m.Topic
	}
	n := int32(0)
	for _, p := range m.Partitions {
		if p.Partition < 0 || p.Partition >= mostPartitions {
			return nil, fmt.Errorf("topic %s has a partition numbered %d", t.Name, p.Partition)
		}
		n = max(n, p.Partition+1)
	}
	t.Partitions = make([]catalog.Partition, n)
	for i := range t.Partitions { // a number that the answer leaves out exists, but nothing is known of it
		t.Partitions[i] = catalog.Partition{Leader: -1, LeaderEpoch: -1, Err: codeUnknownTopicOrPartition}
	}
	for _, p := range m.Partitions {
		t.Partitions[p.Partition] = catalog.Partition{
			Leader: p.Leader, LeaderEpoch: p.LeaderEpoch, Replicas: len(p.Replicas), InSync: len(p.ISR), Err: p.ErrorCode,
		}
	}
	return t, nil
}

// Create passes a client's wish for a topic on: Metadata for that one topic with auto-creation allowed, so that the
// cluster's own auto.create.topics.enable, num.partitions and rights decide. Nil means that the topic exists now. A
// ReplyError with code 3 or 5 means "not yet or not at all": look again in a moment (Kafka with KRaft answers 3 even
// when it has just begun to create the topic).
func (c *Client) Create(ctx context.Context, topic string) error {
	resp, err := c.metadata(ctx, []string{topic}, true)
	if err != nil {
		return fmt.Errorf("create topic %s: %w", topic, err)
	}
	for _, t := range resp.Topics {
		if t.Topic != nil && *t.Topic == topic {
			return replyError(t.ErrorCode, nil, "create topic %s", topic)
		}
	}
	return replyError(codeUnknownTopicOrPartition, nil, "create topic %s", topic)
}

// metadata asks any broker. Versions: 4 made auto-creation a choice, 7 brought leader epochs, 10 topic ids; from 13 on
// nothing is new that we use.
func (c *Client) metadata(ctx context.Context, topics []string, create bool) (*kmsg.MetadataResponse, error) {
	var resp *kmsg.MetadataResponse
	err := c.any(ctx, func(cn *conn) error {
		var err error
		resp, err = ask[*kmsg.MetadataResponse](ctx, cn, metadataRequest(topics, create), 4, 12)
		return err
	})
	if err != nil {
		return nil, err
	}
	c.learn(resp.Brokers)
	return resp, nil
}

func metadataRequest(topics []string, create bool) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = create
	if topics != nil {
		req.Topics = make([]kmsg.MetadataRequestTopic, len(topics)) // empty is none, nil is all
	}
	for i := range topics {
		req.Topics[i] = kmsg.NewMetadataRequestTopic()
		req.Topics[i].Topic = &topics[i]
	}
	return req
}
