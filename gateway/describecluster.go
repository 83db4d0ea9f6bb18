package gateway

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// describeCluster shows the virtual brokers (KIP-700; version 1 added the kind of endpoint, KIP-919).
func (c *conn) describeCluster(h header, body []byte) (answer, error) {
	const brokers = 1
	endpoint := int8(brokers)
	f := newFields(body, true)
	f.bool() // whether operations that the client may do are wanted: there are none to list
	if h.Version >= 1 {
		endpoint = f.int8()
	}
	if h.Version >= 2 {
		f.bool() // whether fenced brokers are wanted
	}
	f.tags()
	if err := f.end(); err != nil {
		return nil, err
	}
	return func(context.Context) (kmsg.Response, error) {
		r := kmsg.NewPtrDescribeClusterResponse()
		r.Version = h.Version
		if endpoint != brokers {
			r.ErrorCode = codeWrongEndpoint
			r.ErrorMessage = kmsg.StringPtr(fmt.Sprintf("streamdown has no controllers to show: ask the cluster itself at %s", c.server.direct()))
			c.server.stats.refused(r.ErrorCode)
			return r, nil
		}
		r.EndpointType = brokers
		r.ClusterID, r.ControllerID = c.server.clusterID(), c.server.brokers[0].NodeID
		for _, v := range c.server.brokers {
			b := kmsg.NewDescribeClusterResponseBroker()
			b.NodeID = v.NodeID
			b.Host, b.Port = v.address(c)
			r.Brokers = append(r.Brokers, b)
		}
		return r, nil
	}, nil
}
