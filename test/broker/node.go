package broker

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown/wire"
)

// node is one broker. As Kafka's, it takes the requests of a connection one after the other, the next one when the last
// one was answered; what a connection carried is taken also when it has ended meanwhile.
type node struct {
	c        *Cluster
	id       int32
	host     string
	port     int32
	listener net.Listener
	conns    map[net.Conn]struct{} // guarded by Cluster.mu, as all below
	up       bool
	life     int
	deaf     bool          // learns of no election and no topic
	hold     chan struct{} // requests with records wait until it is closed; nil = they do not
	answers  []*answering
}

func (b *node) accept() {
	for {
		nc, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.c.mu.Lock()
		if b.c.closed || !b.up {
			b.c.mu.Unlock()
			_ = nc.Close()
			continue
		}
		b.conns[nc] = struct{}{}
		life := b.life
		b.c.wg.Go(func() { b.serve(nc, life) })
		b.c.mu.Unlock()
	}
}

const maxFrame = 104857600 // socket.request.max.bytes

// serve answers one connection.
func (b *node) serve(nc net.Conn, life int) {
	defer func() {
		_ = nc.Close()
		b.c.mu.Lock()
		delete(b.conns, nc)
		b.c.mu.Unlock()
	}()
	for {
		frame, err := wire.ReadFrame(nc, nil, maxFrame)
		if err != nil {
			return
		}
		req, id, err := decode(frame)
		if err != nil {
			return
		}
		if req.Key() == 0 && !b.admit(nc, life) {
			return
		}
		resp := b.handle(req, life)
		if resp == nil {
			return
		}
		if resp == nothing {
			continue
		}
		if !b.answer(nc, life, req, resp, id) {
			return
		}
	}
}

// admit lets a request with records wait while a switch says so. It returns false when the broker ended meanwhile.
func (b *node) admit(nc net.Conn, life int) bool {
	for {
		b.c.mu.Lock()
		hold, alive := b.hold, b.life == life && !b.c.closed
		if _, open := b.conns[nc]; alive && hold == nil && !open {
			b.c.truth.stats.Late++
		}
		b.c.mu.Unlock()
		if hold == nil || !alive {
			return alive
		}
		<-hold
	}
}

// answer writes a response as the switches want it.
func (b *node) answer(nc net.Conn, life int, req kmsg.Request, resp kmsg.Response, id int32) bool {
	b.c.mu.Lock()
	alive := b.life == life && !b.c.closed
	var a answering
	if alive {
		a = b.scriptLocked(req.Key())
	}
	b.c.mu.Unlock()
	if !alive || a.drop {
		return false
	}
	if a.late > 0 {
		time.Sleep(a.late)
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 4, 256), uint32(id))
	if resp.IsFlexible() && resp.Key() != int16(kmsg.ApiVersions) {
		frame = append(frame, 0)
	}
	frame = resp.AppendTo(frame)
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	if a.twice {
		frame = slices.Concat(frame, frame)
	}
	_, err := nc.Write(frame)
	return err == nil || errors.Is(err, io.ErrShortWrite)
}

func decode(frame []byte) (kmsg.Request, int32, error) {
	h, body, err := wire.ParseRequestHeader(frame)
	if err != nil {
		return nil, 0, err
	}
	req := kmsg.RequestForKey(h.Key)
	if req == nil {
		return nil, 0, errStrange
	}
	v := h.Version
	if s, ok := speaks[h.Key]; !ok || v < s.least || v > s.most {
		if h.Key != int16(kmsg.ApiVersions) {
			return nil, 0, errStrange
		}
		// KIP-511: a broker answers in version 0 what it cannot understand.
		r := kmsg.NewPtrApiVersionsRequest()
		r.ClientSoftwareVersion = "?"
		return r, h.CorrelationID, nil
	}
	req.SetVersion(v)
	if err := req.ReadFrom(body); err != nil {
		return nil, 0, err
	}
	return req, h.CorrelationID, nil
}

// hangUpLocked ends a broker's connections.
func (b *node) hangUpLocked() {
	for nc := range b.conns {
		_ = nc.Close()
	}
	clear(b.conns)
}

// letLocked lets requests go on that were held.
func (b *node) letLocked() {
	if b.hold != nil {
		close(b.hold)
		b.hold = nil
	}
}
