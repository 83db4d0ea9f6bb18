package doctor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/connect/kafka"
)

func hostOf(addr string) (string, error) {
	host, _, err := net.SplitHostPort(addr)
	return host, err
}

// refused is a broker's error code as an error.
func refused(code int16, message *string) error {
	err := kerr.ErrorForCode(code)
	if err == nil || message == nil || *message == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, clean(*message))
}

// inside takes the steps behind the door.
func (w *walk) inside(ctx context.Context, v *kafka.Visit) {
	var m *kmsg.MetadataResponse
	if !w.step(ctx, StepMetadata, w.cfg.Target, func(ctx context.Context, s *Step) (err error) {
		m, err = w.metadata(ctx, v, s)
		return err
	}) {
		return
	}
	reached := w.addresses(ctx, m)
	for _, t := range w.cfg.Topics {
		w.step(ctx, StepTopic, t, func(_ context.Context, s *Step) error { return topic(m, t, reached, s) })
	}
	var id int64
	var epoch int16
	identified := w.step(ctx, StepProducerID, w.cfg.Target, func(ctx context.Context, s *Step) (err error) {
		id, epoch, err = w.producerID(ctx, v, s)
		return err
	})
	if !w.cfg.Produce {
		w.note(Step{Name: StepProduce, Verdict: Skipped, Saw: "it would write a record: --topic NAME --produce asks for that"})
		return
	}
	for _, t := range w.cfg.Topics {
		if !identified {
			break
		}
		w.step(ctx, StepProduce, t, func(ctx context.Context, s *Step) error { return w.produce(ctx, m, t, id, epoch, s) })
	}
}

// metadata asks for the topics and what we may do with them; without any, for the brokers alone. It creates nothing.
func (w *walk) metadata(ctx context.Context, v *kafka.Visit, s *Step) (*kmsg.MetadataResponse, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	for i := range w.cfg.Topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &w.cfg.Topics[i]
		req.Topics = append(req.Topics, t)
	}
	req.IncludeTopicAuthorizedOperations = true
	m, err := w.settled(ctx, v, req)
	if err != nil {
		return nil, w.shut(ctx, w.cfg.Target, v.Credentials(), err)
	}
	cluster := "without an id"
	if m.ClusterID != nil {
		cluster = clean(*m.ClusterID)
	}
	var brokers []string
	for _, b := range m.Brokers {
		brokers = append(brokers, fmt.Sprintf("%d at %s", b.NodeID, address(b)))
	}
	s.Saw = fmt.Sprintf("cluster %s, %d brokers: %s", cluster, len(brokers), strings.Join(brokers[:min(len(brokers), 20)], ", "))
	if len(brokers) == 1 {
		s.Saw = fmt.Sprintf("cluster %s, 1 broker: %s", cluster, brokers[0])
	}
	if len(brokers) == 0 {
		return nil, advise("ask again in a moment: brokers that just start say so; then look at the cluster", errors.New("it names no broker at all"))
	}
	return m, nil
}

// askAgain is when a topic without a leader is asked for again: a cluster, or streamdown, that has just heard of it needs
// a moment.
const askAgain = 200 * time.Millisecond

// settled asks until every topic has a leader, or half of the patience is over.
func (w *walk) settled(ctx context.Context, v *kafka.Visit, req *kmsg.MetadataRequest) (*kmsg.MetadataResponse, error) {
	over := time.After(w.cfg.Patience / 2)
	for {
		resp, err := v.Ask(ctx, req, 4, 12)
		if err != nil {
			return nil, err
		}
		m := resp.(*kmsg.MetadataResponse)
		if !slices.ContainsFunc(m.Topics, func(t kmsg.MetadataResponseTopic) bool { return t.ErrorCode == codeNoLeader }) {
			return m, nil
		}
		select {
		case <-over:
			return m, nil
		case <-ctx.Done():
			return m, nil
		case <-time.After(askAgain):
		}
	}
}

// codeNoLeader is LEADER_NOT_AVAILABLE.
const codeNoLeader = 5

func address(b kmsg.MetadataResponseBroker) string {
	return net.JoinHostPort(clean(b.Host), strconv.Itoa(int(b.Port)))
}

// mostAtOnce is how many addresses are tried at the same time, and mostAddresses how many in all.
const (
	mostAtOnce    = 8
	mostAddresses = 200
)

// addresses goes to every address that the brokers advertise as far as the log-in: that is where the producer will send
// its records, whatever it was told first. It returns the brokers that were reached.
func (w *walk) addresses(ctx context.Context, m *kmsg.MetadataResponse) map[int32]bool {
	brokers := m.Brokers[:min(len(m.Brokers), mostAddresses)]
	steps := make([]Step, len(brokers))
	var wg sync.WaitGroup
	turn := make(chan struct{}, mostAtOnce)
	for i, b := range brokers {
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			steps[i] = w.advertised(ctx, b)
		})
	}
	wg.Wait()
	reached := make(map[int32]bool)
	for i, s := range steps {
		reached[brokers[i].NodeID] = s.Problem == nil || s.Verdict == Warning
		w.note(s)
	}
	return reached
}

func (w *walk) advertised(ctx context.Context, b kmsg.MetadataResponseBroker) Step {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Patience)
	defer cancel()
	addr := address(b)
	s := Step{Name: StepAddress, Subject: addr, Verdict: OK, Saw: fmt.Sprintf("broker %d", b.NodeID)}
	began := time.Now()
	err := func() error {
		v, err := w.open(ctx, addr)
		if err != nil {
			return err
		}
		defer func() { _ = v.Close() }() // it has done its work
		if _, err = v.Greet(ctx); err == nil {
			_, _, err = v.Login(ctx)
		}
		return err
	}()
	s.Elapsed = Seconds(time.Since(began))
	if err == nil {
		s.Saw += " takes us in"
		return s
	}
	if kafka.CauseOf(err) == 0 {
		err = advise("the first address was reached, and sends producers here: set advertised.listeners of the broker (for streamdown listen.kafka.advertise) to an address that works from this machine, or open the way to it",
			fmt.Errorf("broker %d advertises %s: %w", b.NodeID, addr, err))
	}
	s.blame(err)
	return s
}

// The operations of a topic that concern a producer, as bits of authorized operations (KIP-430, AclOperation).
const (
	mayWrite    = 1 << 4
	mayDescribe = 1 << 8
)

// topic says whether the topic is there and may be written to.
func topic(m *kmsg.MetadataResponse, name string, reached map[int32]bool, s *Step) error {
	i := slices.IndexFunc(m.Topics, func(t kmsg.MetadataResponseTopic) bool { return t.Topic != nil && *t.Topic == name })
	if i < 0 {
		s.Verdict = Unknown
		return errors.New("the broker says nothing of it")
	}
	t := &m.Topics[i]
	switch err := kerr.ErrorForCode(t.ErrorCode); {
	case err == nil:
	case errors.Is(err, kerr.LeaderNotAvailable):
		return advise("look at the spelling; create the topic at the cluster (kafka-topics.sh --create): streamdown invents none, and says this of one that it has never seen there",
			fmt.Errorf("nobody leads it: %w", err))
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return advise("create it (kafka-topics.sh --create), or let a producer do so where the cluster allows that; look at the spelling", fmt.Errorf("there is no such topic: %w", err))
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return advise("give the user WRITE and DESCRIBE on the topic (kafka-acls.sh --add --producer; for streamdown auth.users topics)", fmt.Errorf("this user may not see it: %w", err))
	default:
		return err
	}
	var without, far []string
	for _, p := range t.Partitions {
		switch {
		case p.Leader < 0:
			without = append(without, strconv.Itoa(int(p.Partition)))
		case !reached[p.Leader]:
			far = append(far, strconv.Itoa(int(p.Partition)))
		}
	}
	s.Saw = fmt.Sprintf("%d partitions", len(t.Partitions))
	if len(t.Partitions) == 1 {
		s.Saw = "1 partition"
	}
	ops := t.AuthorizedOperations
	switch {
	case ops == math.MinInt32:
		s.Saw += "; the broker does not say what this user may do"
	case ops&mayWrite != 0:
		s.Saw += "; this user may write"
	default:
		return advise("give the user WRITE on the topic: kafka-acls.sh --add --producer --topic "+name, errors.New("this user may see the topic and not write to it"))
	}
	if len(without) > 0 {
		return advise("look at the brokers of the cluster: kafka-topics.sh --describe --unavailable-partitions", fmt.Errorf("no leader for partition %s: records for it wait", some(without)))
	}
	if len(far) > 0 {
		return fmt.Errorf("the leader of partition %s cannot be reached (see its address above)", some(far))
	}
	return nil
}

func some(list []string) string {
	if len(list) > 10 {
		return strings.Join(list[:10], ", ") + " and others"
	}
	return strings.Join(list, ", ")
}

// codeLoading is COORDINATOR_LOAD_IN_PROGRESS, which a broker that just started says.
const codeLoading = 14

func (w *walk) producerID(ctx context.Context, v *kafka.Visit, s *Step) (int64, int16, error) {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.ProducerID, req.ProducerEpoch = -1, -1
	resp, err := v.Ask(ctx, req, 0, 4)
	if err != nil {
		return 0, 0, err
	}
	r := resp.(*kmsg.InitProducerIDResponse)
	switch err := kerr.ErrorForCode(r.ErrorCode); {
	case r.ErrorCode == codeLoading:
		return 0, 0, advise("ask again in a moment", errors.New("the broker has just started and has no producer ids yet"))
	case errors.Is(err, kerr.ClusterAuthorizationFailed):
		return 0, 0, advise("give the user WRITE on a topic, or IDEMPOTENT_WRITE on the cluster (brokers before 2.8 want the latter)", fmt.Errorf("this user may not have an idempotent producer: %w", err))
	case err != nil:
		return 0, 0, err
	}
	s.Saw = fmt.Sprintf("producer id %d, epoch %d", r.ProducerID, r.ProducerEpoch)
	return r.ProducerID, r.ProducerEpoch, nil
}

// produce writes one record, as an idempotent producer with acks=all does, at the leader of the first partition that
// has one.
func (w *walk) produce(ctx context.Context, m *kmsg.MetadataResponse, name string, id int64, epoch int16, s *Step) error {
	i := slices.IndexFunc(m.Topics, func(t kmsg.MetadataResponseTopic) bool { return t.Topic != nil && *t.Topic == name })
	if i < 0 || m.Topics[i].ErrorCode != 0 {
		s.Verdict, s.Saw = Skipped, "see the topic above"
		return nil
	}
	partition, addr := int32(-1), ""
	for _, p := range m.Topics[i].Partitions {
		for _, b := range m.Brokers {
			if b.NodeID == p.Leader && (partition < 0 || p.Partition < partition) {
				partition, addr = p.Partition, address(b)
			}
		}
	}
	if partition < 0 {
		s.Verdict, s.Saw = Skipped, "no partition has a leader"
		return nil
	}
	v, err := w.open(ctx, addr)
	if err != nil {
		return err
	}
	defer func() { _ = v.Close() }() // it has done its work
	if _, err = v.Greet(ctx); err == nil {
		_, _, err = v.Login(ctx)
	}
	if err != nil {
		return err
	}
	var b batch.Builder
	now := w.cfg.Now()
	b.Append(now.UnixMilli(), []byte("streamdown diagnose"), []byte("written by streamdown diagnose at "+now.UTC().Format(time.RFC3339)))
	records, err := b.Build(batch.None, batch.Stamp{ProducerID: id, Epoch: epoch})
	if err != nil {
		return err
	}
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, int32(w.cfg.Patience.Milliseconds())
	rt, rp := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	rt.Topic, rp.Partition, rp.Records = name, partition, records
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := v.Ask(ctx, req, 3, 9)
	if err != nil {
		return err
	}
	answer := resp.(*kmsg.ProduceResponse)
	if len(answer.Topics) != 1 || len(answer.Topics[0].Partitions) != 1 {
		return errors.New("the answer is not about the one partition")
	}
	p := answer.Topics[0].Partitions[0]
	if err := refused(p.ErrorCode, p.ErrorMessage); err != nil {
		return advise(adviceFor(p.ErrorCode), fmt.Errorf("partition %d: %w", p.Partition, err))
	}
	s.Saw = fmt.Sprintf("one record in partition %d at offset %d, acked by %s", p.Partition, p.BaseOffset, addr)
	return nil
}

func adviceFor(code int16) string {
	switch err := kerr.ErrorForCode(code); {
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return "give the user WRITE on the topic (kafka-acls.sh --add --producer; for streamdown auth.users topics)"
	case errors.Is(err, kerr.NotEnoughReplicas), errors.Is(err, kerr.NotEnoughReplicasAfterAppend):
		return "fewer replicas are in sync than min.insync.replicas wants: look at the brokers of the cluster"
	case errors.Is(err, kerr.InvalidRecord):
		return "the topic wants other records, such as ones that fit a schema or have no key: nothing is wrong with the way there"
	}
	return "look at the broker's log"
}
