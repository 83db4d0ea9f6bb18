package gateway

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetchSession is the version with sessions (KIP-227) and with an error of the whole response.
const fetchSession = 7

// fetch refuses to read. Fetch has to be advertised all the same: without it librdkafka believes that the broker is
// older than record batches and produces message sets that nobody can store. The refusal is INVALID_REQUEST, of the
// whole response where there is one, otherwise of each partition: Java's text for it says that the broker is
// incompatible and that its log has more; consumers stop at it instead of asking again.
func (c *conn) fetch(h header, body []byte) (answer, error) {
	refused := kmsg.NewPtrFetchResponse()
	refused.Version = h.Version
	if h.Version >= fetchSession {
		refused.ErrorCode = codeInvalidRequest
		return c.refuseFetch(refused), nil
	}
	return c.fetchPartitions(h, body, refused)
}

func (c *conn) refuseFetch(r *kmsg.FetchResponse) answer {
	return func(context.Context) (kmsg.Response, error) {
		c.warnOnce("fetch", "a client wants to read, but streamdown only takes records in: let consumers use the cluster itself",
			"direct", c.server.direct())
		c.server.stats.refused(codeInvalidRequest)
		return r, nil
	}
}

func (c *conn) fetchPartitions(h header, body []byte, r *kmsg.FetchResponse) (answer, error) {
	f := newFields(body, false)
	f.int32() // replica
	f.int32() // wait
	f.int32() // min bytes
	f.int32() // max bytes
	f.int8()  // isolation
	total := 0
	for range f.count(2 + 4) {
		t := kmsg.NewFetchResponseTopic()
		t.Topic = string(f.string())
		for range f.count(4 + 8 + 4) {
			p := kmsg.NewFetchResponseTopicPartition()
			p.Partition = f.int32()
			f.skip64() // offset
			if h.Version >= 5 {
				f.skip64() // log start
			}
			f.int32() // max bytes
			p.ErrorCode, p.HighWatermark, p.LastStableOffset, p.LogStartOffset = codeInvalidRequest, -1, -1, -1
			p.RecordBatches = []byte{} // librdkafka takes null for a broken response, at full speed
			if total++; f.bad != nil || total > maxItems {
				f.fail("more partitions than one fetch can have")
				return nil, f.end()
			}
			t.Partitions = append(t.Partitions, p)
		}
		r.Topics = append(r.Topics, t)
	}
	if err := f.end(); err != nil {
		return nil, err
	}
	return c.refuseFetch(r), nil
}
