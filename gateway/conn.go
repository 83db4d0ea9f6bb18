package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/wire"
)

type header = wire.RequestHeader

// conn is one client's connection: a reader that hands requests on in their order, and a writer that answers in it.
type conn struct {
	server *Server
	broker *virtual // that the client talks to
	raw    net.Conn // as it was taken
	net    net.Conn // what is read and written: raw, or TLS above it
	addr   netip.Addr
	queue  *queue
	log    *slog.Logger
	named  atomic.Pointer[slog.Logger] // log with the user's name, nil until that is known
	client atomic.Pointer[string]      // name and version of the client's software, nil until it said so

	// Owned by the reader, but for what login says.
	scratch produceRequest
	names   names
	login   login
	frames  int64 // that were read
	leave   error // why the connection ends once the request that is being handled was answered

	mu   sync.Mutex // guards the following
	said map[string]struct{}
}

func newConn(s *Server, nc net.Conn, at *virtual) *conn {
	c := &conn{
		server: s,
		broker: at,
		raw:    nc,
		net:    nc,
		addr:   addressOf(nc),
		queue:  newQueue(s.cfg.MaxInFlight),
		log:    s.cfg.Logger.With("peer", nc.RemoteAddr().String()),
	}
	if s.credentials != nil {
		c.net = tls.Server(nc, s.credentials.Config())
	}
	if len(s.cfg.SASL) > 0 {
		c.login.by = time.Now().Add(s.cfg.HandshakeTimeout)
	}
	return c
}

// logger is the connection's log, with the user's name once that is known.
func (c *conn) logger() *slog.Logger {
	if l := c.named.Load(); l != nil {
		return l
	}
	return c.log
}

// warn logs what a client did wrong, as far as the server's log bears it.
func (c *conn) warn(msg string, args ...any) {
	if left, ok := c.server.loud.take(time.Now()); ok {
		if left > 0 {
			args = append(args, "not_logged", left)
		}
		c.logger().Warn(msg, append(args, "client", c.clientName())...)
	}
}

// run serves the connection until both sides ended. Reading ends with ctx, answering with work.
func (c *conn) run(ctx, work context.Context) {
	if !c.secure(ctx) {
		return
	}
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
		switch {
		case frame.Looks == "" && c.needsLogin() && frame.Size > maxEarlyFrame:
			c.warn("connection closed: no login is as long as what the client announced", "bytes", frame.Size, "at_most", maxEarlyFrame,
				"try", "let the client log in first: set its security.protocol to SASL_SSL or SASL_PLAINTEXT")
		default:
			c.warn("connection closed: not a frame of the Kafka protocol", "err", err)
		}
		if answer := answerTo(err); answer != nil && c.frames == 0 {
			c.server.stats.cut(cutStranger)
			c.queue.add(owed{bytes: answer})
		}
		c.closeInOrder(err)
	case errors.Is(err, errNoLogin):
		c.server.stats.cut(cutNoLogin)
		c.warn("connection closed: the client did not log in", "waited", c.server.cfg.HandshakeTimeout)
		c.abort()
	case errors.Is(err, errSlow):
		c.server.stats.cut(cutSlowWriter)
		c.warn("connection closed: the client began a request and does not send the rest of it", "waited", c.server.cfg.StallTimeout)
		c.abort()
	case errors.Is(err, errIdle):
		c.server.stats.cut(cutIdle)
		c.logger().Debug("connection closed: the client was idle", "waited", c.server.cfg.IdleTimeout)
		c.closeInOrder(err)
	case errors.Is(err, errRefused):
		c.closeInOrder(err)
	default: // the client went away, so nobody waits for answers
		c.logger().Debug("connection ended", "err", err)
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
	in := &paced{c: c, stopped: func() bool { return ctx.Err() != nil }}
	r := bufio.NewReaderSize(in, readBuffer)
	for {
		in.idle()
		if _, err := r.Peek(1); err != nil {
			return c.readError(ctx, err)
		}
		in.begin()
		// The length is only looked at, to lend a fitting buffer and to hold no buffer while the client is idle.
		length, err := r.Peek(4)
		if err != nil {
			return c.readError(ctx, err)
		}
		size := binary.BigEndian.Uint32(length)
		brief, err := c.brief(r, size)
		if err != nil {
			return c.readError(ctx, err)
		}
		if !c.queue.wait() || !brief && c.broker.hold.wait(ctx) != nil {
			return nil
		}
		in.begin() // the clock does not count what we made it wait
		if err := c.readFrame(ctx, r, int(size)); err != nil {
			return c.readError(ctx, err)
		}
	}
}

// maxBrief is as long as a request can be that does not wait for room.
const maxBrief = 4 << 10

// brief reports whether the frame is a small one that asks something. Such a one does not wait while there are too many
// Produce bytes: they are not its own, and a client asks whichever broker it likes for what it needs at another one.
func (c *conn) brief(r *bufio.Reader, size uint32) (bool, error) {
	if size < 8 || size > maxBrief {
		return false, nil
	}
	start, err := r.Peek(6)
	if err != nil {
		return false, err
	}
	return int16(binary.BigEndian.Uint16(start[4:])) != keyProduce, nil
}

func (c *conn) readFrame(ctx context.Context, r io.Reader, size int) error {
	if c.needsLogin() {
		// Nothing is lent to strangers: memory grows with the bytes that came.
		frame, err := wire.ReadFrame(r, nil, min(c.server.cfg.MaxFrame, maxEarlyFrame))
		if err != nil {
			return err
		}
		return c.take(ctx, frame)
	}
	buf := c.server.frames.get(size)
	defer c.server.frames.put(buf)
	frame, err := wire.ReadFrame(r, *buf, c.server.cfg.MaxFrame)
	if err != nil {
		return err
	}
	*buf = frame // it may have grown
	return c.take(ctx, frame)
}

// take handles a whole frame.
func (c *conn) take(ctx context.Context, frame []byte) error {
	c.frames++
	c.server.stats.bytesIn.Add(int64(len(frame)) + 4)
	return c.handle(ctx, frame)
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
func (c *conn) handle(ctx context.Context, frame []byte) error {
	started := c.server.cfg.Now()
	if c.login.bare {
		return c.bareToken(ctx, frame)
	}
	h, body, err := wire.ParseRequestHeader(frame)
	if err != nil {
		c.server.stats.malformed.Add(1)
		c.warn("connection closed: a request's header makes no sense", "err", err)
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	c.server.stats.request(h.Key)
	if err := c.mayAsk(h); err != nil {
		return err
	}
	if err := c.dispatch(ctx, h, body, started); err != nil {
		if !errors.Is(err, errRefused) {
			c.server.stats.malformed.Add(1)
			c.warn("connection closed: a request's body makes no sense", "api", kmsg.NameForKey(h.Key),
				"key", h.Key, "version", h.Version, "client_id", streamdown.Shorten(h.ClientID, 100), "err", err)
		}
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	if c.leave != nil {
		return fmt.Errorf("%w: %w", errRefused, c.leave)
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
		c.warn(msg, args...)
	}
}
