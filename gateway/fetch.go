package gateway

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetch refuses to read. Fetch has to be advertised all the same, in version 4: without it librdkafka believes that
// the broker is older than record batches and produces message sets that nobody can store. Only that one version is
// advertised, so that it is the only one to come. Each partition gets INVALID_REQUEST, whose text in the Java client
// says that the broker is incompatible and that its log has more; consumers stop at it instead of asking again.
func (c *conn) fetch(h header, body []byte) (answer, error) {
	f := newFields(body, false)
	f.int32() // replica
	f.int32() // wait
	f.int32() // min bytes
	f.int32() // max bytes
	f.int8()  // isolation
	r := kmsg.NewPtrFetchResponse()
	r.Version = h.Version
	total := 0
	for range f.count(2 + 4) {
		t := kmsg.NewFetchResponseTopic()
		t.Topic = string(f.string())
		for range f.count(4 + 8 + 4) {
			p := kmsg.NewFetchResponseTopicPartition()
			p.Partition = f.int32()
			f.skip64() // offset
			f.int32() // max bytes
			p.ErrorCode, p.HighWatermark, p.LastStableOffset = codeInvalidRequest, -1, -1
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
	return func(context.Context) (kmsg.Response, error) {
		c.warnOnce("fetch", "a client wants to read, but streamdown only takes records in: let consumers use the cluster itself",
			"direct", c.server.direct())
		c.server.stats.refused(codeInvalidRequest)
		return r, nil
	}, nil
}
