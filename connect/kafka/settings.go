package kafka

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown/catalog"
)

// Configs holds settings of topics and of the cluster as one LookConfigs read them. They change seldom, so they are
// read seldom and laid over every look.
type Configs struct {
	Topics         map[string]catalog.TopicConfig
	ProducerExpiry time.Duration // producer.id.expiration.ms, 0 if it could not be read
}

// Apply writes the settings into a cluster that nobody else has seen yet. Topics that were not read keep what they have.
func (c *Configs) Apply(cl *catalog.Cluster) {
	if c == nil {
		return
	}
	cl.ProducerExpiry = c.ProducerExpiry
	for name, t := range cl.Topics {
		if cfg, ok := c.Topics[name]; ok {
			t.Config = cfg
		}
	}
}

// The settings read, by name.
const (
	cleanupPolicy   = "cleanup.policy"
	maxMessageBytes = "max.message.bytes"
	timestampType   = "message.timestamp.type"
	timestampBefore = "message.timestamp.before.max.ms"
	timestampAfter  = "message.timestamp.after.max.ms"
	timestampEither = "message.timestamp.difference.max.ms" // before Kafka 3.6 the only one, removed in 4.0
	retention       = "retention.ms"
	minInSync       = "min.insync.replicas"
	compression     = "compression.type"
	producerExpiry  = "producer.id.expiration.ms"
)

var topicSettings = []string{cleanupPolicy, maxMessageBytes, timestampType, timestampBefore, timestampAfter, timestampEither, retention, minInSync, compression}

// LookConfigs reads the settings of the named topics from any broker, 200 topics per request, and the expiry of
// producer ids from one broker, as it holds for that broker (it is cluster-wide by advice, not by force). What we may
// not read has Known = false and Kafka's defaults, or an expiry of 0. Needs DESCRIBE_CONFIGS on topics and cluster.
func (c *Client) LookConfigs(ctx context.Context, topics []string) (*Configs, error) {
	out := &Configs{Topics: make(map[string]catalog.TopicConfig, len(topics))}
	for chunk := range slices.Chunk(topics, 200) {
		err := c.any(ctx, func(cn *conn) error {
			resp, err := describe(ctx, cn, kmsg.ConfigResourceTypeTopic, chunk, topicSettings)
			if err != nil {
				return err
			}
			for _, r := range resp.Resources {
				out.Topics[r.ResourceName] = topicConfig(&r)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read settings of %d topics: %w", len(chunk), err)
		}
	}
	var err error
	if out.ProducerExpiry, err = c.expiry(ctx); err != nil {
		return nil, fmt.Errorf("read a broker's settings: %w", err)
	}
	return out, nil
}

// expiry asks the known broker with the lowest id; a broker's settings can be asked of itself only.
func (c *Client) expiry(ctx context.Context) (time.Duration, error) {
	cl, err := c.metadata(ctx, []string{}, false)
	if err != nil || len(cl.Brokers) == 0 {
		return 0, err
	}
	id := slices.MinFunc(cl.Brokers, func(a, b kmsg.MetadataResponseBroker) int { return cmp.Compare(a.NodeID, b.NodeID) }).NodeID
	cn, err := c.at(ctx, id)
	if err != nil {
		return 0, err
	}
	resp, err := describe(ctx, cn, kmsg.ConfigResourceTypeBroker, []string{strconv.Itoa(int(id))}, []string{producerExpiry})
	if err != nil {
		return 0, err
	}
	for _, r := range resp.Resources {
		if ms, ok := number(values(&r), producerExpiry); ok && r.ErrorCode == 0 {
			return limit(ms), nil
		}
	}
	return 0, nil
}

func describe(ctx context.Context, cn *conn, kind kmsg.ConfigResourceType, names, keys []string) (*kmsg.DescribeConfigsResponse, error) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	for _, name := range names {
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName, r.ConfigNames = kind, name, keys
		req.Resources = append(req.Resources, r)
	}
	return ask[*kmsg.DescribeConfigsResponse](ctx, cn, req, 0, 4)
}

func topicConfig(r *kmsg.DescribeConfigsResponseResource) catalog.TopicConfig {
	cfg := catalog.DefaultTopicConfig()
	if r.ErrorCode != 0 {
		return cfg
	}
	cfg.Known = true
	v := values(r)
	cfg.Compacted = strings.Contains(v[cleanupPolicy], "compact")
	cfg.LogAppendTime = v[timestampType] == "LogAppendTime"
	if s := v[compression]; s != "" {
		cfg.Compression = s
	}
	if n, ok := number(v, maxMessageBytes); ok && n <= math.MaxInt32 {
		cfg.MaxMessageBytes = int32(n)
	}
	if n, ok := number(v, minInSync); ok && n <= math.MaxInt32 {
		cfg.MinInSync = int(n)
	}
	if n, ok := number(v, retention); ok {
		cfg.Retention = limit(n)
	}
	// A broker says its bounds; one that names neither has none (they came with 3.6).
	cfg.BeforeMax, cfg.AfterMax = 0, 0
	if n, ok := number(v, timestampBefore); ok {
		cfg.BeforeMax = limit(n)
	}
	if n, ok := number(v, timestampAfter); ok {
		cfg.AfterMax = limit(n)
	}
	// From 3.6 to 3.9 the older bound still holds for a side whose own is unlimited (LogConfig.messageTimestampBeforeMaxMs).
	if n, ok := number(v, timestampEither); ok {
		if cfg.BeforeMax == 0 {
			cfg.BeforeMax = limit(n)
		}
		if cfg.AfterMax == 0 {
			cfg.AfterMax = limit(n)
		}
	}
	return cfg
}

func values(r *kmsg.DescribeConfigsResponseResource) map[string]string {
	m := make(map[string]string, len(r.Configs))
	for _, c := range r.Configs {
		if c.Value != nil {
			m[c.Name] = *c.Value
		}
	}
	return m
}

func number(v map[string]string, key string) (int64, bool) {
	n, err := strconv.ParseInt(v[key], 10, 64)
	return n, err == nil
}

// limit turns Kafka's milliseconds into a duration in which 0 is unlimited. -1 and what a Duration cannot hold (292
// years) are unlimited; Kafka's own 0, "nothing at all", becomes the shortest bound that it can express, 1 ms.
func limit(ms int64) time.Duration {
	if ms < 0 || ms > math.MaxInt64/int64(time.Millisecond) {
		return 0
	}
	return max(1, time.Duration(ms)) * time.Millisecond
}
