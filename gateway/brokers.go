package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// Broker is one of the virtual brokers that clients see: a node id with a listener of its own. Answers leave a
// connection in the order of the requests, so records that may have to wait longer than others come in at a broker of
// their own; see Config.Leader.
type Broker struct {
	// NodeID is what clients know it by. It is above 0 and no other broker has it.
	NodeID int32
	// Advertise is the host:port that Metadata gives to clients. Without a port (":0") it is the listener's. Empty means
	// the listener's own address; where that is no address of a host (0.0.0.0, [::]) each client is told the address that
	// it came in by, with this broker's port.
	Advertise string
}

// virtual is a broker as it is served.
type virtual struct {
	Broker
	host string // empty: the one that the client came in by
	port int32
	hold hold
}

// learn takes from the listener what the config leaves open.
func (v *virtual) learn(l net.Listener) error {
	bound, ok := l.Addr().(*net.TCPAddr)
	if v.Advertise != "" {
		host, port, err := splitHostPort(v.Advertise)
		if err != nil {
			return fmt.Errorf("advertise %q: %w", v.Advertise, err)
		}
		v.host, v.port = host, port
		if port == 0 && ok {
			v.port = int32(bound.Port)
		}
		return nil
	}
	host, port, err := splitHostPort(l.Addr().String())
	if err != nil {
		return err
	}
	v.host, v.port = host, port
	if ok && bound.IP.IsUnspecified() {
		v.host = ""
	}
	return nil
}

// address is where the client is told to find the broker.
func (v *virtual) address(c *conn) (host string, port int32) {
	if v.host != "" {
		return v.host, v.port
	}
	return cameInBy(c.raw), v.port
}

// cameInBy is our address as the connection has it, without a zone, which means nothing elsewhere.
func cameInBy(nc net.Conn) string {
	at, err := netip.ParseAddrPort(nc.LocalAddr().String())
	if err != nil {
		return nc.LocalAddr().String() // not of the Internet: a test's
	}
	return at.Addr().Unmap().WithZone("").String()
}

// leader is the broker whom clients are told that leads the topic. It asks each time: a topic may get another one.
func (s *Server) leader(topic string) *virtual {
	if len(s.brokers) == 1 || s.cfg.Leader == nil {
		return s.brokers[0]
	}
	return s.brokers[min(max(s.cfg.Leader(topic), 0), len(s.brokers)-1)]
}

// validBrokers reports what is wrong with Config.Brokers.
func validBrokers(brokers []Broker) error {
	var errs []error
	taken := map[int32]bool{}
	for _, b := range brokers {
		if b.NodeID <= 0 || taken[b.NodeID] {
			errs = append(errs, fmt.Errorf("node id %d: each broker needs one of its own, above 0", b.NodeID))
		}
		taken[b.NodeID] = true
		if b.Advertise == "" {
			continue
		}
		if _, _, err := splitHostPort(b.Advertise); err != nil {
			errs = append(errs, fmt.Errorf("advertise %q: %w: give host:port as clients can reach it", b.Advertise, err))
		}
	}
	return errors.Join(errs...)
}

// Advertised is where a broker is told to be: an empty host stands for the address that each client came in by.
type Advertised struct {
	NodeID int32
	Host   string
	Port   int32
}

// Advertised tells where clients are told to find each broker, in the order of Config.Brokers; nil before Serve.
func (s *Server) Advertised() []Advertised {
	select {
	case <-s.begun:
	default:
		return nil
	}
	out := make([]Advertised, len(s.brokers))
	for i, v := range s.brokers {
		out[i] = Advertised{v.NodeID, v.host, v.port}
	}
	return out
}
