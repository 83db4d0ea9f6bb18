package kafka

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// ErrClosed says that the Client or Pipe was closed by its owner.
var ErrClosed = errors.New("kafka connection closed by streamdown")

// ErrUnsent marks the error of a Send of which not one byte went out: it is not in doubt.
var ErrUnsent = errors.New("nothing of it was sent")

// Trouble says how a connection failed, as far as people and the breaker need to tell it apart.
type Trouble uint8

const (
	// DialFailed: no connection, for a reason not listed here (name resolution, no route).
	DialFailed Trouble = iota + 1
	// DialRefused: nothing listens at the address.
	DialRefused
	// DialTimedOut: the address does not answer at all.
	DialTimedOut
	// PeerReset: the broker's side ended a connection on which something was unanswered.
	PeerReset
	// PeerIdle: the broker's side ended a connection on which nothing was unanswered, as brokers do after
	// connections.max.idle.ms (ten minutes).
	PeerIdle
	// PeerSilent: the connection stands but nothing was answered for Config.RequestTimeout.
	PeerSilent
	// PeerGarbled: what came was not an answer to what was asked.
	PeerGarbled
	// Denied: the broker does not let us in, or is not to be trusted; a SecurityError says more. Nothing was sent.
	Denied
)

// String names the trouble for people and metric labels.
func (t Trouble) String() string {
	switch t {
	case DialFailed:
		return "dial_failed"
	case DialRefused:
		return "refused"
	case DialTimedOut:
		return "dial_timeout"
	case PeerReset:
		return "reset"
	case PeerIdle:
		return "idle"
	case PeerSilent:
		return "silent"
	case PeerGarbled:
		return "garbled"
	case Denied:
		return "denied"
	}
	return "unknown"
}

// ConnError is the failure of one connection.
type ConnError struct {
	Addr    string
	Trouble Trouble
	Err     error
}

func (e *ConnError) Error() string {
	switch e.Trouble {
	case DialRefused:
		return fmt.Sprintf("dial kafka at %s: connection refused: is the broker running, and is this its address?", e.Addr)
	case DialTimedOut:
		return fmt.Sprintf("dial kafka at %s: no answer: look for a firewall between, or a host that is down", e.Addr)
	case DialFailed:
		return fmt.Sprintf("dial kafka at %s: %v", e.Addr, e.Err)
	case PeerReset:
		return fmt.Sprintf("kafka at %s closed the connection before it answered: %v", e.Addr, e.Err)
	case PeerIdle:
		return fmt.Sprintf("kafka at %s closed an idle connection: %v", e.Addr, e.Err)
	case PeerSilent:
		return fmt.Sprintf("kafka at %s is silent: %v", e.Addr, e.Err)
	case Denied:
		return fmt.Sprintf("kafka at %s: %v", e.Addr, e.Err)
	}
	return fmt.Sprintf("answer of kafka at %s: %v: does another protocol or a TLS listener live there?", e.Addr, e.Err)
}

func (e *ConnError) Unwrap() error { return e.Err }

// TroubleOf returns how the connection behind err failed, or 0 if err is not about a connection.
func TroubleOf(err error) Trouble {
	var e *ConnError
	if errors.As(err, &e) {
		return e.Trouble
	}
	return 0
}

// Reset reports whether err means that the other side refused or broke the connection, or did not let us in: a broker
// that is gone, as opposed to one that is slow. Where several brokers were tried, all of them must have done so. A connection closed
// while idle does not count.
func Reset(err error) bool {
	some, all := false, true
	each(err, func(e *ConnError) {
		some = true
		all = all && (e.Trouble == DialRefused || e.Trouble == PeerReset || e.Trouble == Denied)
	})
	return some && all
}

// each visits all connection errors in err's tree.
func each(err error, visit func(*ConnError)) {
	switch e := err.(type) { //nolint:errorlint // this is the walk that errors.As does, to the end
	case *ConnError:
		visit(e)
	case interface{ Unwrap() error }:
		each(e.Unwrap(), visit)
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			each(err, visit)
		}
	}
}

// dialTrouble classifies the error of a dial.
func dialTrouble(addr string, err error) error {
	t := DialFailed
	var ne net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		t = DialRefused
	case errors.As(err, &ne) && ne.Timeout():
		t = DialTimedOut
	}
	return &ConnError{Addr: addr, Trouble: t, Err: err}
}

// peerTrouble classifies the error of a read or write. Owed says whether something was unanswered; silence is what a
// deadline stands for. Anything that is neither the end of the connection nor a deadline is garble.
func peerTrouble(addr string, err error, owed bool, silence time.Duration) error {
	t := PeerGarbled
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		t, err = PeerSilent, fmt.Errorf("nothing answered for %v: %w", silence, err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ETIMEDOUT):
		t = PeerReset
		if !owed {
			t = PeerIdle
		}
	default:
		var op *net.OpError
		if errors.As(err, &op) { // the network under us, not the words on it
			t = PeerReset
		}
	}
	return &ConnError{Addr: addr, Trouble: t, Err: err}
}
