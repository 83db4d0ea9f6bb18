package gateway

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// flushSize is how many bytes of answers are collected before they are sent.
	flushSize = 64 << 10
	// writePiece bounds what must be taken by the client within one write timeout.
	writePiece = 256 << 10
)

// write sends what is owed, in order, until nothing will come any more, the connection is lost, or work ends.
func (c *conn) write(work context.Context) {
	var out []byte
	for {
		o, state := c.queue.take(len(out) == 0)
		if state == ended {
			break
		}
		var err error
		if state == took {
			out, err = c.answer(work, o, out)
		}
		if state == nothing || err != nil || len(out) >= flushSize {
			if flushErr := c.flush(out); flushErr != nil {
				c.lost(flushErr)
				return
			}
			out = emptied(out)
		}
		if errors.Is(err, errClose) {
			c.logger().Debug("connection closed", "err", err)
			c.linger()
			return
		}
		if err != nil {
			c.lost(err)
			return
		}
	}
	if err := c.flush(out); err != nil {
		c.lost(err)
		return
	}
	c.linger()
}

// answer appends the answer to dst.
func (c *conn) answer(work context.Context, o owed, dst []byte) ([]byte, error) {
	if o.produce != nil {
		return c.settle(o.produce, dst)
	}
	if o.bytes != nil {
		return append(dst, o.bytes...), nil
	}
	// Working it out may take a while, and what is ready must not wait for it.
	if err := c.flush(dst); err != nil {
		return nil, err
	}
	dst = emptied(dst)
	if o.bare != nil {
		token, err := o.bare(work)
		if err != nil {
			return dst, err
		}
		return append(binary.BigEndian.AppendUint32(dst, uint32(len(token))), token...), nil
	}
	r, err := o.late(work)
	if err != nil {
		return dst, err
	}
	return appendResponse(dst, o.correlation, r), nil
}

// appendResponse appends a response with its length and header. The answer to ApiVersions never has the flexible
// header, whatever its version, because a client that reads it does not know yet what the server speaks (KIP-511).
func appendResponse(dst []byte, correlation int32, r kmsg.Response) []byte {
	begin := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(correlation))
	dst = appendTags(dst, r.IsFlexible() && r.Key() != keyAPIVersions)
	dst = r.AppendTo(dst)
	binary.BigEndian.PutUint32(dst[begin:], uint32(len(dst)-begin-4))
	return dst
}

// flush sends b. A client that does not take a piece within the write timeout is not waited for.
func (c *conn) flush(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), writePiece)
		if err := c.net.SetWriteDeadline(time.Now().Add(c.server.cfg.WriteTimeout)); err != nil {
			return err
		}
		if _, err := c.net.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// emptied returns b for the next answers, or nothing when one of them made it large.
func emptied(b []byte) []byte {
	if cap(b) > 4*flushSize {
		return nil
	}
	return b[:0]
}

func (c *conn) lost(err error) {
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		c.server.stats.cut(cutSlowReader)
		c.warn("connection closed: the client does not read its answers", "waited", c.server.cfg.WriteTimeout)
	} else {
		c.logger().Debug("connection lost", "err", err)
	}
	c.abort()
}

const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 4 << 20
)

// linger closes our side and takes what the client still sends for a moment. A close with unread bytes resets the
// connection, and a reset can destroy answers that the client has received but not read.
func (c *conn) linger() {
	half, ok := c.net.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		c.abort()
		return
	}
	c.queue.abort() // the reader may still be there: this or the deadline ends it
	if c.net.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = io.CopyN(io.Discard, c.net, lingerBytes) // how it ends does not matter, the connection is closed next
	}
	c.abort()
}
