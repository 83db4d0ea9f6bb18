package gateway

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/catalog"
)

// metadataRequest is one parsed request.
type metadataRequest struct {
	version int16
	all     bool
	names   []string
	ids     []streamdown.ID
	create  bool // allow_auto_topic_creation; implied before version 4
}

// metadata answers which topics exist. One virtual broker leads every partition, whatever leads it upstream and
// whether anything does: that is what lets a producer go on during an outage. Leader epochs are not passed on, because
// our leadership never changes hands.
func (c *conn) metadata(h header, body []byte) (answer, error) {
	r := metadataRequest{version: h.Version, create: true}
	f := newFields(body, h.Version >= 9)
	n := f.count(1)
	r.all = n < 0 || (n == 0 && h.Version == 0)
	for range n {
		var id streamdown.ID
		if h.Version >= 10 {
			id = f.uuid()
		}
		name := f.nullable()
		f.tags()
		switch {
		case f.bad != nil:
			return nil, f.end()
		case name != nil:
			r.names = append(r.names, string(name))
		case h.Version >= 10:
			r.ids = append(r.ids, id)
		default:
			f.fail("null where a topic's name must be")
		}
	}
	if h.Version >= 4 {
		r.create = f.bool()
	}
	if h.Version >= 8 && h.Version <= 10 {
		f.bool() // whether the cluster's operations that the client may do are wanted: there are none to list
	}
	if h.Version >= 8 {
		f.bool() // the same of the topics
	}
	f.tags()
	if err := f.end(); err != nil {
		return nil, err
	}
	// A name that is asked for twice is answered once, as Kafka does; otherwise a small request could have any answer.
	slices.Sort(r.names)
	r.names = slices.Compact(r.names)
	slices.SortFunc(r.ids, func(a, b streamdown.ID) int { return slices.Compare(a[:], b[:]) })
	r.ids = slices.Compact(r.ids)
	return func(ctx context.Context) (kmsg.Response, error) { return c.answerMetadata(ctx, r), nil }, nil
}

func (c *conn) answerMetadata(ctx context.Context, q metadataRequest) kmsg.Response {
	s := c.server
	if q.create {
		c.createUnknown(ctx, q.names)
	}
	cluster := s.directory.Cluster()
	r := kmsg.NewPtrMetadataResponse()
	r.Version = q.version
	b := kmsg.NewMetadataResponseBroker()
	b.NodeID, b.Host, b.Port = s.cfg.NodeID, s.advertisedHost, s.advertisedPort
	r.Brokers = append(r.Brokers, b)
	r.ControllerID = s.cfg.NodeID
	r.ClusterID = kmsg.StringPtr(s.clusterID())
	switch {
	case q.all && cluster != nil:
		for _, name := range slices.Sorted(maps.Keys(cluster.Topics)) {
			if s.directory.Takes(name) && c.allows(name) {
				r.Topics = append(r.Topics, s.describe(cluster.Topics[name]))
			}
		}
	case !q.all:
		for _, name := range q.names {
			r.Topics = append(r.Topics, c.topicByName(cluster, name, q.create))
		}
		r.Topics = append(r.Topics, c.topicsByID(cluster, q.ids)...)
	}
	return r
}

// createUnknown passes the creation of those topics on that a stream takes, the client may write to and nobody has seen.
func (c *conn) createUnknown(ctx context.Context, names []string) {
	s := c.server
	var unknown []string
	cluster := s.directory.Cluster()
	for _, name := range names {
		if known(cluster, name) == nil && validTopic(name) && s.directory.Takes(name) && c.allows(name) {
			unknown = append(unknown, name)
		}
	}
	s.create(ctx, unknown)
}

func known(cluster *catalog.Cluster, name string) *catalog.Topic {
	if cluster == nil {
		return nil
	}
	return cluster.Topics[name]
}

// fresh is how old a look at the primary may be for a missing topic to be believed missing.
const fresh = time.Minute

// topicByName describes a topic, or says why not:
//
//   - A topic that no stream takes gets TOPIC_AUTHORIZATION_FAILED, existing or not. It is the one code at which all
//     clients give the record back at once; at UNKNOWN_TOPIC_OR_PARTITION they ask again, Java for a minute, and then
//     report a time-out that explains nothing.
//   - A topic that was never seen gets LEADER_NOT_AVAILABLE while it may exist: it was just asked for, or our view of
//     the primary is old. At that code clients keep the record and ask again.
//   - UNKNOWN_TOPIC_OR_PARTITION is left for what is known not to exist and is not to be created.
func (c *conn) topicByName(cluster *catalog.Cluster, name string, create bool) kmsg.MetadataResponseTopic {
	s := c.server
	code := codeLeaderNotAvailable
	switch t := known(cluster, name); {
	case !validTopic(name):
		code = codeInvalidTopic
	case !s.directory.Takes(name):
		code = codeTopicNotAllowed
		c.warnOnce("topic not taken", "a client asks for a topic that no stream takes: add it to a stream's topics, or let the client use the cluster itself",
			"topic", name, "direct", s.direct())
	case !c.allows(name):
		code = codeTopicNotAllowed
		c.notAllowed(name)
	case t != nil:
		return s.describe(t)
	case !create && cluster != nil && s.cfg.Now().Sub(cluster.At) <= fresh:
		code = codeUnknownTopic
	}
	s.stats.refused(code)
	return failedTopic(code, &name, streamdown.ID{})
}

// topicsByID describes topics by their ids (version 10 and later, KIP-516).
func (c *conn) topicsByID(cluster *catalog.Cluster, ids []streamdown.ID) []kmsg.MetadataResponseTopic {
	if len(ids) == 0 {
		return nil
	}
	byID := map[streamdown.ID]*catalog.Topic{}
	if cluster != nil {
		for _, t := range cluster.Topics {
			byID[t.ID] = t
		}
	}
	out := make([]kmsg.MetadataResponseTopic, 0, len(ids))
	for _, id := range ids {
		if t := byID[id]; t != nil && !id.IsZero() && c.server.directory.Takes(t.Name) {
			if !c.allows(t.Name) {
				c.server.stats.refused(codeTopicNotAllowed)
				out = append(out, failedTopic(codeTopicNotAllowed, nil, id)) // an id is no secret, a name may be
				continue
			}
			out = append(out, c.server.describe(t))
			continue
		}
		c.server.stats.refused(codeUnknownTopicID)
		out = append(out, failedTopic(codeUnknownTopicID, nil, id))
	}
	return out
}

func failedTopic(code int16, name *string, id streamdown.ID) kmsg.MetadataResponseTopic {
	t := kmsg.NewMetadataResponseTopic()
	t.ErrorCode, t.Topic, t.TopicID = code, name, id
	return t
}

// describe shows a topic with ourselves as the leader of each partition. What upstream says of its leaders does not
// matter: records are taken in all the same.
func (s *Server) describe(t *catalog.Topic) kmsg.MetadataResponseTopic {
	if len(t.Partitions) == 0 {
		code := t.Err
		if code == 0 {
			code = codeLeaderNotAvailable
		}
		s.stats.refused(code)
		return failedTopic(code, &t.Name, t.ID)
	}
	out := kmsg.NewMetadataResponseTopic()
	out.Topic, out.TopicID, out.IsInternal = &t.Name, t.ID, t.Internal
	nodes := []int32{s.cfg.NodeID} // shared by all partitions, only read
	out.Partitions = make([]kmsg.MetadataResponseTopicPartition, len(t.Partitions))
	for i := range out.Partitions {
		p := &out.Partitions[i]
		p.Default()
		p.Partition, p.Leader, p.LeaderEpoch = int32(i), s.cfg.NodeID, -1
		p.Replicas, p.ISR = nodes, nodes
	}
	return out
}
