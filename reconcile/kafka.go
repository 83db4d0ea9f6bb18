package reconcile

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/connect/kafka"
	"github.com/streamdown/streamdown/sink"
)

// KafkaTopics shows a Kafka cluster's topics as they are. It is a Topic; it is not for concurrent use.
type KafkaTopics struct {
	client *kafka.Client
	looks  map[string]*catalog.Cluster // by topic: what was seen of it last
}

var _ Topic = (*KafkaTopics)(nil)

// NewKafkaTopics returns the topics that the client reaches; closing the client stays with the caller.
func NewKafkaTopics(c *kafka.Client) *KafkaTopics {
	return &KafkaTopics{client: c, looks: map[string]*catalog.Cluster{}}
}

// leader returns the partition's leader and topic, from a look that may be old unless fresh is set.
func (l *KafkaTopics) leader(ctx context.Context, tp streamdown.TopicPartition, fresh bool) (int32, *catalog.Cluster, error) {
	cl := l.looks[tp.Topic]
	if cl == nil || fresh {
		var err error
		if cl, err = l.client.Look(ctx, []string{tp.Topic}); err != nil {
			return 0, nil, err
		}
		settings, err := l.client.LookConfigs(ctx, []string{tp.Topic})
		if err != nil {
			return 0, nil, err
		}
		settings.Apply(cl)
		l.looks[tp.Topic] = cl
	}
	p, topic, ok := cl.Partition(tp)
	switch {
	case topic != nil && topic.Err != 0 && topic.Err != kerr.UnknownTopicOrPartition.Code:
		return 0, nil, fmt.Errorf("look at %s: %w", tp, kerr.ErrorForCode(topic.Err))
	case !ok || topic.Err != 0:
		return 0, nil, fmt.Errorf("%s: %w", tp, ErrNoTopic)
	case p.Leader < 0:
		return 0, nil, fmt.Errorf("%s has no leader just now: %w", tp, kerr.LeaderNotAvailable)
	}
	return p.Leader, cl, nil
}

// Pin implements Topic.
func (l *KafkaTopics) Pin(ctx context.Context, tp streamdown.TopicPartition) (pin Pin, err error) {
	err = l.atLeader(ctx, tp, func(node int32, cl *catalog.Cluster) error {
		topic := cl.Topics[tp.Topic]
		if !topic.Config.Known {
			// Whether absence proves anything depends on them: rather no answer than a wrong one.
			return fmt.Errorf("the settings of %s may not be read; give this user DESCRIBE_CONFIGS on it", tp.Topic)
		}
		start, end, err := l.client.EndOffset(ctx, node, tp)
		pin = Pin{Cluster: cl.ID, Topic: topic.ID, Start: start, End: end, Compacted: topic.Config.Compacted}
		return err
	})
	return pin, err
}

// Walk implements Topic.
func (l *KafkaTopics) Walk(ctx context.Context, tp streamdown.TopicPartition, id streamdown.ID, from, to streamdown.Offset,
	fn func(base streamdown.Offset, raw []byte) error,
) error {
	return l.atLeader(ctx, tp, func(node int32, cl *catalog.Cluster) error {
		_, err := l.client.Walk(ctx, node, tp, id, from, to, func(base streamdown.Offset, raw []byte) error {
			h, err := batch.ParseHeader(raw)
			if err != nil {
				return err
			}
			from = base + streamdown.Offset(h.LastOffsetDelta) + 1 // should another leader have to go on
			return fn(base, raw)
		})
		var gap *kafka.GapError
		if errors.As(err, &gap) && cl.Topics[tp.Topic].Config.Compacted {
			return nil // the tail was cleaned away; Pin says that absence proves nothing here
		}
		return err
	})
}

// atLeader does something at the partition's leader, once more if another one leads by now.
func (l *KafkaTopics) atLeader(ctx context.Context, tp streamdown.TopicPartition, do func(node int32, cl *catalog.Cluster) error) error {
	node, cl, err := l.leader(ctx, tp, false)
	if err != nil {
		return err
	}
	err = do(node, cl)
	if reply := (*kafka.ReplyError)(nil); !errors.As(err, &reply) || reply.Class() != sink.Moved {
		return err
	}
	if node, cl, err = l.leader(ctx, tp, true); err != nil {
		return err
	}
	return do(node, cl)
}
