package broker

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var errStrange = errors.New("a request of an unknown kind or version")

// nothing stands for the answer to a request that gets none (acks=0).
var nothing kmsg.Response = kmsg.NewPtrApiVersionsResponse()

// speaks is what the broker says that it speaks: a part of what Kafka 4 does. Produce is advertised from 0 on, though
// it is served from 3 on (KAFKA-18659).
var speaks = map[int16]struct{ least, most int16 }{
	int16(kmsg.Produce):              {0, 13},
	int16(kmsg.Fetch):                {4, 13},
	int16(kmsg.ListOffsets):          {1, 7},
	int16(kmsg.Metadata):             {0, 12},
	int16(kmsg.ApiVersions):          {0, 4},
	int16(kmsg.CreateTopics):         {2, 7},
	int16(kmsg.InitProducerID):       {0, 4},
	int16(kmsg.OffsetForLeaderEpoch): {2, 4},
	int16(kmsg.DescribeConfigs):      {1, 4},
	int16(kmsg.DescribeProducers):    {0, 0},
}

// handle returns the answer, nothing where there is none to give, and nil where the connection is to end.
func (b *node) handle(req kmsg.Request, life int) kmsg.Response {
	if r, ok := req.(*kmsg.ProduceRequest); ok {
		return b.produce(r, life)
	}
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	if b.life != life || b.c.closed {
		return nil
	}
	switch r := req.(type) {
	case *kmsg.ApiVersionsRequest:
		return b.versions(r)
	case *kmsg.MetadataRequest:
		return b.metadata(r)
	case *kmsg.FetchRequest:
		return b.fetch(r)
	case *kmsg.ListOffsetsRequest:
		return b.listOffsets(r)
	case *kmsg.OffsetForLeaderEpochRequest:
		return b.leaderEpoch(r)
	case *kmsg.DescribeProducersRequest:
		return b.describeProducers(r)
	case *kmsg.InitProducerIDRequest:
		return b.initProducerID(r)
	case *kmsg.DescribeConfigsRequest:
		return b.describeConfigs(r)
	case *kmsg.CreateTopicsRequest:
		return b.createTopics(r)
	}
	return nil
}

// versions answers ApiVersions.
func (b *node) versions(r *kmsg.ApiVersionsRequest) kmsg.Response {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.Version = r.Version
	if r.Version == 0 && r.ClientSoftwareVersion == "?" {
		resp.ErrorCode = codeUnsupportedVersion
	}
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		if s, ok := speaks[key]; ok {
			k := kmsg.NewApiVersionsResponseApiKey()
			k.ApiKey, k.MinVersion, k.MaxVersion = key, s.least, s.most
			resp.ApiKeys = append(resp.ApiKeys, k)
		}
	}
	return resp
}

// initProducerID gives a producer id: nothing else is stored of it (KIP-98).
func (b *node) initProducerID(r *kmsg.InitProducerIDRequest) kmsg.Response {
	resp := kmsg.NewPtrInitProducerIDResponse()
	resp.Version = r.Version
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	if r.TransactionalID != nil {
		resp.ErrorCode = codeTransactionalIDForbidden
		return resp
	}
	resp.ProducerID, resp.ProducerEpoch = b.c.nextPID, 0
	b.c.nextPID++
	return resp
}
