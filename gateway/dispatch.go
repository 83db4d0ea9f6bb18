package gateway

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The API keys that have a file of their own.
const (
	keyProduce          int16 = 0
	keyFetch            int16 = 1
	keyMetadata         int16 = 3
	keyFindCoordinator  int16 = 10
	keyAPIVersions      int16 = 18
	keySASLHandshake    int16 = 17
	keyInitProducerID   int16 = 22
	keySASLAuthenticate int16 = 36
	keyDescribeCluster  int16 = 60
)

// spoken is what ApiVersions lists; ApiVersions itself is taken in any version.
//
// Produce is listed from 0 although 0 to 2 are refused, one partition at a time: librdkafka looks for version 0 to find
// out whether gzip and snappy may be used, and sends everything uncompressed without it (Kafka 4 lists them for the same
// reason, KAFKA-18659). Fetch is listed up to 11 although it is refused: the same client wants 4 for record batches and
// 10 for zstd.
var spoken = [...]struct{ key, min, max int16 }{
	{keyProduce, 0, produceMax},
	{keyFetch, 4, 11},
	{keyMetadata, 0, 13},
	{keyFindCoordinator, 0, 6},
	{keySASLHandshake, 0, 1},
	{keyAPIVersions, 0, apiVersionsMax},
	{keyInitProducerID, 0, 5},
	{keySASLAuthenticate, 0, 2},
	{keyDescribeCluster, 0, 2},
}

// speaks reports whether the version is among those listed.
func speaks(key, version int16) bool {
	for _, s := range spoken {
		if s.key == key {
			return version >= s.min && version <= s.max
		}
	}
	return false
}

// answer works a response out, on the goroutine of the connection's writer. An error closes the connection.
type answer func(ctx context.Context) (kmsg.Response, error)

// parser reads a request of a listed version and returns how to answer it. The body is borrowed.
type parser func(c *conn, h header, body []byte) (answer, error)

// parserOf returns nil for keys that have none: Produce is completed by others, the rest is not spoken.
func parserOf(key int16) parser {
	switch key {
	case keyFetch:
		return (*conn).fetch
	case keyMetadata:
		return (*conn).metadata
	case keyFindCoordinator:
		return (*conn).findCoordinator
	case keySASLHandshake:
		return (*conn).saslHandshake
	case keyAPIVersions:
		return (*conn).apiVersions
	case keyInitProducerID:
		return (*conn).initProducerID
	case keyDescribeCluster:
		return (*conn).describeCluster
	}
	return nil
}

// dispatch hands a request to the file of its key. An error closes the connection.
func (c *conn) dispatch(ctx context.Context, h header, body []byte, started time.Time) error {
	if h.Key == keyProduce && h.Version >= 0 && h.Version <= produceMax {
		return c.produce(h, body, started)
	}
	if h.Key == keySASLAuthenticate && speaks(h.Key, h.Version) {
		return c.saslAuthenticate(ctx, h, body)
	}
	parse := parserOf(h.Key)
	if parse == nil || (!speaks(h.Key, h.Version) && h.Key != keyAPIVersions) {
		return c.refuse(h)
	}
	late, err := parse(c, h, body)
	if err != nil {
		return err
	}
	c.queue.add(owed{correlation: h.CorrelationID, late: late})
	return nil
}
