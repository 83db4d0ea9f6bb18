package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown/connect/kafka/credentials"
)

// Client asks one Kafka cluster. All methods may be called concurrently; each takes as long as its ctx and the
// Config's timeouts allow. It never retries by itself, except with another broker where any broker will do.
type Client struct {
	cfg    Config
	format *kmsg.RequestFormatter
	wg     sync.WaitGroup // readers and renewers of conns
	tokens *credentials.Tokens
	gate   gate

	mu     sync.Mutex // guards the following; never held across I/O
	nodes  map[int32]string
	lines  map[string]*line
	conns  map[*conn]struct{}
	turn   int // rotates who is asked first when any broker will do
	closed bool
}

// line is the place of the one admin connection to one address.
type line struct {
	dialing chan struct{} // holds one token while somebody dials
	conn    *conn         // guarded by Client.mu; nil or dead until dialled
}

// New returns a Client. It touches no network.
func New(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	cfg = cfg.withDefaults()
	cfg.Bootstrap = slices.Clone(cfg.Bootstrap)
	return &Client{
		cfg:    cfg,
		format: kmsg.NewRequestFormatter(kmsg.FormatterClientID(cfg.ClientID)),
		tokens: credentials.NewTokens(),
		nodes:  make(map[int32]string),
		lines:  make(map[string]*line),
		conns:  make(map[*conn]struct{}),
	}, nil
}

// Close ends all admin connections and waits for what reads them. Questions under way return ErrClosed. Pipes are
// their dialler's to close.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	open := make([]*conn, 0, len(c.conns))
	for cn := range c.conns {
		open = append(open, cn)
	}
	c.mu.Unlock()
	for _, cn := range open {
		cn.fail(fmt.Errorf("%s: %w", cn.addr, ErrClosed))
	}
	c.wg.Wait()
}

// to returns the living admin connection to addr, dialling it if there is none.
func (c *Client) to(ctx context.Context, addr string) (*conn, error) {
	c.mu.Lock()
	l := c.lines[addr]
	if l == nil {
		l = &line{dialing: make(chan struct{}, 1)}
		c.lines[addr] = l
	}
	c.mu.Unlock()
	select {
	case l.dialing <- struct{}{}:
		defer func() { <-l.dialing }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a connection to kafka at %s: %w", addr, ctx.Err())
	}
	c.mu.Lock()
	cn, closed := l.conn, c.closed
	c.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	if cn != nil && cn.alive() {
		return cn, nil
	}
	lk, err := c.open(ctx, addr)
	if err != nil {
		return nil, err
	}
	living, stop := context.WithCancel(context.WithoutCancel(ctx))
	cn = &conn{link: *lk, client: c, done: make(chan struct{}), stop: stop}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		stop()
		_ = cn.Close()
		return nil, ErrClosed
	}
	l.conn = cn
	c.startLocked(cn)
	c.wg.Go(func() { cn.renew(living) })
	return cn, nil
}

// startLocked begins to read from cn, for which Close waits.
func (c *Client) startLocked(cn *conn) {
	c.conns[cn] = struct{}{}
	c.wg.Go(func() {
		cn.read()
		c.mu.Lock()
		delete(c.conns, cn)
		c.mu.Unlock()
	})
}

// node returns the address of a broker as the last Metadata showed it, asking for Metadata if there was none.
func (c *Client) node(ctx context.Context, id int32) (string, error) {
	for fresh := false; ; fresh = true {
		c.mu.Lock()
		addr, ok := c.nodes[id]
		c.mu.Unlock()
		if ok {
			return addr, nil
		}
		if fresh {
			return "", fmt.Errorf("kafka shows no broker with id %d: %w", id, &ReplyError{Doing: "look for it", Code: codeBrokerNotAvailable})
		}
		if _, err := c.metadata(ctx, []string{}, false); err != nil {
			return "", fmt.Errorf("look for kafka broker %d: %w", id, err)
		}
	}
}

// at returns the admin connection to a broker.
func (c *Client) at(ctx context.Context, id int32) (*conn, error) {
	addr, err := c.node(ctx, id)
	if err != nil {
		return nil, err
	}
	return c.to(ctx, addr)
}

// addresses lists where any broker may answer: living connections, then the others of the last Metadata, then
// bootstrap. The first two start at another place each time, so that one address that swallows everything cannot use
// up every caller's patience.
func (c *Client) addresses() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn++
	var living, known []string
	for _, addr := range c.nodes {
		if l := c.lines[addr]; l != nil && l.conn != nil && l.conn.alive() {
			living = append(living, addr)
		} else {
			known = append(known, addr)
		}
	}
	all := append(rotate(living, c.turn), rotate(known, c.turn)...)
	for _, addr := range rotate(slices.Clone(c.cfg.Bootstrap), c.turn) {
		if !slices.Contains(all, addr) {
			all = append(all, addr)
		}
	}
	return all
}

func rotate(s []string, by int) []string {
	slices.Sort(s)
	if len(s) == 0 {
		return s
	}
	by %= len(s)
	return append(s[by:len(s):len(s)], s[:by]...)
}

// any runs do with one broker after the other until one answers. Refusals are answers.
func (c *Client) any(ctx context.Context, do func(*conn) error) error {
	var errs []error
	for _, addr := range c.addresses() {
		cn, err := c.to(ctx, addr)
		if err == nil {
			if err = do(cn); err == nil || TroubleOf(err) == 0 {
				return err
			}
		}
		if ended(ctx, err) {
			return err
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// ended reports whether asking on is pointless: the caller's patience, or the Client, is at its end.
func ended(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, ErrClosed)
}

// learn takes the brokers' addresses from Metadata. Connections to addresses that belong to no broker, such as a
// bootstrap name, are closed when their last answer came: one admin connection per broker.
func (c *Client) learn(brokers []kmsg.MetadataResponseBroker) {
	if len(brokers) == 0 {
		return // a broker that just started knows nobody yet; what we know is better
	}
	nodes := make(map[int32]string, len(brokers))
	live := make(map[string]bool, len(brokers))
	for _, b := range brokers {
		addr := net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
		nodes[b.NodeID] = addr
		live[addr] = true
	}
	var retired []*conn
	c.mu.Lock()
	c.nodes = nodes
	for addr, l := range c.lines {
		if !live[addr] && l.conn != nil {
			retired = append(retired, l.conn)
			l.conn = nil
		}
	}
	c.mu.Unlock()
	for _, cn := range retired {
		cn.retire()
	}
}
