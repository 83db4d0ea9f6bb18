package api

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"
)

func TestNoClientHoldsTheServerOpen(t *testing.T) {
	s := Server(http.NotFoundHandler(), nil)
	if s.ReadHeaderTimeout <= 0 || s.ReadTimeout <= 0 || s.IdleTimeout <= 0 || s.MaxHeaderBytes <= 0 {
		t.Errorf("something has no bound: %+v", s)
	}
	if s.WriteTimeout <= orderTimeout {
		t.Errorf("who gives an order is cut off after %s, before the answer at %s", s.WriteTimeout, orderTimeout)
	}
}

// One connection too many is closed, and there is room again when another has gone.
func TestConnectionsAreBounded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := server(http.NotFoundHandler(), slog.New(slog.DiscardHandler), 2)
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	dial := func() (net.Conn, bool) {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		_, err = c.Read(make([]byte, 1))
		return c, err == nil
	}
	first, ok := dial()
	second, ok2 := dial()
	third, ok3 := dial()
	if !ok || !ok2 || ok3 {
		t.Errorf("answered: %v %v, and the third %v", ok, ok2, ok3)
	}
	first.Close()
	deadline := time.After(time.Minute)
	for {
		c, ok := dial()
		c.Close()
		if ok {
			break
		}
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatal("no room for another")
		}
	}
	second.Close()
	third.Close()
	s.Close()
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}
