package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/streamdown/streamdown/auth"
)

// Server serves producers on one listener for each virtual broker.
type Server struct {
	cfg       Config
	intake    Intake
	directory Directory
	stats     counters
	brokers   []*virtual
	frames    frames
	creations creations
	slowdown  auth.Slowdown
	loud      loud

	credentials *auth.TLSFiles // set by Serve before the first connection; nil = no TLS
	begun       chan struct{}  // closed by Serve before the first connection
	live        atomic.Pointer[Live]

	mu      sync.Mutex // guards the following
	conns   map[*conn]struct{}
	from    map[netip.Addr]int // connections by address
	closing bool
}

// New returns a server that hands what it takes to in and asks d what exists. It touches nothing.
func New(cfg Config, in Intake, d Directory) *Server {
	cfg = cfg.withDefaults()
	s := &Server{
		cfg: cfg, intake: in, directory: d, conns: map[*conn]struct{}{}, from: map[netip.Addr]int{}, creations: newCreations(),
		begun: make(chan struct{}),
	}
	for _, b := range cfg.Brokers {
		s.brokers = append(s.brokers, &virtual{Broker: b, hold: hold{max: max(1, cfg.MaxInFlightBytes/int64(len(cfg.Brokers)))}})
	}
	return s
}

// ErrNotLoopback is returned by Serve for a listener that others than this machine can reach while not everyone who
// does has to show who it is.
var ErrNotLoopback = errors.New("whoever reaches it may write")

// Serve takes connections from the listeners, one for each of Config.Brokers in their order, until ctx ends, then closes
// them, reads no further requests, answers those that are open for at most Config.DrainTime, and returns nil once all its
// goroutines have ended. It may be called once.
//
// A request that is not answered by then was never refused either: its client does not know, and asks again.
// Serve waits for calls of the Intake that have not returned.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	shut := func() {
		for _, l := range listeners {
			_ = l.Close()
		}
	}
	defer shut() // closed below as a rule
	if err := s.begin(listeners); err != nil {
		return err
	}
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	stopped := make(chan struct{})
	context.AfterFunc(reading, func() {
		defer close(stopped)
		shut()
		s.each((*conn).stop)
	})

	var running sync.WaitGroup
	var creating sync.WaitGroup
	for range creators {
		creating.Go(func() { s.createTopics(work) })
	}
	var accepting errgroup.Group
	for i, l := range listeners {
		accepting.Go(func() error {
			defer stopReading() // one listener that ends by itself ends all
			return s.accept(reading, work, l, s.brokers[i], &running)
		})
	}
	err := accepting.Wait()
	<-stopped

	drained := make(chan struct{})
	late := time.AfterFunc(s.cfg.DrainTime, func() {
		defer close(drained)
		stopWork()
		s.each(func(c *conn) {
			c.logger().Warn("connection closed with open requests: the drain time is over", "client", c.clientName())
			c.abort()
		})
	})
	running.Wait()
	if !late.Stop() {
		<-drained
	}
	stopWork()
	creating.Wait()
	return err
}

// begin checks the listeners and learns what to advertise.
func (s *Server) begin(listeners []net.Listener) error {
	if len(listeners) != len(s.brokers) {
		return fmt.Errorf("serve kafka: %d listeners for %d brokers", len(listeners), len(s.brokers))
	}
	first := listeners[0].Addr()
	if err := s.cfg.Validate(); err != nil {
		return fmt.Errorf("serve kafka on %s: %w", first, err)
	}
	everyone := len(s.cfg.SASL) > 0 || s.cfg.TLS != nil && s.cfg.TLS.ClientAuth == auth.ClientCertRequired
	for i, l := range listeners {
		if tcp, ok := l.Addr().(*net.TCPAddr); !everyone && (!ok || !tcp.IP.IsLoopback()) {
			return fmt.Errorf("serve kafka on %s: %w: add listen.kafka.sasl or required client certificates, or listen on 127.0.0.1 or [::1]", l.Addr(), ErrNotLoopback)
		}
		if err := s.brokers[i].learn(l); err != nil {
			return fmt.Errorf("serve kafka on %s: %w", l.Addr(), err)
		}
	}
	if s.cfg.TLS != nil {
		// Kafka's clients name no protocol within TLS. Who names another, such as a browser, is at the wrong port.
		files := *s.cfg.TLS
		files.Protocols = []string{"kafka"}
		opened, err := auth.OpenTLS(files, "listen.kafka", s.cfg.Logger, s.cfg.Now)
		if err != nil {
			return fmt.Errorf("serve kafka on %s: %w", first, err)
		}
		s.credentials = opened
	}
	close(s.begun)
	return nil
}

// accept takes connections until the listener is closed. It returns nil when ctx closed it.
func (s *Server) accept(ctx, work context.Context, l net.Listener, at *virtual, running *sync.WaitGroup) error {
	wait := time.Duration(0)
	for {
		nc, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = nc.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("take connections on %s: %w", l.Addr(), err)
		case err != nil: // too many open files, most likely: it passes
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			s.cfg.Logger.Warn("connection not taken: raise the limit of open files if this stays", "err", err)
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
			continue
		}
		wait = 0
		c := newConn(s, nc, at)
		if !s.enter(c) {
			_ = nc.Close()
			continue
		}
		running.Go(func() {
			defer s.leave(c)
			c.run(ctx, work)
		})
	}
}

func (s *Server) enter(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	if full, same := len(s.conns) >= s.cfg.MaxConnections, s.from[c.addr] >= s.cfg.MaxConnectionsPerAddress; full || same {
		s.stats.cut(cutTooMany)
		c.warn("connection not taken: too many are open", "open", len(s.conns), "at_most", s.cfg.MaxConnections,
			"of_this_address", s.from[c.addr], "at_most_of_one", s.cfg.MaxConnectionsPerAddress,
			"try", "raise listen.kafka.max_connections or max_connections_per_address")
		return false
	}
	s.conns[c] = struct{}{}
	s.from[c.addr]++
	s.stats.accepted.Add(1)
	return true
}

func (s *Server) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.from[c.addr]--; s.from[c.addr] == 0 {
		delete(s.from, c.addr)
	}
}

// each lets no further connection in and calls f for those that are there.
func (s *Server) each(f func(*conn)) {
	s.mu.Lock()
	s.closing = true
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		f(c)
	}
}
