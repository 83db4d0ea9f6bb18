package memnet_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/streamdown/streamdown/test/memnet"
)

// pair is a connection between two hosts in a bubble.
func pair(t *testing.T, n *memnet.Net) (a, b net.Conn) {
	t.Helper()
	l, err := n.Host("server").Listen("127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	if a, err = n.Host("client").Dial(t.Context(), "tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

func read(c net.Conn) (string, error) {
	var b [100]byte
	n, err := c.Read(b[:])
	return string(b[:n]), err
}

func write(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if _, err := c.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
}

func TestConnectionsEndAsThoseOfTCPDo(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(n *memnet.Net, a net.Conn)
		text string // that is still read at the server
		err  error  // behind it
	}{
		{"closed", func(_ *memnet.Net, a net.Conn) { _ = a.Close() }, "on its way", io.EOF},
		{"died", func(n *memnet.Net, _ net.Conn) { n.Host("client").Die() }, "on its way", syscall.ECONNRESET},
		{"cut, bytes kept", func(n *memnet.Net, _ net.Conn) { n.Cut("127.0.0.1:9", true) }, "on its way", syscall.ECONNRESET},
		{"cut, bytes lost", func(n *memnet.Net, _ net.Conn) { n.Cut("127.0.0.1:9", false) }, "", syscall.ECONNRESET},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := &memnet.Net{}
			a, b := pair(t, n)
			write(t, a, "on its way")
			c.end(n, a)
			got, err := "", error(nil)
			for err == nil {
				var s string
				s, err = read(b)
				got += s
			}
			if got != c.text || !errors.Is(err, c.err) {
				t.Errorf("%s: read %q, then %v; want %q, then %v", c.name, got, err, c.text, c.err)
			}
			if _, err := b.Write([]byte("x")); err == nil {
				t.Errorf("%s: the server could still write", c.name)
			}
		})
	}
}

func TestTimeOnTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &memnet.Net{Latency: func() time.Duration { return 5 * time.Millisecond }}
		a, b := pair(t, n)
		began := time.Now()
		write(t, a, "x")
		if s, err := read(b); s != "x" || err != nil || time.Since(began) != 5*time.Millisecond {
			t.Errorf("%q, %v after %v", s, err, time.Since(began))
		}
		if err := b.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := read(b); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Second+5*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		_ = b.Close()
	})
}

func TestSilenceRefusalAndFrost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &memnet.Net{}
		a, b := pair(t, n)
		const addr = "127.0.0.1:9"
		for _, c := range []struct {
			name     string
			off, end func()
		}{
			{"silence", func() { n.Silence(addr, true) }, func() { n.Silence(addr, false) }},
			{"frost", n.Host("client").Freeze, n.Host("client").Thaw},
		} {
			c.off()
			write(t, a, "x")
			began := time.Now()
			time.AfterFunc(time.Minute, c.end)
			if s, err := read(b); s != "x" || err != nil || time.Since(began) != time.Minute {
				t.Errorf("%s: %q, %v after %v", c.name, s, err, time.Since(began))
			}
		}
		n.Refuse(addr, true)
		if _, err := n.Host("client").Dial(context.Background(), "tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("refused: %v", err)
		}
		n.Refuse(addr, false)
		n.Host("client").Die()
		if _, err := n.Host("client").Dial(context.Background(), "tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a dead host dials: %v", err)
		}
		_ = b.Close()
	})
}
