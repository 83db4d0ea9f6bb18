package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// Config says which cluster to speak to and how patiently. Zero means the default for everything but Bootstrap.
type Config struct {
	// Bootstrap lists brokers as host:port, at least one. They are asked for all others, and again when none of those answers.
	Bootstrap []string
	// ClientID is how the brokers know us in their logs, metrics and quotas. Default "streamdown".
	ClientID string
	// Dial opens a connection. Default a net.Dialer's DialContext.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Credentials say how to log in. Nil = plaintext, without a login.
	Credentials Credentials
	// DialTimeout bounds the opening of one connection to one address. Default 5 s.
	DialTimeout time.Duration
	// RequestTimeout bounds the silence of a broker: a connection that has answered nothing for so long while something
	// was unanswered is closed, and what it carried is in doubt. Default 10 s.
	RequestTimeout time.Duration
	// ProduceTimeout is the timeout_ms of Produce requests: how long a broker waits for its replicas before it answers
	// REQUEST_TIMED_OUT. It must be below RequestTimeout and should be below ack_patience (rule C2). Default 1 s.
	ProduceTimeout time.Duration
	// MaxResponseBytes is the longest answer read. A longer one ends its connection. It must exceed the largest batch
	// of the cluster. Default 64 MiB, at least 1 MiB.
	MaxResponseBytes int32
	// Logger gets connections that open and end, at debug level. Nil is silent.
	Logger *slog.Logger
}

// Validate says everything that is wrong at once, or nil.
func (c Config) Validate() error {
	var errs []error
	if len(c.Bootstrap) == 0 {
		errs = append(errs, errors.New("bootstrap is empty: name at least one broker as host:port"))
	}
	for _, a := range c.Bootstrap {
		if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" {
			errs = append(errs, fmt.Errorf("bootstrap %q is not host:port", a))
		}
	}
	for _, d := range []struct {
		name string
		d    time.Duration
	}{{"dial timeout", c.DialTimeout}, {"request timeout", c.RequestTimeout}, {"produce timeout", c.ProduceTimeout}} {
		if d.d < 0 {
			errs = append(errs, fmt.Errorf("%s %v is negative", d.name, d.d))
		}
	}
	full := c.withDefaults()
	if full.ProduceTimeout >= full.RequestTimeout {
		errs = append(errs, fmt.Errorf("produce timeout %v is not below request timeout %v: a broker that waits for its replicas would look silent",
			full.ProduceTimeout, full.RequestTimeout))
	}
	if full.ProduceTimeout > 0 && full.ProduceTimeout < time.Millisecond {
		errs = append(errs, fmt.Errorf("produce timeout %v is below a millisecond, the unit of the protocol", full.ProduceTimeout))
	}
	if len(c.ClientID) > 1<<10 {
		errs = append(errs, fmt.Errorf("client id has %d bytes, more than 1024", len(c.ClientID)))
	}
	if full.MaxResponseBytes < 1<<20 {
		errs = append(errs, fmt.Errorf("max response bytes %d is below 1 MiB", c.MaxResponseBytes))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.ClientID == "" {
		c.ClientID = "streamdown"
	}
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	if c.DialTimeout == 0 {
		c.DialTimeout = 5 * time.Second
	}
	if c.RequestTimeout == 0 {
		c.RequestTimeout = 10 * time.Second
	}
	if c.ProduceTimeout == 0 {
		c.ProduceTimeout = time.Second
	}
	if c.MaxResponseBytes == 0 {
		c.MaxResponseBytes = 64 << 20
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
