package catalog

import (
	"time"

	"github.com/streamdown/streamdown"
)

// Cluster is what one look at a Kafka cluster showed. It is immutable once it was handed to a Catalog.
type Cluster struct {
	At         time.Time // when the answer came
	ID         string    // the cluster's own id
	Controller int32
	Brokers    []Broker
	Topics     map[string]*Topic
	// ProducerExpiry is the cluster's producer.id.expiration.ms, 0 if it could not be read (the default is 24 h).
	ProducerExpiry time.Duration

	byID map[streamdown.ID]*Topic // made by index
}

// Broker is one node of a cluster.
type Broker struct {
	ID   int32
	Host string
	Port int32
	Rack string
}

// Topic is what is known of one topic.
type Topic struct {
	Name       string
	ID         streamdown.ID // zero when the cluster does not give topics an id (before 2.8)
	Internal   bool
	Err        int16       // the cluster's error code for the topic, 0 if none
	Partitions []Partition // index = partition number, dense
	Config     TopicConfig
}

// Partition is what is known of one partition.
type Partition struct {
	Leader      int32 // -1 if there is none
	LeaderEpoch int32 // -1 if not known
	Replicas    int
	InSync      int
	Err         int16
}

// TopicConfig holds the settings of a topic that decide what it accepts and keeps.
// Known is false when the configuration could not be read; then Kafka's defaults are filled in.
type TopicConfig struct {
	Known           bool
	MaxMessageBytes int32
	Compacted       bool // cleanup.policy contains "compact"
	LogAppendTime   bool
	BeforeMax       time.Duration // message.timestamp.before.max.ms; 0 = unlimited
	AfterMax        time.Duration // message.timestamp.after.max.ms; 0 = unlimited
	Retention       time.Duration // retention.ms; 0 = unlimited
	MinInSync       int
	Compression     string // compression.type
}

// DefaultTopicConfig is what Kafka assumes for a topic without settings of its own.
func DefaultTopicConfig() TopicConfig {
	return TopicConfig{
		MaxMessageBytes: 1048588,
		AfterMax:        time.Hour,
		Retention:       7 * 24 * time.Hour,
		MinInSync:       1,
		Compression:     "producer",
	}
}

// Partition returns what is known of the partition, and whether it exists.
func (c *Cluster) Partition(tp streamdown.TopicPartition) (Partition, *Topic, bool) {
	if c == nil {
		return Partition{}, nil, false
	}
	t := c.Topics[tp.Topic]
	if t == nil || tp.Partition < 0 || int(tp.Partition) >= len(t.Partitions) {
		return Partition{}, t, false
	}
	return t.Partitions[tp.Partition], t, true
}

func msDuration(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }
