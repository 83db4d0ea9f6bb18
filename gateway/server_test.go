package gateway

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// elsewhere is a listener that others could reach.
type elsewhere struct {
	net.Listener
	addr net.Addr
}

func (e elsewhere) Addr() net.Addr { return e.addr }

func TestOnlyLoopbackIsServed(t *testing.T) {
	for _, addr := range []net.Addr{
		&net.TCPAddr{IP: net.IPv4zero, Port: 9092},
		&net.TCPAddr{IP: net.IPv6unspecified, Port: 9092},
		&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9092},
		&net.UnixAddr{Net: "unix", Name: "socket"},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		m := newMemory()
		err = New(Config{}, m, m).Serve(t.Context(), elsewhere{l, addr})
		if !errors.Is(err, ErrNotLoopback) || !strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%v: %v, want a refusal that says what to do", addr, err)
		}
		if _, err := l.Accept(); err == nil {
			t.Errorf("%v: the listener is still open", addr)
		}
	}
}

func TestBadConfigIsRefusedWhole(t *testing.T) {
	err := Config{Brokers: []Broker{{NodeID: 1, Advertise: "nowhere"}}, MaxFrame: -1, DrainTime: -time.Second}.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, part := range []string{`advertise "nowhere"`, "max frame", "drain time"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
	if err := (Config{Brokers: []Broker{{NodeID: 1, Advertise: "[::1]:9092"}}}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestServeEndsWhenItsListenerDoes(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := newMemory("t")
	s := New(Config{}, m, m)
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(t.Context(), l) }()
	p := dial(t, l.Addr().String())
	p.ask(metadataOf(9, false, "t"), described(9)) // connected
	l.Close()
	if err := <-ended; err == nil {
		t.Error("no error, although nobody asked it to end")
	}
	p.closed()
}

func TestShutdownAnswersWhatIsOpen(t *testing.T) {
	in := newHeld()
	s := serve(t, Config{}, in, in)
	p := dial(t, s.addr)
	const n = 10
	for i := range int32(n) {
		p.send(frame(i, produceOf(9, -1, "t", 0)))
	}
	eventually(t, "all are taken", func() bool { return in.count() == n })
	ended := make(chan error, 1)
	go func() { ended <- s.stop() }()
	eventually(t, "no new connection is taken", func() bool {
		nc, err := net.Dial("tcp", s.addr)
		if err == nil {
			nc.Close()
		}
		return err != nil
	})
	p.send(frame(n, produceOf(9, -1, "t", 0))) // comes too late: it is not taken, and it does not destroy the answers
	for i := range n {
		in.answer(n-1-i, 0)
	}
	for i := range int32(n) {
		if id, _, err := p.receive(); err != nil || id != i {
			t.Fatalf("answer %d: id %d, %v", i, id, err)
		}
	}
	p.closed()
	p.nc.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if in.count() != n {
		t.Errorf("%d requests were taken, want %d", in.count(), n)
	}
}

func TestShutdownDoesNotWaitForEver(t *testing.T) {
	in := newHeld()
	s := serve(t, Config{DrainTime: 10 * time.Millisecond}, in, in)
	p := dial(t, s.addr)
	p.send(frame(1, produceOf(9, -1, "t", 0)))
	eventually(t, "it is taken", func() bool { return in.count() == 1 })
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	p.closed()
	in.answer(0, 0) // later than its connection: nothing happens
}

func TestProducerIDThatTakesLongHoldsNobodyElse(t *testing.T) {
	m := newMemory("t")
	in := &slowIDs{memory: m, begin: make(chan struct{})}
	s := serve(t, Config{}, in, m)
	slow := dial(t, s.addr)
	q := kmsg.NewPtrInitProducerIDRequest()
	slow.send(frame(1, q))
	slow.send(frame(2, produceOf(9, -1, "t", 0)))
	eventually(t, "what came after it is taken", func() bool { return m.records("t") == 1 })
	dial(t, s.addr).ask(metadataOf(9, false, "t"), described(9))
	close(in.begin)
	for i := range int32(2) {
		if id, _, err := slow.receive(); err != nil || id != i+1 {
			t.Errorf("answer %d, %v", id, err)
		}
	}
}

type slowIDs struct {
	*memory
	begin chan struct{}
}

func (s *slowIDs) NewProducer(ctx context.Context) (int64, error) {
	<-s.begin
	return s.memory.NewProducer(ctx)
}
