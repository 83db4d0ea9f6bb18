package gateway

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/ingest"
)

// Produce is parsed and answered by our own code: it is the hot request, and any client can send it.
//
// Versions 3 to 13 are taken. Version 3 brought record batches (KIP-98), 5 the log start, 7 zstd (KIP-110), 8 the
// message of an error (KIP-467), 9 flexible fields (KIP-482), 10 hints to new leaders (KIP-951), 11 and 12 transactions
// only, 13 names topics by id (KIP-516). Sarama, kafkajs and segmentio send lower versions than those advertised; 0 to 2
// are parsed so that they can be refused per partition.
const (
	produceMin      = 3
	produceMax      = 13
	produceFlexible = 9
	produceTopicID  = 13
	produceZstd     = 7
)

// isZstd looks at the attributes of what may be a record batch; admission checks the rest.
func isZstd(records []byte) bool {
	h, err := batch.ParseHeader(records)
	return err == nil && h.Codec() == batch.Zstd
}

// produceRequest is one parsed request. It is the scratch of its connection: names and records point into the frame.
type produceRequest struct {
	transactional bool
	acks          int16
	topics        []producedTopic
	parts         []producedPart // of all topics, in the order of the request
}

type producedTopic struct {
	name  []byte
	id    streamdown.ID // in place of the name
	parts int
}

type producedPart struct {
	index   int32
	records []byte
}

// parse reads the body of versions 0 to produceMax.
func (r *produceRequest) parse(version int16, body []byte) error {
	f := newFields(body, version >= produceFlexible)
	r.topics, r.parts = r.topics[:0], r.parts[:0]
	r.transactional = false
	if version >= 3 {
		r.transactional = f.nullable() != nil
	}
	r.acks = f.int16()
	f.int32() // how long a broker may wait for its replicas: ours is the node's own setting
	for range f.count(6) {
		var t producedTopic
		if version >= produceTopicID {
			t.id = f.uuid()
		} else {
			t.name = f.string()
		}
		for range f.count(6 - 1) {
			p := producedPart{index: f.int32(), records: f.bytes()}
			f.tags()
			if f.bad != nil {
				return f.bad
			}
			if len(r.parts) == maxItems {
				f.fail(fmt.Sprintf("more than %d partitions", maxItems))
				return f.bad
			}
			r.parts = append(r.parts, p)
			t.parts++
		}
		f.tags()
		if f.bad != nil {
			return f.bad
		}
		r.topics = append(r.topics, t)
	}
	f.tags()
	return f.end()
}

// shrink forgets the frame, and the scratch too when one request made it unusually large.
func (r *produceRequest) shrink() {
	if cap(r.parts) > 4096 || cap(r.topics) > 4096 {
		*r = produceRequest{}
		return
	}
	clear(r.topics)
	clear(r.parts)
}

// produce admits the request, partition by partition in its own order, and queues what is owed for it.
func (c *conn) produce(h header, body []byte, started time.Time) error {
	if err := c.scratch.parse(h.Version, body); err != nil {
		return err
	}
	r := &c.scratch
	defer r.shrink()
	a := newProduceAnswer(h, r.acks, started)
	a.queue, a.hold = c.queue, &c.broker.hold
	// What a partition costs us until it is answered is more than the few bytes that may ask for it.
	a.bytes = int64(len(body)) + 256*int64(len(r.parts))
	a.hold.add(a.bytes)
	for i := range r.topics {
		t := &r.topics[i]
		a.topics = append(a.topics, c.topicOf(h.Version, t))
	}
	for i := range r.parts {
		a.slot(i).partition = r.parts[i].index
	}
	a.left.Store(int32(len(r.parts)) + 1)

	refusal, reason := c.refusesProduce(h, r)
	i := 0
	for _, t := range a.topics {
		code, why := refusal, reason
		if code == 0 {
			code, why = c.refusesTopic(h, &t)
		}
		for range t.parts {
			s := a.slots[i]
			if code == 0 && h.Version < produceZstd && isZstd(r.parts[i].records) {
				s.done(ingest.Result{
					Code: codeUnsupportedCompression, Message: "zstd needs produce version 7: use a client of Kafka 2.1 or later, or another codec",
					Base: streamdown.NoOffset, LogStart: streamdown.NoOffset,
				})
			} else if code != 0 {
				s.done(ingest.Result{Code: code, Message: why, Base: streamdown.NoOffset, LogStart: streamdown.NoOffset})
			} else {
				c.server.intake.Produce(ingest.Request{
					TopicPartition: streamdown.TopicPartition{Topic: t.name, Partition: s.partition},
					Records:        r.parts[i].records,
					Acks:           r.acks,
				}, s.done)
			}
			i++
		}
	}
	c.queue.add(owed{correlation: h.CorrelationID, produce: a})
	a.finish()
	return nil
}

// topicOf is the topic as the answer needs it. One that is named by its id has a name if the id is known.
func (c *conn) topicOf(version int16, t *producedTopic) answeredTopic {
	a := answeredTopic{id: t.id, parts: t.parts}
	if version < produceTopicID {
		a.name = c.names.intern(t.name)
	} else if known := c.server.directory.Cluster().TopicByID(t.id); known != nil {
		a.name = known.Name
	}
	return a
}

// refusesTopic says whether nothing for the topic can be taken on this connection.
func (c *conn) refusesTopic(h header, t *answeredTopic) (code int16, why string) {
	s := c.server
	switch {
	case t.name == "" && h.Version >= produceTopicID:
		// The client asks for metadata by the name and sends again. Another topic that has the name now is not the one
		// that these records were meant for.
		return codeUnknownTopicID, "no topic has this id (any more): ask for metadata"
	case !streamdown.ValidTopic(t.name):
		return codeInvalidTopic, "a topic's name is 1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-'"
	case !c.allows(t.name):
		return codeTopicNotAllowed, c.notAllowed(t.name)
	case len(s.brokers) > 1 && s.directory.Takes(t.name) && s.leader(t.name) != c.broker:
		// Taken here, it could have the answers to others wait behind its own.
		return codeNotLeader, "another port of streamdown's takes this topic: ask for metadata"
	}
	return 0, ""
}

// refusesProduce says whether the request as a whole can never be taken.
func (c *conn) refusesProduce(h header, r *produceRequest) (code int16, why string) {
	switch {
	case h.Version < produceMin:
		c.warnOnce("produce version", "produce request in a version before record batches was refused",
			"version", h.Version, "try", "a client of Kafka 0.11 or later, or its setting for the broker's version")
		return codeUnsupportedVersion, "record batches begin with produce version 3: set the client to Kafka 0.11 or later"
	case r.transactional:
		return codeTransactionalID, c.refuseTransactions()
	case r.acks != 0 && r.acks != 1 && r.acks != -1:
		return codeInvalidAcks, fmt.Sprintf("acks is %d: it must be 0, 1 or -1 (all)", r.acks)
	}
	return 0, ""
}

// errClose ends a connection in place of an answer.
var errClose = errors.New("no answer is due")

// produceAnswer collects the results of one Produce. Whoever completes the last partition wakes the writer.
type produceAnswer struct {
	header  header
	acks    int16
	started time.Time
	bytes   int64
	queue   *queue
	hold    *hold
	topics  []answeredTopic
	slots   []*slot
	left    atomic.Int32 // open partitions, and one for the reader
}

type answeredTopic struct {
	name  string
	id    streamdown.ID
	parts int
}

// slot is the place for one partition's result. Its done function is made once and used again with the slot.
type slot struct {
	answer    *produceAnswer
	partition int32
	filled    atomic.Bool
	result    ingest.Result
	done      func(ingest.Result)
}

var produceAnswers = sync.Pool{New: func() any { return new(produceAnswer) }}

func newProduceAnswer(h header, acks int16, started time.Time) *produceAnswer {
	a := produceAnswers.Get().(*produceAnswer)
	a.header, a.acks, a.started = h, acks, started
	return a
}

// slot returns the next slot, i, ready for use.
func (a *produceAnswer) slot(i int) *slot {
	if i < cap(a.slots) {
		a.slots = a.slots[:i+1]
	} else {
		a.slots = append(a.slots, nil)
	}
	s := a.slots[i]
	if s == nil {
		s = &slot{answer: a}
		s.done = s.fill
		a.slots[i] = s
	}
	s.filled.Store(false)
	return s
}

// fill takes the result; a second one for the same partition is not believed.
func (s *slot) fill(r ingest.Result) {
	if s.filled.Swap(true) {
		return
	}
	s.result = r
	s.answer.finish()
}

func (a *produceAnswer) complete() bool { return a.left.Load() == 0 }

// finish counts one partition, or the reader, as done. After the last one the answer belongs to the writer, who may
// already have used it again when this returns: so all that is needed afterwards is read before.
func (a *produceAnswer) finish() {
	q, h, bytes := a.queue, a.hold, a.bytes
	if a.left.Add(-1) == 0 {
		h.add(-bytes)
		q.wake()
	}
}

// release gives the answer back for another request.
func (a *produceAnswer) release() {
	if len(a.slots) > 1024 {
		return // keep no memory for what is rare
	}
	for _, s := range a.slots {
		s.result = ingest.Result{}
	}
	clear(a.topics)
	a.topics, a.slots = a.topics[:0], a.slots[:0]
	a.queue, a.hold = nil, nil
	produceAnswers.Put(a)
}

// refused is the first refusal, 0 if there is none, and whether the connection has to be closed without an answer.
func (a *produceAnswer) refused(count func(code int16)) (first int16, closes bool) {
	for _, s := range a.slots {
		if code := s.result.Code; code != 0 {
			count(code)
			if first == 0 {
				first = code
			}
		}
		closes = closes || s.result.Close
	}
	return first, closes
}

// settle appends the answer to dst and releases it. acks=0 has none; a refused one closes the connection, as Kafka
// does (rule B4).
func (c *conn) settle(a *produceAnswer, dst []byte) ([]byte, error) {
	defer a.release()
	stats := &c.server.stats
	first, closes := a.refused(stats.refused)
	stats.acked(c.server.cfg.Now().Sub(a.started))
	switch {
	case closes:
		c.warnOnce("undecided", "connection closed without an answer: a write to the log did not end in time, look at its disk")
		return dst, fmt.Errorf("%w: neither yes nor no would be true", errClose)
	case a.acks == 0 && first != 0:
		c.warnOnce("acks=0", "connection closed because records sent with acks=0 were refused, which cannot be said otherwise: "+
			"use acks=1 or acks=all to learn which", "code", first, "client_id", streamdown.Shorten(a.header.ClientID, 100))
		return dst, fmt.Errorf("%w: records sent with acks=0 were refused with code %d", errClose, first)
	case a.acks == 0:
		return dst, nil
	}
	return a.appendTo(dst), nil
}
