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

// metadataTopicID is the version that topics have ids from (KIP-516).
const metadataTopicID = 10

// metadata answers which topics exist. A virtual broker of ours leads every partition, whatever leads it upstream and
// whether anything does: that is what lets a producer go on during an outage. Which one follows from the topic
// (Config.Leader), and all of them are told at every one's port. There are no leader epochs: clients take the leader
// that they are told last.
func (c *conn) metadata(h header, body []byte) (answer, error) {
	r := metadataRequest{version: h.Version, create: true}
	f := newFields(body, h.Version >= 9)
	n := f.count(1)
	r.all = n < 0 || (n == 0 && h.Version == 0)
	for range n {
		var id streamdown.ID
		if h.Version >= metadataTopicID {
			id = f.uuid()
		}
		name := f.nullable()
		f.tags()
		switch {
		case f.bad != nil:
			return nil, f.end()
		case name != nil:
			r.names = append(r.names, string(name))
		case h.Version >= metadataTopicID:
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
	if q.create && !q.all {
		c.createUnknown(ctx, q.names)
	} else {
		c.lookAgain(ctx, q)
	}
	cluster := s.directory.Cluster()
	r := kmsg.NewPtrMetadataResponse()
	r.Version = q.version
	for _, v := range s.brokers {
		b := kmsg.NewMetadataResponseBroker()
		b.NodeID = v.NodeID
		b.Host, b.Port = v.address(c)
		r.Brokers = append(r.Brokers, b)
	}
	r.ControllerID = s.brokers[0].NodeID
	r.ClusterID = kmsg.StringPtr(s.clusterID())
	switch {
	case q.all && cluster != nil:
		for _, name := range slices.Sorted(maps.Keys(cluster.Topics)) {
			if s.directory.Takes(name) && c.allows(name) {
				r.Topics = append(r.Topics, s.describe(q.version, cluster, cluster.Topics[name]))
			}
		}
	case !q.all:
		for _, name := range q.names {
			r.Topics = append(r.Topics, c.topicByName(q.version, cluster, name, q.create))
		}
		r.Topics = append(r.Topics, c.topicsByID(q.version, cluster, q.ids)...)
	}
	return r
}

// createUnknown passes the creation of those topics on that a stream takes, the client may write to and nobody has seen.
func (c *conn) createUnknown(ctx context.Context, names []string) {
	s := c.server
	var unknown []string
	cluster := s.directory.Cluster()
	for _, name := range names {
		if known(cluster, name) == nil && streamdown.ValidTopic(name) && s.directory.Takes(name) && c.allows(name) {
			unknown = append(unknown, name)
		}
	}
	s.create(ctx, unknown)
}

// lookAfter is how old a look at the primary may be for what is not in it to be told as missing without a new one.
const lookAfter = 100 * time.Millisecond

// lookAgain has a look at the primary when somebody asks for a topic, or for all, that an old one may lack: brokers know
// a new topic within moments, and clients that are told there is none give up on it at once (segmentio/kafka-go, which
// asks for all, and @platformatic/kafka). There is one look at a time, and none for a while after one that failed.
func (c *conn) lookAgain(ctx context.Context, q metadataRequest) {
	s := c.server
	cluster := s.directory.Cluster()
	if cluster == nil || s.cfg.Now().Sub(cluster.At) < lookAfter {
		return
	}
	if q.all || slices.ContainsFunc(q.names, func(name string) bool {
		return known(cluster, name) == nil && streamdown.ValidTopic(name) && s.directory.Takes(name) && c.allows(name)
	}) {
		s.create(ctx, []string{lookAround})
	}
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
func (c *conn) topicByName(version int16, cluster *catalog.Cluster, name string, create bool) kmsg.MetadataResponseTopic {
	s := c.server
	code := codeLeaderNotAvailable
	switch t := known(cluster, name); {
	case !streamdown.ValidTopic(name):
		code = codeInvalidTopic
	case !s.directory.Takes(name):
		code = codeTopicNotAllowed
		c.warnOnce("topic not taken", "a client asks for a topic that no stream takes: add it to a stream's topics, or let the client use the cluster itself",
			"topic", name, "direct", s.direct())
	case !c.allows(name):
		code = codeTopicNotAllowed
		c.notAllowed(name)
	case t != nil:
		return s.describe(version, cluster, t)
	case !create && cluster != nil && s.cfg.Now().Sub(cluster.At) <= fresh:
		code = codeUnknownTopic
	}
	s.stats.refused(code)
	return failedTopic(code, &name, streamdown.ID{})
}

// topicsByID describes topics by their ids (version 10 and later, KIP-516).
func (c *conn) topicsByID(version int16, cluster *catalog.Cluster, ids []streamdown.ID) []kmsg.MetadataResponseTopic {
	if len(ids) == 0 {
		return nil
	}
	out := make([]kmsg.MetadataResponseTopic, 0, len(ids))
	for _, id := range ids {
		if t := cluster.TopicByID(id); t != nil && c.server.directory.Takes(t.Name) {
			if !c.allows(t.Name) {
				c.server.stats.refused(codeTopicNotAllowed)
				out = append(out, failedTopic(codeTopicNotAllowed, nil, id)) // an id is no secret, a name may be
				continue
			}
			out = append(out, c.server.describe(version, cluster, t))
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

// describe shows a topic with one of ourselves as the leader of each partition. What upstream says of its leaders does
// not matter: records are taken in all the same. An id is shown once it is durable, for a producer goes by it from then
// on; that takes as long as the log takes for an entry.
func (s *Server) describe(version int16, cluster *catalog.Cluster, t *catalog.Topic) kmsg.MetadataResponseTopic {
	code, id := int16(0), cluster.ShownID(t)
	switch {
	case len(t.Partitions) == 0 && t.Err != 0:
		code = t.Err
	case len(t.Partitions) == 0, version >= metadataTopicID && !s.directory.Durable(t):
		code = codeLeaderNotAvailable
	}
	if code != 0 {
		s.stats.refused(code)
		return failedTopic(code, &t.Name, id)
	}
	leader := s.leader(t.Name).NodeID
	out := kmsg.NewMetadataResponseTopic()
	out.Topic, out.TopicID, out.IsInternal = &t.Name, id, t.Internal
	nodes := []int32{leader} // shared by all partitions, only read
	out.Partitions = make([]kmsg.MetadataResponseTopicPartition, len(t.Partitions))
	for i := range out.Partitions {
		p := &out.Partitions[i]
		p.Default()
		p.Partition, p.Leader, p.LeaderEpoch = int32(i), leader, -1
		p.Replicas, p.ISR = nodes, nodes
	}
	return out
}
