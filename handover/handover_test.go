package handover_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/streamdown/streamdown/handover"
)

// role makes the test binary the new process.
const role = "STREAMDOWN_TEST_ROLE"

func TestMain(m *testing.M) {
	if r := os.Getenv(role); r != "" {
		if err := follow(r); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// follow is what a new process does: it greets one client and ends.
func follow(r string) error {
	if r == "listed" { // by a service manager
		s, err := handover.FromManager(os.Getenv)
		if err != nil {
			return err
		}
		return greet(s)
	}
	h, err := handover.Inherit(os.Getenv)
	if err != nil || h == nil {
		return errors.Join(err, errors.New("nobody is there"))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	switch r {
	case "unready":
		return errors.New("the config is wrong")
	case "silent":
		_, _ = bufio.NewReader(os.Stdin).ReadByte() // until it is killed
		return nil
	}
	s, err := h.Ready(ctx, "2")
	if err != nil {
		return err
	}
	if r == "late" {
		return errors.New("the log cannot be opened")
	}
	l, err := s.Listen("kafka", os.Getenv("ADDRESS"))
	if err != nil {
		return err
	}
	if err := h.Serving(ctx); err != nil {
		return err
	}
	return answer(l)
}

func greet(s *handover.Sockets) error {
	l, err := s.Listen("kafka", os.Getenv("ADDRESS"))
	if err != nil {
		return err
	}
	return answer(l)
}

func answer(l net.Listener) error {
	c, err := l.Accept()
	if err != nil {
		return err
	}
	_, err = c.Write([]byte("hello of the new one\n"))
	return errors.Join(err, c.Close())
}

func sockets(t *testing.T) (*handover.Sockets, string) {
	t.Helper()
	s, err := handover.FromManager(func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	l, err := s.Listen("kafka", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil { // the server's own descriptor; the socket goes on
		t.Fatal(err)
	}
	return s, address
}

func launch(t *testing.T, r, address string) *handover.Successor {
	t.Helper()
	next, err := handover.Launch(handover.Program{
		Path: os.Args[0], Env: append(os.Environ(), role+"="+r, "ADDRESS="+address, "LISTEN_PID=1", "LISTEN_FDS=3"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = next.Stop() })
	return next
}

func heard(t *testing.T, c net.Conn) {
	t.Helper()
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || line != "hello of the new one\n" {
		t.Errorf("the client reads %q, %v", line, err)
	}
	_ = c.Close()
}

func TestClientsWhoComeMeanwhileWaitForTheNewProcess(t *testing.T) {
	s, address := sockets(t)
	next := launch(t, "heir", address)
	version, err := next.Ready(t.Context())
	if err != nil || version != "2" {
		t.Fatalf("ready: %q, %v", version, err)
	}
	c, err := net.Dial("tcp", address) // nobody accepts now
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Yield(s); err != nil {
		t.Fatal(err)
	}
	if err := next.Serving(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(next.Leave(), s.Close()); err != nil {
		t.Fatal(err)
	}
	heard(t, c)
}

func TestANewProcessThatFailsIsSeen(t *testing.T) {
	s, address := sockets(t)
	for _, r := range []string{"unready", "late"} {
		next := launch(t, r, address)
		_, err := next.Ready(t.Context())
		if r == "late" {
			if err != nil {
				t.Fatal(err)
			}
			if err := next.Yield(s); err != nil {
				t.Fatal(err)
			}
			err = next.Serving(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), "it has ended") {
			t.Errorf("%s: %v, want that it has ended", r, err)
		}
		if err := next.Stop(); err == nil || !strings.Contains(err.Error(), "exit status 1") {
			t.Errorf("%s ended with %v", r, err)
		}
	}
	// The old process goes on with the same socket.
	l, err := s.Listen("kafka", address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if l.Addr().String() != address {
		t.Errorf("it listens on %s, want %s", l.Addr(), address)
	}
}

func TestANewProcessThatIsSilentIsEnded(t *testing.T) {
	_, address := sockets(t)
	next := launch(t, "silent", address)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := next.Ready(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("ready: %v", err)
	}
	if err := next.Stop(); err == nil {
		t.Error("it ended well")
	}
}

func TestNoProgramNoUpgrade(t *testing.T) {
	if _, err := handover.Launch(handover.Program{Path: "/nowhere/streamdown"}); err == nil {
		t.Error("it was started")
	}
}

func TestTheServiceManagersSocketsAreTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	address := l.Addr().String()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// The manager knows the process id before the program runs; a shell does, too.
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), role+"=listed", "ADDRESS="+address, "LISTEN_FDS=1", "LISTEN_FDNAMES=kafka")
	cmd.ExtraFiles, cmd.Stderr = []*os.File{f}, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	heard(t, c)
}

func TestSocketsOfOthersAreLeftAlone(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"another process": {"LISTEN_PID": "1", "LISTEN_FDS": "2"},
		"none":            {},
		"no number":       {"LISTEN_PID": fmt.Sprint(os.Getpid()), "LISTEN_FDS": "many"},
	} {
		s, err := handover.FromManager(func(k string) string { return env[k] })
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		s.Each(func(string, handover.Conn) { t.Errorf("%s: a socket was taken", name) })
	}
	if _, err := handover.Inherit(func(string) string { return "zero" }); err == nil {
		t.Error("any word is taken for a descriptor")
	}
}

func TestWhatTheConfigNoLongerNamesIsClosed(t *testing.T) {
	s, address := sockets(t)
	other, err := s.Listen("http", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if closed := s.Prune(); len(closed) != 0 {
		t.Errorf("closed %q, which are in use", closed)
	}
	next := launch(t, "heir", address)
	if _, err := next.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	same, err := s.Listen("kafka", address)
	if err != nil {
		t.Fatal(err)
	}
	defer same.Close()
	if same.Addr().String() != address {
		t.Errorf("bound anew: %s", same.Addr())
	}
}
