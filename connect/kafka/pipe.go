package kafka

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/streamdown/streamdown/sink"
	"github.com/streamdown/streamdown/wire"
)

// Pipe is one pipelined Produce connection to one broker. Requests leave in the order of Send, and onReply is called
// exactly once for each, in that order, by one goroutine, also when the connection ends.
//
// Two goroutines: the writer frames and writes, the reader reads answers, watches for silence and makes all calls of
// onReply. When the connection fails the reader waits for the writer to let go of the parcels before it reports them. A
// third one prepares the renewal of the session, where the login has one (renew.go); the writer then logs in again as
// soon as nothing is unanswered.
type Pipe struct {
	client   *Client
	nc       net.Conn
	addr     string
	speaks   versions
	version  int16 // the most that both sides speak
	silence  time.Duration
	maxBytes int32
	onReply  func(tag uint64, answers []sink.Answer, err error)
	encoder  encoder       // owned by the writer
	pieces   []byte        // for TLS: what is written next; owned by the writer
	written  chan struct{} // closed when the writer has ended
	done     chan struct{} // closed when the reader has ended, after the last onReply
	renewer  chan struct{} // closed when the renewer has ended
	renewed  chan session  // from the writer to the renewer
	stop     func()        // ends the renewer

	mu   sync.Mutex // guards the following
	cond *sync.Cond // something below changed
	// ring holds what is unanswered: count requests from head on, of which the first begun are with the writer or beyond.
	ring  []request
	head  int
	count int
	begun int
	next  int32 // correlation id
	err   error // why it ended; nil = alive
	mute  bool  // err came from writing; what the reader finds may say more
	gone  bool  // the writer touches no parcel any more
	pass  *pass // log in again with it, once nothing is unanswered
	// words takes frames from the reader while the writer logs in; nil otherwise. The reader closes it when it ends.
	words chan []byte
}

// request is one Send.
type request struct {
	tag     uint64
	parcels []sink.Parcel
	order   []int32 // written by the writer before its first byte goes out, kept for reuse
	version int16
	id      int32
	written bool // the whole request is with the kernel
}

// Dial opens a Produce connection of its own to a broker that Metadata showed; ctx ends the dialling, not the Pipe.
// Depth, at least 1, is how many requests may be unanswered.
//
// OnReply gets the answers in the order of the parcels, valid until it returns, or nil and an error when the
// connection ended before they came. Then everything in the request is in doubt, except when the error is ErrUnsent:
// then not one byte of it went out. OnReply may call Send but not Close, and everything behind it waits for it.
func (c *Client) Dial(ctx context.Context, node int32, depth int, onReply func(tag uint64, answers []sink.Answer, err error)) (*Pipe, error) {
	p, err := c.dial(ctx, node, depth, onReply)
	if err != nil {
		return nil, fmt.Errorf("open pipe to node %d: %w", node, err)
	}
	return p, nil
}

func (c *Client) dial(ctx context.Context, node int32, depth int, onReply func(tag uint64, answers []sink.Answer, err error)) (*Pipe, error) {
	addr, err := c.node(ctx, node)
	if err != nil {
		return nil, err
	}
	l, err := c.open(ctx, addr)
	if err != nil {
		return nil, err
	}
	v, err := l.speaks.pick(addr, apiProduce, produceLeast, produceMost)
	if err != nil {
		_ = l.Close() // nothing was sent on it
		return nil, err
	}
	living, stop := context.WithCancel(context.WithoutCancel(ctx))
	p := &Pipe{
		client:   c,
		nc:       l.Conn,
		addr:     addr,
		speaks:   l.speaks,
		version:  v,
		silence:  c.cfg.RequestTimeout,
		maxBytes: c.cfg.MaxResponseBytes,
		onReply:  onReply,
		encoder:  encoder{clientID: c.cfg.ClientID, timeoutMillis: int32(c.cfg.ProduceTimeout.Milliseconds())},
		written:  make(chan struct{}),
		done:     make(chan struct{}),
		renewer:  make(chan struct{}),
		renewed:  make(chan session, 1),
		stop:     stop,
		ring:     make([]request, max(1, depth)),
	}
	if _, ok := l.Conn.(*tls.Conn); ok {
		p.pieces = make([]byte, 0, pieceSize)
	}
	p.cond = sync.NewCond(&p.mu)
	go p.write(living)
	go p.read()
	go p.renew(living, l.session)
	return p, nil
}

// Send queues one request and returns at once: false if depth requests are unanswered or the pipe has ended, in which
// case nothing happened. At most one parcel per partition; a second one ends the pipe, unsent. The slice and all it
// points to are the pipe's, read only, until onReply.
func (p *Pipe) Send(tag uint64, parcels []sink.Parcel) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil || p.count == len(p.ring) {
		return false
	}
	r := p.at(p.count)
	r.tag, r.parcels, r.written = tag, parcels, false
	p.count++
	p.cond.Broadcast()
	return true
}

// Done is closed when the pipe has ended, after the last onReply; Err then says why.
func (p *Pipe) Done() <-chan struct{} { return p.done }

// Err returns why the pipe ended, or nil. A broker that closes an idle pipe shows up here only, as PeerIdle.
func (p *Pipe) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Version returns the highest version of Produce used on this connection. From 13 on, parcels with a topic id are
// bound to the topic's identity; below, to its name only (rule C7).
func (p *Pipe) Version() int16 { return p.version }

// Close ends the pipe and waits until its goroutines have ended; all that is unanswered gets its onReply first.
func (p *Pipe) Close() {
	p.mu.Lock()
	p.failLocked(fmt.Errorf("pipe to kafka at %s: %w", p.addr, ErrClosed))
	p.mu.Unlock()
	<-p.done
}

// at returns the i-th unanswered request. Needs p.mu.
func (p *Pipe) at(i int) *request { return &p.ring[(p.head+i)%len(p.ring)] }

// failLocked ends the pipe, the first reason stays. It wakes both goroutines; the reader closes.
func (p *Pipe) failLocked(err error) {
	if p.err == nil {
		p.err = err
	}
	_ = p.nc.SetDeadline(time.Unix(1, 0)) // if it cannot, the connection has ended and both know
	p.cond.Broadcast()
}

// armLocked starts the clock of silence anew if something is owed to us, and stops it otherwise.
func (p *Pipe) armLocked(grace time.Duration) {
	var t time.Time
	switch {
	case p.err != nil:
		return // the deadline that ends the pipe stands
	case p.begun > 0 || p.words != nil:
		t = time.Now().Add(p.silence + grace)
	}
	_ = p.nc.SetReadDeadline(t) // an error here is an ended connection, which the reader is about to see
}

// write takes requests to the wire, one at a time.
func (p *Pipe) write(ctx context.Context) {
	defer close(p.written)
	for {
		p.mu.Lock()
		for p.err == nil && (p.pass == nil && p.begun == p.count || p.pass != nil && p.begun > 0) {
			p.cond.Wait()
		}
		if p.err != nil {
			p.gone = true
			p.cond.Broadcast()
			p.mu.Unlock()
			return
		}
		if ready := p.pass; ready != nil {
			words := make(chan []byte, 1)
			p.pass, p.words = nil, words
			p.mu.Unlock()
			s, err := p.relogin(ctx, ready, words)
			p.mu.Lock()
			p.words = nil
			if err == nil {
				p.renewed <- s
				p.armLocked(0)
			} else {
				p.failLocked(err)
				if CauseOf(err) != 0 {
					p.err = err // a broker that refuses hangs up, and the reader may have seen that first
				}
			}
			p.mu.Unlock()
			continue
		}
		r := p.at(p.begun)
		r.id, p.next = p.next, p.next+1
		parcels := r.parcels
		r.version = versionFor(parcels, p.version)
		var err error
		if r.order, err = arrange(r.order[:0], parcels, r.version); err != nil {
			p.failLocked(fmt.Errorf("pipe to kafka at %s: %w", p.addr, err)) // before the first byte
			p.mu.Unlock()
			continue
		}
		order, version, id := r.order, r.version, r.id
		p.begun++
		if p.begun == 1 {
			p.armLocked(0)
		}
		p.mu.Unlock()

		err = p.send(parcels, order, version, id)

		p.mu.Lock()
		if err == nil {
			r.written = true
			if p.at(0) == r { // sending may have taken long; the broker's time begins now
				p.armLocked(0)
			}
		} else if p.err == nil {
			// Answers to earlier requests may have arrived before the connection broke: the reader takes them first.
			// A deadline makes sure that it ends.
			p.err, p.mute = peerTrouble(p.addr, err, true, p.silence), true
			_ = p.nc.SetReadDeadline(time.Now().Add(lastWords))
		}
		p.cond.Broadcast()
		p.mu.Unlock()
	}
}

// lastWords is how long a pipe that can no longer be written to is still read.
const lastWords = 500 * time.Millisecond

// send writes one request. A large request on a slow line may take longer than the silence allowed, so every bit of
// progress starts the clock anew. A write without any for that long ends here or by the reader's deadline.
func (p *Pipe) send(parcels []sink.Parcel, order []int32, version int16, id int32) error {
	out := p.encoder.frame(parcels, order, version, id)
	if p.pieces != nil {
		return p.sendPieces(*out)
	}
	for still := 0; ; {
		p.mu.Lock()
		err := p.err
		if err == nil {
			err = p.nc.SetWriteDeadline(time.Now().Add(p.silence / 2))
		}
		p.mu.Unlock()
		if err != nil {
			return err
		}
		n, err := out.WriteTo(p.nc)
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if n > 0 {
			p.mu.Lock()
			p.armLocked(0)
			p.mu.Unlock()
			still = 0
		} else if still++; still == 2 {
			return err
		}
	}
}

// pieceSize is what is encrypted and written at a time: four records of TLS.
const pieceSize = 64 << 10

// sendPieces writes one request over TLS, whose writes cannot be taken up again after a deadline, and which makes a
// record of each buffer, however small. So it goes out in pieces of its own, each of which is progress.
func (p *Pipe) sendPieces(parts [][]byte) error {
	for armed := time.Now(); len(parts) > 0; {
		piece := p.pieces[:0]
		for len(parts) > 0 && len(piece) < pieceSize {
			n := min(len(parts[0]), pieceSize-len(piece))
			piece = append(piece, parts[0][:n]...)
			if parts[0] = parts[0][n:]; len(parts[0]) == 0 {
				parts = parts[1:]
			}
		}
		p.mu.Lock()
		err := p.err
		now := time.Now()
		if now.Sub(armed) > p.silence/4 { // slow, and moving
			p.armLocked(0)
			armed = now
		}
		if err == nil {
			err = p.nc.SetWriteDeadline(now.Add(p.silence))
		}
		p.mu.Unlock()
		if err != nil {
			return err
		}
		if _, err := p.nc.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

// read takes answers until the connection ends, then reports what was left.
func (p *Pipe) read() {
	defer close(p.done)
	var frame []byte
	var answers []sink.Answer
	var err error
	for err == nil {
		if frame, err = wire.ReadFrame(p.nc, frame[:0], p.maxBytes); err == nil {
			answers, err = p.take(frame, answers)
		}
	}
	p.stop()
	p.mu.Lock()
	err = peerTrouble(p.addr, err, p.begun > 0 || p.words != nil, p.silence)
	if p.mute && TroubleOf(err) == PeerGarbled {
		p.err = err // the broker hung up on us, and this is why
	}
	p.failLocked(err)
	if p.words != nil {
		close(p.words)
	}
	p.mu.Unlock()
	_ = p.nc.Close() // its error comes after the one that counts
	<-p.written
	<-p.renewer

	p.mu.Lock()
	err = p.err
	doubt := p.begun
	left := make([]request, p.count)
	for i := range left {
		left[i] = *p.at(i)
	}
	p.count, p.begun = 0, 0
	p.mu.Unlock()
	for i, r := range left {
		if i == doubt {
			err = fmt.Errorf("%w: %w", ErrUnsent, err)
		}
		p.onReply(r.tag, nil, err)
	}
}

// take handles one answer. Its answers slice is reused from call to call.
func (p *Pipe) take(frame []byte, answers []sink.Answer) ([]sink.Answer, error) {
	p.mu.Lock()
	if p.words != nil {
		select {
		case p.words <- bytes.Clone(frame):
		default:
			p.mu.Unlock()
			return answers, errors.New("two answers to one word of a login")
		}
		p.mu.Unlock()
		return answers, nil
	}
	if p.begun == 0 {
		p.mu.Unlock()
		return answers, errors.New("an answer to nothing")
	}
	r := p.at(0)
	// A whole answer can come before the writer has returned from its system call. The parcels are free only then.
	for !r.written && !p.gone {
		p.cond.Wait()
	}
	tag, parcels, order, version, id := r.tag, r.parcels, r.order, r.version, r.id
	p.mu.Unlock()

	in := reader{b: frame}
	if got := in.int32(); in.bad || got != id {
		return answers, fmt.Errorf("correlation id %d instead of %d", got, id)
	}
	if cap(answers) < len(parcels) {
		answers = make([]sink.Answer, len(parcels))
	}
	answers = answers[:len(parcels)]
	throttle, err := parseAnswers(in.b, version, parcels, order, answers)
	if err != nil {
		return answers, err
	}

	p.mu.Lock()
	r.parcels = nil
	p.head = (p.head + 1) % len(p.ring)
	p.count--
	p.begun--
	p.armLocked(throttle)
	if p.pass != nil {
		p.cond.Broadcast()
	}
	p.mu.Unlock()
	p.onReply(tag, answers, nil)
	return answers, nil
}
