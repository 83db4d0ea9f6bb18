package gateway

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The API keys that have a file of their own.
const (
	keyProduce         int16 = 0
	keyFetch           int16 = 1
	keyMetadata        int16 = 3
	keyFindCoordinator int16 = 10
	keyAPIVersions     int16 = 18
	keyInitProducerID  int16 = 22
	keyDescribeCluster int16 = 60
)

// api is one key that the gateway understands.
type api struct {
	key      int16
	min, max int16 // the versions advertised; parse says for itself what else it takes
	// parse reads a request and returns how to answer it. The body is borrowed. The answer is worked out later, on
	// the writer's goroutine.
	parse func(c *conn, h header, body []byte) (answer, error)
}

// answer works a response out. An error closes the connection.
type answer func(ctx context.Context) (kmsg.Response, error)

// apis is what ApiVersions lists, by key; Produce is taken apart from it, because it is answered by others.
var apis []api

func init() {
	// Set here because the answer to ApiVersions lists the table that it stands in.
	apis = []api{
		{keyProduce, produceMin, produceMax, nil},
		{keyFetch, 4, 4, (*conn).fetch},
		{keyMetadata, 0, 13, (*conn).metadata},
		{keyFindCoordinator, 0, 6, (*conn).findCoordinator},
		{keyAPIVersions, 0, apiVersionsMax, (*conn).apiVersions},
		{keyInitProducerID, 0, 5, (*conn).initProducerID},
		{keyDescribeCluster, 0, 2, (*conn).describeCluster},
	}
}

// dispatch hands a request to the file of its key. An error closes the connection.
func (c *conn) dispatch(h header, body []byte, started time.Time) error {
	for i := range apis {
		a := &apis[i]
		if a.key != h.Key {
			continue
		}
		switch {
		case h.Key == keyProduce && h.Version >= 0 && h.Version <= produceMax:
			return c.produce(h, body, started)
		case h.Key == keyAPIVersions || (a.parse != nil && h.Version >= a.min && h.Version <= a.max):
			late, err := a.parse(c, h, body)
			if err != nil {
				return err
			}
			c.queue.add(owed{correlation: h.CorrelationID, late: late})
			return nil
		}
		break
	}
	return c.refuse(h)
}
