package node_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestATopicThatWasJustMadeAtKafkaIsThereInTheFirstAnswer: default Sarama gives records up after three answers that say
// "not yet", in a second. The answer has the topic's id, which must be durable before anybody is told.
func TestATopicThatWasJustMadeAtKafkaIsThereInTheFirstAnswer(t *testing.T) {
	c := cluster(t, t.TempDir())
	defer c.Close()
	r := newPlan(t, c.ListenAddrs()[0]).run(t)
	defer r.stop(t)
	shop := r.client(t, "web", marker)
	if err := shop.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err) // by now the cluster was seen
	}
	direct, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()
	if _, err := kadm.NewClient(direct).CreateTopic(t.Context(), 3, 1, nil, "clicks"); err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr("clicks")
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(t.Context(), shop)
	if err != nil {
		t.Fatal(err)
	}
	got := resp.Topics[0]
	if got.ErrorCode != 0 || len(got.Partitions) != 3 || got.TopicID == [16]byte{} {
		t.Errorf("%v, %d partitions, id %x", kerr.ErrorForCode(got.ErrorCode), len(got.Partitions), got.TopicID)
	}
}
