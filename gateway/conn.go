package gateway

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown/wire"
)

type header = wire.RequestHeader

// conn is one client's connection: a reader that hands requests on in their order, and a writer that answers in it.
type conn struct {
	server *Server
	net    net.Conn
	queue  *queue
	log    *slog.Logger
	client atomic.Pointer[string] // name and version of the client's software, nil until it said so

	// Owned by the reader.
	scratch produceRequest
	names   names

	mu   sync.Mutex // guards the following
	said map[string]struct{}
}

func newConn(s *Server, nc net.Conn) *conn {
	return &conn{
		server: s,
		net:    nc,
		queue:  newQueue(s.cfg.MaxInFlight),
		log:    s.cfg.Logger.With("peer", nc.RemoteAddr().String()),
	}
}

// run serves the connection until both sides ended. Reading ends with ctx, answering with work.
func (c *conn) run(ctx, work context.Context) {
	var writer sync.WaitGroup
	writer.Go(func() { c.write(work) })
	c.end(c.read(ctx))
	writer.Wait()
	c.net.Close()
}

// end says what becomes of the answers that are still owed when the reader ended with err.
func (c *conn) end(err error) {
	var frame *wire.FrameError
	switch {
	case err == nil: // told to stop: what is owed is answered first
		c.queue.finish()
	case errors.As(err, &frame):
		c.server.stats.malformed.Add(1)
		c.log.Warn("connection closed: not a frame of the Kafka protocol", "err", err, "client", c.clientName())
		c.closeInOrder(err)
	case errors.Is(err, errRefused):
		c.closeInOrder(err)
	default: // the client went away, so nobody waits for answers
		c.log.Debug("connection ended", "err", err)
		c.abort()
	}
}

// closeInOrder closes the connection after the answers that are owed before: those requests were good.
func (c *conn) closeInOrder(err error) {
	c.queue.add(owed{late: func(context.Context) (kmsg.Response, error) { return nil, fmt.Errorf("%w: %w", errClose, err) }})
	c.queue.finish()
}

// abort closes the connection at once.
func (c *conn) abort() {
	c.queue.abort()
	c.net.Close()
}

// stop makes the reader end after the request that it is handing on.
func (c *conn) stop() {
	c.queue.stop()
	c.net.SetReadDeadline(time.Unix(1, 0)) // an error means that the connection is closed, which ends the reader too
}

// readBuffer is large enough for small requests to arrive with one system call. Longer ones bypass it.
const readBuffer = 8 << 10

// read takes requests until the connection ends, in which case it returns why, or until it is told to stop.
func (c *conn) read(ctx context.Context) error {
	r := bufio.NewReaderSize(c.net, readBuffer)
	for {
		// The length is only looked at, to lend a fitting buffer and to hold no buffer while the client is idle.
		length, err := r.Peek(4)
		if err != nil {
			return c.readError(ctx, err)
		}
		if !c.queue.wait() || c.server.hold.wait(ctx) != nil {
			return nil
		}
		if err := c.readFrame(r, int(binary.BigEndian.Uint32(length))); err != nil {
			return c.readError(ctx, err)
		}
	}
}

func (c *conn) readFrame(r io.Reader, size int) error {
	buf := c.server.frames.get(size)
	defer c.server.frames.put(buf)
	frame, err := wire.ReadFrame(r, *buf, c.server.cfg.MaxFrame)
	if err != nil {
		return err
	}
	*buf = frame // it may have grown
	c.server.stats.bytesIn.Add(int64(len(frame)) + 4)
	return c.handle(frame)
}

// readError is nil when reading ended because it was told to.
func (c *conn) readError(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

// errRefused closes a connection for what its client sent, after it was logged.
var errRefused = errors.New("the request cannot be answered")

// handle takes one request. The frame is borrowed.
func (c *conn) handle(frame []byte) error {
	started := c.server.cfg.Now()
	h, body, err := wire.ParseRequestHeader(frame)
	if err != nil {
		c.server.stats.malformed.Add(1)
		c.log.Warn("connection closed: a request's header makes no sense", "err", err, "client", c.clientName())
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	c.server.stats.request(h.Key)
	if err := c.dispatch(h, body, started); err != nil {
		if !errors.Is(err, errRefused) {
			c.server.stats.malformed.Add(1)
			c.log.Warn("connection closed: a request's body makes no sense", "api", kmsg.NameForKey(h.Key),
				"key", h.Key, "version", h.Version, "client", c.clientName(), "client_id", shorten(h.ClientID, 100), "err", err)
		}
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	return nil
}

func (c *conn) clientName() string {
	if name := c.client.Load(); name != nil {
		return *name
	}
	return ""
}

// warnOnce logs what a client does wrong once per connection and subject, so that it cannot fill the log.
func (c *conn) warnOnce(subject, msg string, args ...any) {
	c.mu.Lock()
	_, said := c.said[subject]
	if !said && len(c.said) < 100 {
		if c.said == nil {
			c.said = map[string]struct{}{}
		}
		c.said[subject] = struct{}{}
	}
	full := !said && len(c.said) >= 100
	c.mu.Unlock()
	if !said && !full {
		c.log.Warn(msg, append(args, "client", c.clientName())...)
	}
}
