package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"
)

// Config says how the gateway presents itself and what it bounds. The zero value is usable.
type Config struct {
	// Advertise is the host:port that Metadata gives to clients. Empty means the listener's own address.
	Advertise string
	// NodeID is the id of the one virtual broker. 0 means 1.
	NodeID int32
	// ClusterIDFallback is given to clients as cluster id until the primary's own was seen. Empty means "streamdown".
	ClusterIDFallback string

	// MaxFrame bounds one request in bytes, like Kafka's socket.request.max.bytes. 0 means 100 MiB.
	MaxFrame int32
	// MaxInFlight bounds the requests of one connection that were read and not yet answered. 0 means 64.
	// At the bound the connection is not read any further.
	MaxInFlight int
	// MaxInFlightBytes bounds the Produce bytes of all connections together that were read and are not yet decided.
	// 0 means 256 MiB. At the bound no connection starts another frame; frames that were begun before may pass it.
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
	if c.Advertise != "" {
		if _, _, err := splitHostPort(c.Advertise); err != nil {
			errs = append(errs, fmt.Errorf("advertise %q: %w: give host:port as clients can reach it", c.Advertise, err))
		}
	}
	for _, bad := range []struct {
		name string
		is   bool
	}{
		{"node id", c.NodeID < 0},
		{"max frame", c.MaxFrame < 0 || (c.MaxFrame > 0 && c.MaxFrame < 1024)},
		{"max in flight", c.MaxInFlight < 0},
		{"max in flight bytes", c.MaxInFlightBytes < 0},
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
	if c.NodeID == 0 {
		c.NodeID = 1
	}
	if c.ClusterIDFallback == "" {
		c.ClusterIDFallback = "streamdown"
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
