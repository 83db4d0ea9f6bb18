package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown/wire"
)

// conn is the admin connection to one broker. Any number of callers ask at once; a broker answers one connection's
// requests one after the other, in order, so nothing asked here may make it wait.
type conn struct {
	link
	client *Client
	done   chan struct{} // closed when the reader has ended
	stop   func()        // ends the renewal of its session; nil = there is none
	heard  atomic.Int64  // when the last byte came, ns since 1970

	writing sync.Mutex // held while a request is written, so that order of waiting = order on the wire

	mu      sync.Mutex // guards the following
	waiting []pending  // unanswered, in order
	next    int32      // correlation id of the next request
	muted   time.Time  // the broker said that it will not read before then (KIP-219)
	retired bool       // close as soon as nothing waits
	heardOf bool       // an answer came
	err     error      // why it ended; nil = alive
}

// pending is one unanswered request. A caller that lost patience leaves it behind; its reply is then dropped.
type pending struct {
	id    int32
	reply chan<- reply // room for one, so the reader never waits
}

type reply struct {
	frame []byte // after the correlation id
	err   error
}

func (c *conn) alive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err == nil && !c.retired
}

// fail ends the connection; the first reason stays. Its reader closes it.
func (c *conn) fail(err error) {
	c.mu.Lock()
	c.failLocked(err)
	c.mu.Unlock()
}

func (c *conn) failLocked(err error) {
	if c.err == nil {
		c.err = err
		_ = c.SetDeadline(time.Unix(1, 0)) // wakes the reader and whoever writes; if it cannot, the reader is awake already
	}
}

// retire closes the connection once nothing waits for it.
func (c *conn) retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retired = true
	c.closeIfSpentLocked()
}

func (c *conn) closeIfSpentLocked() {
	if c.retired && len(c.waiting) == 0 {
		c.failLocked(&ConnError{Addr: c.addr, Trouble: PeerIdle, Err: errRetired})
	}
}

// errRetired ends connections to addresses that belong to no broker.
var errRetired = errors.New("it is no broker's address any more")

// Read notes when something was heard: a long answer on a slow line is not silence.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.link.Read(b)
	if n > 0 {
		c.heard.Store(time.Now().UnixNano())
	}
	return n, err
}

// read hands out replies until the connection ends, and then the reason to all who still wait.
func (c *conn) read() {
	defer close(c.done)
	defer func() {
		_ = c.Close() // its error comes after the one that counts
		if c.stop != nil {
			c.stop()
		}
	}()
	for {
		frame, err := wire.ReadFrame(c, nil, c.client.cfg.MaxResponseBytes)
		c.mu.Lock()
		if err != nil {
			c.failLocked(c.shy(peerTrouble(c.addr, err, len(c.waiting) > 0, c.client.cfg.RequestTimeout), c.heardOf))
		} else {
			c.takeLocked(frame)
		}
		if c.err != nil {
			for _, p := range c.waiting {
				p.reply <- reply{err: c.err}
			}
			c.waiting = nil
			err = c.err
			c.mu.Unlock()
			c.client.cfg.Logger.Debug("kafka connection ended", "addr", c.addr, "err", err)
			return
		}
		c.mu.Unlock()
	}
}

func (c *conn) takeLocked(frame []byte) {
	r := reader{b: frame}
	id := r.int32()
	if r.bad || len(c.waiting) == 0 || c.waiting[0].id != id {
		c.failLocked(&ConnError{Addr: c.addr, Trouble: PeerGarbled, Err: fmt.Errorf("correlation id %d was not the next one asked for", id)})
		return
	}
	c.heardOf = true
	c.waiting[0].reply <- reply{frame: r.b}
	c.waiting = c.waiting[1:]
	c.closeIfSpentLocked()
}

// ask sends the request and waits for its answer, ctx, the end of the connection or silence, which ends it.
func (c *conn) ask(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.writing.Lock()
	answer, patience, err := c.send(req)
	c.writing.Unlock()
	if err != nil {
		return nil, err
	}
	return c.await(ctx, req, answer, patience)
}

// send puts the request on the wire and returns where its answer will come and how long that may take. The caller
// holds writing.
func (c *conn) send(req kmsg.Request) (<-chan reply, time.Duration, error) {
	patience := c.client.cfg.RequestTimeout
	answer := make(chan reply, 1)
	c.mu.Lock()
	if err := c.err; err != nil {
		c.mu.Unlock()
		return nil, 0, err
	}
	id := c.next
	c.next++
	c.waiting = append(c.waiting, pending{id, answer})
	if muted := time.Until(c.muted); muted > 0 {
		patience += muted
	}
	c.mu.Unlock()
	err := c.SetWriteDeadline(time.Now().Add(patience))
	if err == nil {
		_, err = c.Write(c.client.format.AppendRequest(nil, req, id))
	}
	if err != nil {
		c.fail(peerTrouble(c.addr, err, true, patience))
	}
	return answer, patience, nil // the reader hands out the reason of a failure
}

// await waits for the answer to what was sent.
func (c *conn) await(ctx context.Context, req kmsg.Request, answer <-chan reply, patience time.Duration) (kmsg.Response, error) {
	silence := time.NewTimer(patience)
	defer silence.Stop()
	for {
		select {
		case a := <-answer:
			return c.decode(req, a)
		case <-ctx.Done():
			return nil, fmt.Errorf("ask kafka at %s for %s: %w", c.addr, kmsg.NameForKey(req.Key()), ctx.Err())
		case <-silence.C:
			if left := patience - time.Since(time.Unix(0, c.heard.Load())); left > 0 {
				silence.Reset(left)
				continue
			}
			c.fail(&ConnError{Addr: c.addr, Trouble: PeerSilent, Err: fmt.Errorf("%s not answered for %v", kmsg.NameForKey(req.Key()), patience)})
			return c.decode(req, <-answer) // the reader hands out the reason, or an answer that came just now
		}
	}
}

func (c *conn) decode(req kmsg.Request, a reply) (kmsg.Response, error) {
	if a.err != nil {
		return nil, a.err
	}
	resp, err := parseBody(req, a.frame)
	if err != nil {
		err = &ConnError{Addr: c.addr, Trouble: PeerGarbled, Err: err}
		c.fail(err)
		return nil, err
	}
	if t, ok := resp.(kmsg.ThrottleResponse); ok {
		if ms, after := t.Throttle(); after && ms > 0 {
			c.mu.Lock()
			c.muted = time.Now().Add(time.Duration(ms) * time.Millisecond)
			c.mu.Unlock()
		}
	}
	return resp, nil
}

// ask picks the version, sends the request on the connection and returns the answer in its own type.
func ask[R kmsg.Response](ctx context.Context, c *conn, req kmsg.Request, lo, hi int16) (R, error) {
	var none R
	v, err := c.speaks.pick(c.addr, req.Key(), lo, hi)
	if err != nil {
		return none, err
	}
	req.SetVersion(v)
	resp, err := c.ask(ctx, req)
	if err != nil {
		return none, err
	}
	return resp.(R), nil // ResponseKind of a request is its response
}
