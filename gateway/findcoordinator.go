package gateway

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// findCoordinator refuses groups and transactions. It is the first request that either makes, and one of the few
// whose answer has words, which librdkafka shows to its user: so it is advertised, although there
// is no coordinator. Version 4 asks for several keys at once (KIP-699).
//
// Transactions get TRANSACTIONAL_ID_AUTHORIZATION_FAILED: seen with librdkafka 2.16, INVALID_REQUEST makes
// init_transactions ask again until its time is over, while the Java client fails at once with either.
func (c *conn) findCoordinator(h header, body []byte) (answer, error) {
	f := newFields(body, h.Version >= 3)
	var keys []string
	transaction := false
	if h.Version < 4 {
		f.string()
	}
	if h.Version >= 1 {
		transaction = f.int8() == 1
	}
	if h.Version >= 4 {
		for range f.count(1) {
			keys = append(keys, string(f.string()))
		}
	}
	f.tags()
	if err := f.end(); err != nil {
		return nil, err
	}
	return func(context.Context) (kmsg.Response, error) {
		code, why := codeInvalidRequest, ""
		if transaction {
			code, why = codeTransactionalID, c.refuseTransactions()
		} else {
			why = c.refuseGroups()
		}
		c.server.stats.refused(code)
		r := kmsg.NewPtrFindCoordinatorResponse()
		r.Version, r.ErrorCode, r.ErrorMessage, r.NodeID, r.Port = h.Version, code, &why, -1, -1
		for _, key := range keys {
			k := kmsg.NewFindCoordinatorResponseCoordinator()
			k.Key, k.NodeID, k.Port, k.ErrorCode, k.ErrorMessage = key, -1, -1, code, &why
			r.Coordinators = append(r.Coordinators, k)
		}
		return r, nil
	}, nil
}
