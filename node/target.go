package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/connect/kafka"
	"github.com/streamdown/streamdown/forward"
	"github.com/streamdown/streamdown/sink"
	"github.com/streamdown/streamdown/wal"
)

// settingsEach is how often topic and broker settings are read again; they change seldom.
const settingsEach = time.Minute

// kafkaTarget lets the forwarder use a Kafka cluster.
type kafkaTarget struct {
	*kafka.Client
	takes func(topic string) bool

	mu       sync.Mutex // guards the following
	settings *kafka.Configs
	readAt   time.Time
	topics   int // number of topics that the settings cover
}

var _ forward.Target = (*kafkaTarget)(nil)

// Look reads the metadata of the topics that a stream takes, with settings that are at most a minute old.
func (t *kafkaTarget) Look(ctx context.Context) (*catalog.Cluster, error) {
	cl, err := t.Client.Look(ctx, nil)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(cl.Topics))
	for name, topic := range cl.Topics {
		if topic.Internal || !t.takes(name) {
			delete(cl.Topics, name)
			continue
		}
		names = append(names, name)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.readAt) >= settingsEach || len(names) != t.topics {
		if settings, err := t.LookConfigs(ctx, names); err == nil {
			t.settings, t.readAt, t.topics = settings, time.Now(), len(names)
		}
	}
	t.settings.Apply(cl)
	return cl, nil
}

// TopicSettings reads a topic's settings now, and lets the next look read all of them.
func (t *kafkaTarget) TopicSettings(ctx context.Context, topic string) (catalog.TopicConfig, error) {
	settings, err := t.LookConfigs(ctx, []string{topic})
	if err != nil {
		return catalog.TopicConfig{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.readAt = time.Time{}
	return settings.Topics[topic], nil
}

// NewProducerID allocates a producer id at the cluster.
func (t *kafkaTarget) NewProducerID(ctx context.Context) (int64, error) {
	pid, _, err := t.Client.NewProducerID(ctx)
	return pid, err
}

// End is the partition's end offset.
func (t *kafkaTarget) End(ctx context.Context, node int32, tp streamdown.TopicPartition) (streamdown.Offset, error) {
	_, end, err := t.EndOffset(ctx, node, tp)
	return end, err
}

// Ask is DescribeProducers. A broker that is too old for it (before 2.8) knows nothing that it could tell: a scan then
// finds out.
func (t *kafkaTarget) Ask(ctx context.Context, r forward.AskRequest) (sink.Held, error) {
	held, err := t.Client.Ask(ctx, r.Node, r.TopicPartition, r.PID)
	var old *kafka.UnsupportedError
	if errors.As(err, &old) {
		return sink.Held{}, nil
	}
	return held, err
}

// Scan reads our batches from an offset on.
func (t *kafkaTarget) Scan(ctx context.Context, r forward.ScanRequest) (sink.Found, error) {
	return t.Client.Scan(ctx, r.Node, kafka.ScanRequest{
		TopicPartition: r.TopicPartition, TopicID: r.Topic, LeaderEpoch: r.LeaderEpoch, From: r.From, ProducerID: r.PID,
	})
}

// Dial opens a produce connection.
func (t *kafkaTarget) Dial(ctx context.Context, node int32, depth int, answered func(tag uint64, answers []sink.Answer, err error)) (forward.Pipe, error) {
	p, err := t.Client.Dial(ctx, node, depth, answered)
	if err != nil {
		return nil, err
	}
	return pipe{p}, nil
}

type pipe struct{ *kafka.Pipe }

func (p pipe) Close() error {
	p.Pipe.Close()
	return nil
}

// Classify and Reset put errors into classes.
func (t *kafkaTarget) Classify(err error) sink.Class { return kafka.ClassOf(err) }

// Reset reports whether a connection was refused or reset.
func (t *kafkaTarget) Reset(err error) bool { return kafka.Reset(err) }

// directory answers clients about topics.
type directory struct {
	catalog *catalog.Catalog
	target  *kafkaTarget
	log     *wal.Log
	takes   func(topic string) bool
}

func (d *directory) Cluster() *catalog.Cluster { return d.catalog.Cluster() }

// Durable reports whether the log knows the topic by its id.
func (d *directory) Durable(t *catalog.Topic) bool { return d.catalog.Durable(t) }

func (d *directory) Takes(topic string) bool { return d.takes(topic) }

// Look asks which topics there are and shows them, with the ids that they keep.
func (d *directory) Look(ctx context.Context) error {
	cl, err := d.target.Look(ctx)
	if err != nil {
		return err
	}
	d.catalog.Update(cl)
	return d.keep(ctx)
}

// keep writes down what the catalog has learned, and waits until it is durable: from then on producers are told the ids.
func (d *directory) keep(ctx context.Context) error {
	var end streamdown.LSN
	for _, e := range d.catalog.Entries() {
		if _, err := d.log.Append(e); err != nil {
			return err
		}
		end = e.End()
	}
	if end == 0 {
		return nil
	}
	return d.log.Wait(ctx, end)
}

// createWithin is how long a cluster may take to show a topic that it was asked to create.
const createWithin = 3 * time.Second

// Create passes a client's wish for a topic on, and looks until the catalog shows it. A KRaft cluster says "unknown
// topic" while it is still creating it, so that answer counts only once its time is up.
func (d *directory) Create(ctx context.Context, topic string) error {
	limit := time.Now().Add(createWithin)
	for {
		err := d.target.Create(ctx, topic)
		var reply *kafka.ReplyError
		if err != nil && !errors.As(err, &reply) {
			return err
		}
		cl, lookErr := d.target.Look(ctx)
		if lookErr != nil {
			return lookErr
		}
		if t := cl.Topics[topic]; t != nil && len(t.Partitions) > 0 {
			d.catalog.Update(cl)
			return d.keep(ctx)
		}
		if err != nil && time.Now().After(limit) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
