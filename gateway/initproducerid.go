package gateway

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// initProducerID gives an idempotent producer its id (KIP-98, KIP-360), from our own space (rule B1): it is answered
// while the primary is away. A client that had an id before gets a new one, as with Kafka when no transactional id is
// given. Transactions are refused (decision: they cannot be stored and forwarded).
func (c *conn) initProducerID(h header, body []byte) (answer, error) {
	f := newFields(body, h.Version >= 2)
	transactional := f.nullable() != nil
	f.int32() // how long a transaction may take
	if h.Version >= 3 {
		f.skip64() // the id and epoch it had
		f.int16()
	}
	f.tags()
	if err := f.end(); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (kmsg.Response, error) {
		r := kmsg.NewPtrInitProducerIDResponse()
		r.Version, r.ProducerID, r.ProducerEpoch = h.Version, -1, -1
		if transactional {
			c.refuseTransactions()
			r.ErrorCode = codeTransactionalID
			c.server.stats.refused(r.ErrorCode)
			return r, nil
		}
		if !c.allowsAny() {
			c.warnOnce("producer id not allowed", "a client may write to no topic, so it gets no producer id: give its user topics in auth.users, if it should")
			r.ErrorCode = codeClusterNotAllowed
			c.server.stats.refused(r.ErrorCode)
			return r, nil
		}
		id, err := c.server.intake.NewProducer(ctx)
		if err != nil {
			// Kafka's own answer while it cannot make ids; every client asks again.
			c.warnOnce("producer id", "no producer id could be given: look at the state of the log's disk", "err", err)
			r.ErrorCode = codeLoadInProgress
			c.server.stats.refused(r.ErrorCode)
			return r, nil
		}
		r.ProducerID, r.ProducerEpoch = id, 0
		return r, nil
	}, nil
}
