package broker

import (
	"maps"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown"
)

// metadata shows what this broker believes.
func (b *node) metadata(r *kmsg.MetadataRequest) kmsg.Response {
	c := b.c
	resp := kmsg.NewPtrMetadataResponse()
	resp.Version = r.Version
	resp.ClusterID = kmsg.StringPtr(c.id)
	resp.ControllerID = -1
	for _, o := range c.nodes {
		if !o.up {
			continue
		}
		if resp.ControllerID < 0 {
			resp.ControllerID = o.id
		}
		m := kmsg.NewMetadataResponseBroker()
		m.NodeID, m.Host, m.Port = o.id, o.host, o.port
		resp.Brokers = append(resp.Brokers, m)
	}
	if r.Topics == nil || r.Version == 0 && len(r.Topics) == 0 {
		for _, name := range slices.Sorted(maps.Keys(c.topics)) {
			resp.Topics = append(resp.Topics, b.topicMetadata(c.topics[name]))
		}
		return resp
	}
	for i := range r.Topics {
		q := &r.Topics[i]
		name := ""
		if q.Topic != nil {
			name = *q.Topic
		}
		t := c.topicLocked(name, streamdown.ID(q.TopicID))
		if t != nil {
			resp.Topics = append(resp.Topics, b.topicMetadata(t))
			continue
		}
		m := kmsg.NewMetadataResponseTopic()
		m.Topic, m.TopicID = q.Topic, q.TopicID
		if m.ErrorCode = codeUnknownTopicOrPartition; q.TopicID != [16]byte{} {
			m.ErrorCode = codeUnknownTopicID
		} else if c.cfg.Partitions > 0 && (r.AllowAutoTopicCreation || r.Version < 4) && name != "" {
			// As with KRaft, it is there at the next look.
			c.createLocked(name, c.cfg.Partitions)
		}
		resp.Topics = append(resp.Topics, m)
	}
	return resp
}

func (b *node) topicMetadata(t *topic) kmsg.MetadataResponseTopic {
	m := kmsg.NewMetadataResponseTopic()
	m.Topic, m.TopicID = kmsg.StringPtr(t.name), t.id
	for _, p := range t.partitions {
		v := p.views[b.id]
		q := kmsg.NewMetadataResponseTopicPartition()
		q.Partition, q.Leader, q.LeaderEpoch, q.ISR = p.number, v.leader, v.epoch, slices.Clone(v.isr)
		for _, rep := range p.replicas {
			q.Replicas = append(q.Replicas, rep.node)
			if !b.c.nodes[rep.node].up {
				q.OfflineReplicas = append(q.OfflineReplicas, rep.node)
			}
		}
		if v.leader < 0 || !b.c.nodes[v.leader].up {
			q.Leader, q.ErrorCode = -1, codeLeaderNotAvailable
		}
		m.Partitions = append(m.Partitions, q)
	}
	return m
}

// describeConfigs shows the settings of topics, and of a broker the expiry of its producers.
func (b *node) describeConfigs(r *kmsg.DescribeConfigsRequest) kmsg.Response {
	resp := kmsg.NewPtrDescribeConfigsResponse()
	resp.Version = r.Version
	for _, q := range r.Resources {
		out := kmsg.NewDescribeConfigsResponseResource()
		out.ResourceType, out.ResourceName = q.ResourceType, q.ResourceName
		values := map[string]string{}
		switch t := b.c.topics[q.ResourceName]; {
		case q.ResourceType == kmsg.ConfigResourceTypeBroker:
			values["producer.id.expiration.ms"] = strconv.FormatInt(b.c.cfg.ProducerExpiry.Milliseconds(), 10)
		case t == nil:
			out.ErrorCode = codeUnknownTopicOrPartition
		default:
			for key := range defaults {
				values[key] = t.setting(key)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(values)) {
			if q.ConfigNames == nil || slices.Contains(q.ConfigNames, key) {
				e := kmsg.NewDescribeConfigsResponseResourceConfig()
				e.Name, e.Value = key, kmsg.StringPtr(values[key])
				out.Configs = append(out.Configs, e)
			}
		}
		resp.Resources = append(resp.Resources, out)
	}
	return resp
}

// createTopics makes topics.
func (b *node) createTopics(r *kmsg.CreateTopicsRequest) kmsg.Response {
	resp := kmsg.NewPtrCreateTopicsResponse()
	resp.Version = r.Version
	for _, q := range r.Topics {
		out := kmsg.NewCreateTopicsResponseTopic()
		out.Topic = q.Topic
		switch {
		case b.c.topics[q.Topic] != nil:
			out.ErrorCode = codeTopicExists
		case q.NumPartitions == 0 || q.NumPartitions < -1:
			out.ErrorCode = codeInvalidPartitions
		case q.Topic == "":
			out.ErrorCode = codeInvalidTopic
		case !r.ValidateOnly:
			t := b.c.createLocked(q.Topic, max(1, q.NumPartitions))
			for _, cfg := range q.Configs {
				if cfg.Value != nil {
					t.config[cfg.Name] = *cfg.Value
				}
			}
			out.TopicID, out.NumPartitions = idOf(t), int32(len(t.partitions))
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
