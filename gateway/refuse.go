package gateway

import (
	"context"
	"fmt"
	"net"
	"reflect"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown"
)

// refuse answers what the gateway does not speak: with UNSUPPORTED_VERSION where the response of that key and version
// has a place for it, otherwise by closing the connection.
func (c *conn) refuse(h header) error {
	name := kmsg.NameForKey(h.Key)
	r := refusal(h, "streamdown takes records in and does nothing else: use the cluster itself at "+c.server.direct())
	outcome := "answered with an error"
	if r == nil {
		outcome = "connection closed"
	}
	c.warnOnce(fmt.Sprintf("key %d", h.Key), "a client wants what streamdown does not do: let it use the cluster itself",
		"api", name, "key", h.Key, "version", h.Version, "client_id", streamdown.Shorten(h.ClientID, 100), "outcome", outcome, "direct", c.server.direct())
	c.server.stats.refused(codeUnsupportedVersion)
	if r == nil {
		return fmt.Errorf("%w: %s version %d is not spoken here", errRefused, name, h.Version)
	}
	c.queue.add(owed{correlation: h.CorrelationID, late: func(context.Context) (kmsg.Response, error) { return r, nil }})
	return nil
}

// refusal shapes a response that carries an error, nil if the response of that key and version has no place for one.
func refusal(h header, why string) kmsg.Response {
	r := kmsg.ResponseForKey(h.Key)
	if r == nil || h.Version < 0 || h.Version > r.MaxVersion() || h.Key == keyProduce {
		return nil
	}
	r.SetVersion(h.Version)
	v := reflect.ValueOf(r).Elem()
	code := v.FieldByName("ErrorCode")
	if !code.IsValid() || code.Kind() != reflect.Int16 {
		return nil
	}
	code.SetInt(int64(codeUnsupportedVersion))
	if words := v.FieldByName("ErrorMessage"); words.IsValid() && words.Type() == reflect.TypeFor[*string]() {
		words.Set(reflect.ValueOf(&why))
	}
	// The type has the field, but has this version? Read what we would send: it must still say no.
	seen := kmsg.ResponseForKey(h.Key)
	seen.SetVersion(h.Version)
	if err := seen.ReadFrom(r.AppendTo(nil)); err != nil {
		return nil
	}
	if reflect.ValueOf(seen).Elem().FieldByName("ErrorCode").Int() != int64(codeUnsupportedVersion) {
		return nil
	}
	return r
}

// refuseTransactions says, to the log and to the client, that transactions go another way.
func (c *conn) refuseTransactions() string {
	direct := c.server.direct()
	c.warnOnce("transactions", "a client wants transactions, which cannot be stored and forwarded: "+
		"let it use the cluster itself, or remove its transactional.id", "direct", direct)
	return "streamdown cannot store and forward transactions: use the cluster itself at " + direct + ", or remove transactional.id"
}

func (c *conn) refuseGroups() string {
	direct := c.server.direct()
	c.warnOnce("groups", "a client wants a consumer group, but streamdown only takes records in: let consumers use the cluster itself",
		"direct", direct)
	return "streamdown only takes records in: let consumers use the cluster itself at " + direct
}

// direct names where the primary is reached without us.
func (s *Server) direct() string {
	const most = 3
	cluster := s.directory.Cluster()
	if cluster == nil || len(cluster.Brokers) == 0 {
		return "its own address (not seen yet)"
	}
	var b strings.Builder
	for i, broker := range cluster.Brokers[:min(len(cluster.Brokers), most)] {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(net.JoinHostPort(broker.Host, strconv.Itoa(int(broker.Port))))
	}
	return b.String()
}

// clusterID is what clients are told, never empty.
func (s *Server) clusterID() string {
	if cluster := s.directory.Cluster(); cluster != nil && cluster.ID != "" {
		return cluster.ID
	}
	return s.cfg.ClusterIDFallback
}
