package realkafka

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/streamdown/streamdown/test/process"
)

// echo answers each line and remembers the last one it heard.
type echo struct {
	net.Listener
	heard chan string
}

func (e *echo) run(wait *sync.WaitGroup) {
	for {
		c, err := e.Accept()
		if err != nil {
			return
		}
		wait.Go(func() {
			defer c.Close()
			for s := bufio.NewScanner(c); s.Scan(); {
				e.heard <- s.Text()
				fmt.Fprintln(c, s.Text())
			}
		})
	}
}

func TestADoorDropsRefusesAndHoldsBack(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	defer wait.Wait()
	e := &echo{l, make(chan string, 9)}
	wait.Go(func() { e.run(&wait) })
	defer l.Close()
	ports, err := process.Ports(1)
	if err != nil {
		t.Fatal(err)
	}
	d, err := openDoor(fmt.Sprintf("127.0.0.1:%d", ports[0]), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()

	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", d.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	says := func(c net.Conn, line string) {
		t.Helper()
		if _, err := fmt.Fprintln(c, line); err != nil {
			t.Fatal(err)
		}
	}
	hears := func(c net.Conn, line string) {
		t.Helper()
		got := make([]byte, len(line)+1)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != line+"\n" {
			t.Fatalf("heard %q, %v; want %q", got, err, line)
		}
	}
	nothing := func(c net.Conn) {
		t.Helper()
		_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if n, err := c.Read(make([]byte, 9)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("heard %d bytes, %v", n, err)
		}
		_ = c.SetReadDeadline(time.Time{})
	}

	c := dial()
	says(c, "open")
	hears(c, "open")
	<-e.heard
	d.Mute()
	says(c, "mute")
	if got := <-e.heard; got != "mute" {
		t.Errorf("the server heard %q", got)
	}
	nothing(c)
	d.Silence()
	says(c, "silent")
	nothing(c)
	select {
	case got := <-e.heard:
		t.Errorf("the server heard %q", got)
	default:
	}
	if err := d.Open(); err != nil {
		t.Fatal(err)
	}
	hears(c, "mute")
	hears(c, "silent")
	<-e.heard
	d.Cut()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
		t.Errorf("after a cut: %v", err)
	}
	c = dial()
	says(c, "again")
	hears(c, "again")
	<-e.heard
	d.Refuse()
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after a refusal: %v", err)
	}
	if _, err := net.Dial("tcp", d.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a refusing door: %v", err)
	}
	if err := d.Open(); err != nil {
		t.Fatal(err)
	}
	c = dial()
	says(c, "at last")
	hears(c, "at last")
	<-e.heard
}
