package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/streamdown/streamdown/auth"
)

// Config says how the gateway presents itself and what it bounds. The zero value is usable.
type Config struct {
	// Brokers are the virtual brokers that clients see, one for each listener of Serve. Empty means one, with node id 1
	// and the listener's own address.
	Brokers []Broker
	// Leader says which of Brokers leads a topic, by its index; nil means the first. It may be called concurrently, and
	// may change its mind: clients are sent to the new one.
	Leader func(topic string) int
	// ClusterIDFallback is given to clients as cluster id until the primary's own was seen. Empty means "streamdown".
	ClusterIDFallback string

	// TLS, if set, encrypts connections and may ask clients for certificates.
	TLS *auth.TLS // its Protocols are ours to say
	// SASL are the mechanisms with which clients log in. Empty = they do not, and certificates, if they are required,
	// say who they are.
	SASL []auth.Mechanism
	// SessionLifetime is how long a login lasts; clients log in again before it ends (KIP-368), on the same
	// connection. Like connections.max.reauth.ms; 0 = as long as what was shown is good.
	SessionLifetime time.Duration
	// Auth says who may come in and write where; required with SASL and with client certificates. Nil = everybody may
	// do everything.
	Auth *auth.Authority

	// MaxConnections bounds the open connections. 0 means 10,000.
	MaxConnections int
	// MaxConnectionsPerAddress bounds those of one address, of IPv6 the /64 network. 0 means half of MaxConnections:
	// clients may share an address behind a load balancer.
	MaxConnectionsPerAddress int
	// HandshakeTimeout is how long a client may take for TLS, and for its login. 0 means 10 s.
	HandshakeTimeout time.Duration
	// IdleTimeout is after which silence a connection is closed, like connections.max.idle.ms. 0 means 10 min.
	IdleTimeout time.Duration
	// StallTimeout is how long a frame that has begun may stay without progress. Over its whole length it has to come
	// at 1 KiB/s at least, with this much time on top. 0 means 30 s.
	StallTimeout time.Duration

	// MaxFrame bounds one request in bytes, like Kafka's socket.request.max.bytes. 0 means 100 MiB.
	MaxFrame int32
	// MaxInFlight bounds the requests of one connection that were read and not yet answered. 0 means 64.
	// At the bound the connection is not read any further.
	MaxInFlight int
	// MaxInFlightBytes bounds the Produce bytes of all connections together that were read and are not yet decided.
	// 0 means 256 MiB. Each broker has an equal part; at its bound none of its connections starts another frame. Frames
	// that were begun before may pass it.
	MaxInFlightBytes int64

	// WriteTimeout is how long a client may refuse to take its answers before its connection is closed. 0 means 30 s.
	WriteTimeout time.Duration
	// DrainTime is how long Serve waits, once told to end, for open requests to be answered. 0 means 10 s.
	DrainTime time.Duration
	// CreateWait is how long a Metadata request waits for a topic that it asked to create. After that the client is
	// told LEADER_NOT_AVAILABLE and asks again; the creation goes on. 0 means 1 s.
	CreateWait time.Duration

	// Logger receives changes of state and refusals; nil is silent.
	Logger *slog.Logger
	// Now is the clock of latencies and ages; nil means time.Now.
	Now func() time.Time
}

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	errs = append(errs, validBrokers(c.Brokers))
	if c.TLS != nil {
		errs = append(errs, c.TLS.Validate())
	}
	if c.Auth == nil && (len(c.SASL) > 0 || c.TLS != nil && c.TLS.ClientAuth != auth.NoClientCert) {
		errs = append(errs, errors.New("logins and client certificates need users: set auth.users"))
	}
	for _, bad := range []struct {
		name string
		is   bool
	}{
		{"max frame", c.MaxFrame < 0 || (c.MaxFrame > 0 && c.MaxFrame < 1024)},
		{"max in flight", c.MaxInFlight < 0},
		{"max in flight bytes", c.MaxInFlightBytes < 0},
		{"max connections", c.MaxConnections < 0},
		{"max connections per address", c.MaxConnectionsPerAddress < 0},
		{"handshake timeout", c.HandshakeTimeout < 0},
		{"idle timeout", c.IdleTimeout < 0},
		{"stall timeout", c.StallTimeout < 0},
		{"session lifetime", c.SessionLifetime < 0},
		{"write timeout", c.WriteTimeout < 0},
		{"drain time", c.DrainTime < 0},
		{"create wait", c.CreateWait < 0},
	} {
		if bad.is {
			errs = append(errs, fmt.Errorf("%s is too small: leave it 0 for the default", bad.name))
		}
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if len(c.Brokers) == 0 {
		c.Brokers = []Broker{{NodeID: 1}}
	}
	if c.ClusterIDFallback == "" {
		c.ClusterIDFallback = "streamdown"
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = 10_000
	}
	if c.MaxConnectionsPerAddress == 0 {
		c.MaxConnectionsPerAddress = max(1, c.MaxConnections/2)
	}
	if c.HandshakeTimeout == 0 {
		c.HandshakeTimeout = 10 * time.Second
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = 10 * time.Minute
	}
	if c.StallTimeout == 0 {
		c.StallTimeout = 30 * time.Second
	}
	if c.MaxFrame == 0 {
		c.MaxFrame = 100 << 20
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = 64
	}
	if c.MaxInFlightBytes == 0 {
		c.MaxInFlightBytes = 256 << 20
	}
	if c.WriteTimeout == 0 {
		c.WriteTimeout = 30 * time.Second
	}
	if c.DrainTime == 0 {
		c.DrainTime = 10 * time.Second
	}
	if c.CreateWait == 0 {
		c.CreateWait = time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func splitHostPort(s string) (string, int32, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("port %q is not a number from 0 to 65535", port)
	}
	if host == "" {
		return "", 0, errors.New("the host is missing")
	}
	return host, int32(n), nil
}
