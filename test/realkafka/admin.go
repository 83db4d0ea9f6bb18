package realkafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Admin does to topics what an operator would. Its methods may be called concurrently.
type Admin struct {
	cl  *kgo.Client
	adm *kadm.Client
}

// NewAdmin talks to a cluster by the given addresses. Whoever makes one closes it.
func NewAdmin(addrs ...string) (*Admin, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.MetadataMinAge(10*time.Millisecond),
		kgo.RequestTimeoutOverhead(2*time.Second), kgo.RetryTimeout(20*time.Second)) // a paused broker is left for another soon
	if err != nil {
		return nil, fmt.Errorf("administer kafka: %w", err)
	}
	return &Admin{cl, kadm.NewClient(cl)}, nil
}

// Close ends the connections.
func (a *Admin) Close() { a.cl.Close() }

// Create creates a topic with its partitions' replicas, the leader first, and waits until all have a leader.
func (a *Admin) Create(ctx context.Context, topic string, replicas [][]int32, config map[string]string) error {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = topic, -1, -1
	for p, nodes := range replicas {
		r := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		r.Partition, r.Replicas = int32(p), nodes //nolint:gosec // small
		t.ReplicaAssignment = append(t.ReplicaAssignment, r)
	}
	for k, v := range config {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = k, &v
		t.Configs = append(t.Configs, c)
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 10_000
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, a.cl)
	if err == nil && len(resp.Topics) == 1 {
		err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("create topic %s: %w", topic, err)
	}
	return a.led(ctx, topic, len(replicas))
}

// led waits until a topic has n partitions with a leader each.
func (a *Admin) led(ctx context.Context, topic string, n int) error {
	return a.Await(ctx, topic, func(ps []kadm.PartitionDetail) bool {
		for _, p := range ps {
			if p.Leader < 0 || p.Err != nil {
				return false
			}
		}
		return len(ps) == n
	})
}

// Await waits until the partitions of a topic, in order, are as wanted.
func (a *Admin) Await(ctx context.Context, topic string, want func([]kadm.PartitionDetail) bool) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		ps, err := a.Partitions(ctx, topic)
		if err == nil && want(ps) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for topic %s: %w; its partitions are %+v (%w)", topic, ctx.Err(), ps, err)
		}
	}
}

// Partitions are the partitions of a topic as one broker knows them.
func (a *Admin) Partitions(ctx context.Context, topic string) ([]kadm.PartitionDetail, error) {
	list, err := a.adm.ListTopics(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("look at topic %s: %w", topic, err)
	}
	t := list[topic]
	if t.Err != nil {
		return nil, fmt.Errorf("look at topic %s: %w", topic, t.Err)
	}
	return t.Partitions.Sorted(), nil
}

// Identity is a topic's id and the number of its partitions, to be compared.
func (a *Admin) Identity(ctx context.Context, topic string) (string, error) {
	list, err := a.adm.ListTopics(ctx, topic)
	if err == nil {
		err = list[topic].Err
	}
	if err != nil {
		return "", fmt.Errorf("look at topic %s: %w", topic, err)
	}
	return fmt.Sprintf("%s with %d partitions", list[topic].ID, len(list[topic].Partitions)), nil
}

// Delete deletes a topic and waits until nobody knows it.
func (a *Admin) Delete(ctx context.Context, topic string) error {
	if _, err := a.adm.DeleteTopic(ctx, topic); err != nil {
		return fmt.Errorf("delete topic %s: %w", topic, err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := a.Partitions(ctx, topic); errors.Is(err, kerr.UnknownTopicOrPartition) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("delete topic %s: %w", topic, ctx.Err())
		}
	}
}

// Grow gives a topic more partitions: n in all.
func (a *Admin) Grow(ctx context.Context, topic string, n int) error {
	resp, err := a.adm.UpdatePartitions(ctx, n, topic)
	if err == nil {
		err = resp.Error()
	}
	if err != nil {
		return fmt.Errorf("give topic %s %d partitions: %w", topic, n, err)
	}
	return a.led(ctx, topic, n)
}

// Alter sets configuration of a topic, such as "retention.ms".
func (a *Admin) Alter(ctx context.Context, topic string, config map[string]string) error {
	var list []kadm.AlterConfig
	for k, v := range config {
		list = append(list, kadm.AlterConfig{Op: kadm.SetConfig, Name: k, Value: &v})
	}
	resp, err := a.adm.AlterTopicConfigs(ctx, list, topic)
	for _, r := range resp {
		err = errors.Join(err, r.Err)
	}
	if err != nil {
		return fmt.Errorf("alter topic %s: %w", topic, err)
	}
	return nil
}

// Trim deletes the records of a partition below an offset (DeleteRecords).
func (a *Admin) Trim(ctx context.Context, topic string, partition int32, below int64) error {
	var to kadm.Offsets
	to.AddOffset(topic, partition, below, -1)
	resp, err := a.adm.DeleteRecords(ctx, to)
	if err == nil {
		err = resp.Error()
	}
	if err != nil {
		return fmt.Errorf("delete the records of %s/%d below %d: %w", topic, partition, below, err)
	}
	return nil
}

// Elect has the controller choose leaders of all partitions of a topic: the first replicas that are in sync, or, when
// unclean, for each partition without a leader any replica that lives (KIP-183, KIP-460). What needs no election is no
// error.
func (a *Admin) Elect(ctx context.Context, topic string, partitions int32, unclean bool) error {
	how, set := kadm.ElectPreferredReplica, kadm.TopicsSet{}
	if unclean {
		how = kadm.ElectLiveReplica
	}
	for p := range partitions {
		set.Add(topic, p)
	}
	resp, err := a.adm.ElectLeaders(ctx, how, set)
	for _, ps := range resp {
		for _, r := range ps {
			if r.Err != nil && !errors.Is(r.Err, kerr.ElectionNotNeeded) {
				err = errors.Join(err, fmt.Errorf("partition %d: %w", r.Partition, r.Err))
			}
		}
	}
	if err != nil {
		return fmt.Errorf("elect leaders of %s: %w", topic, err)
	}
	return nil
}

// Reorder writes down another order of a partition's replicas, whose first one leads after the next Elect. No data
// moves.
func (a *Admin) Reorder(ctx context.Context, topic string, partition int32, replicas []int32) error {
	var req kadm.AlterPartitionAssignmentsReq
	req.Assign(topic, partition, replicas)
	resp, err := a.adm.AlterPartitionAssignments(ctx, req)
	if err == nil {
		err = resp.Error()
	}
	if err != nil {
		return fmt.Errorf("reorder the replicas of %s/%d: %w", topic, partition, err)
	}
	return nil
}

// Ends are the high watermarks of a topic's partitions.
func (a *Admin) Ends(ctx context.Context, topic string) ([]int64, error) {
	return a.offsets(ctx, topic, a.adm.ListEndOffsets)
}

// Starts are the offsets at which the logs of a topic's partitions begin.
func (a *Admin) Starts(ctx context.Context, topic string) ([]int64, error) {
	return a.offsets(ctx, topic, a.adm.ListStartOffsets)
}

func (a *Admin) offsets(ctx context.Context, topic string, ask func(context.Context, ...string) (kadm.ListedOffsets, error)) ([]int64, error) {
	list, err := ask(ctx, topic)
	if err == nil {
		err = list.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("ask for offsets of %s: %w", topic, err)
	}
	out := make([]int64, len(list[topic]))
	for p, o := range list[topic] {
		out[p] = o.Offset
	}
	return out, nil
}

// Producers is how many producers the leaders of a topic's partitions have state of (DescribeProducers, KIP-664).
func (a *Admin) Producers(ctx context.Context, topic string, partitions int) (n int, err error) {
	set := kadm.TopicsSet{}
	for p := range partitions {
		set.Add(topic, int32(p)) //nolint:gosec // small
	}
	resp, err := a.adm.DescribeProducers(ctx, set)
	for _, t := range resp {
		for _, p := range t.Partitions {
			err = errors.Join(err, p.Err)
			n += len(p.ActiveProducers)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("ask for the producers of %s: %w", topic, err)
	}
	return n, nil
}
