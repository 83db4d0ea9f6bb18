package reconcile

import (
	"context"
	"errors"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/connect/kafka"
	"github.com/streamdown/streamdown/sink"
)

var _ Sender = (*KafkaTopics)(nil)

// NewProducerID implements Sender.
func (l *KafkaTopics) NewProducerID(ctx context.Context) (int64, error) {
	pid, _, err := l.client.NewProducerID(ctx)
	return pid, err
}

// Found implements Sender.
func (l *KafkaTopics) Found(ctx context.Context, tp streamdown.TopicPartition, id streamdown.ID, from streamdown.Offset, pid int64) (found sink.Found, err error) {
	delete(l.looks, tp.Topic) // the leader's epoch has to be the one of now
	err = l.atLeader(ctx, tp, func(node int32, cl *catalog.Cluster) error {
		p, _, _ := cl.Partition(tp)
		found, err = l.client.Scan(ctx, node, kafka.ScanRequest{TopicPartition: tp, TopicID: id, LeaderEpoch: p.LeaderEpoch, From: from, ProducerID: pid})
		return err
	})
	return found, err
}

// Send implements Sender.
func (l *KafkaTopics) Send(ctx context.Context, p sink.Parcel) (answer sink.Answer, err error) {
	node, _, err := l.leader(ctx, p.TopicPartition, false)
	if err != nil {
		return sink.Answer{}, err
	}
	type word struct {
		a   sink.Answer
		err error
	}
	said := make(chan word, 1)
	pipe, err := l.client.Dial(ctx, node, 1, func(_ uint64, answers []sink.Answer, err error) {
		w := word{err: err}
		if err == nil && len(answers) == 1 {
			w.a = answers[0]
		}
		said <- w
	})
	if err != nil {
		return sink.Answer{}, err
	}
	defer pipe.Close()
	if !pipe.Send(0, []sink.Parcel{p}) {
		return sink.Answer{}, errors.Join(errors.New("the connection ended at once"), pipe.Err())
	}
	select {
	case w := <-said:
		if w.a.Class == sink.Moved {
			delete(l.looks, p.TopicPartition.Topic)
		}
		return w.a, w.err
	case <-ctx.Done():
		return sink.Answer{}, ctx.Err()
	}
}
