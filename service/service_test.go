package service_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/streamdown/streamdown/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// manager is the other side: a socket that hears what a service says.
type manager struct {
	*net.UnixConn
	address string
}

func listen(t *testing.T) manager {
	t.Helper()
	address := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return manager{c, address}
}

// hear returns the next datagram and the descriptors that came with it.
func (m manager) hear(t *testing.T) (string, []int) {
	t.Helper()
	b, oob := make([]byte, 4096), make([]byte, 128)
	n, oobn, _, _, err := m.ReadMsgUnix(b, oob)
	if err != nil {
		t.Fatal(err)
	}
	var fds []int
	if oobn > 0 {
		list, err := syscall.ParseSocketControlMessage(oob[:oobn])
		if err != nil {
			t.Fatal(err)
		}
		if fds, err = syscall.ParseUnixRights(&list[0]); err != nil {
			t.Fatal(err)
		}
	}
	return string(b[:n]), fds
}

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestTheManagerHearsHowTheProcessStands(t *testing.T) {
	m := listen(t)
	n := service.New(env("NOTIFY_SOCKET", m.address))
	for _, c := range []struct {
		say  func() error
		want string
	}{
		{func() error { return n.Ready("serves\nMAINPID=1") }, "READY=1\nSTATUS=serves MAINPID=1"},
		{func() error { return n.Stopping("ends") }, "STOPPING=1\nSTATUS=ends"},
		{func() error { return n.Status("opens the log") }, "STATUS=opens the log"},
		{n.Alive, "WATCHDOG=1"},
		{func() error { return n.Extend(15 * time.Second) }, "EXTEND_TIMEOUT_USEC=15000000"},
		{func() error { return n.MainPID(42) }, "MAINPID=42"},
		{func() error { return n.Forget("kafka") }, "FDSTOREREMOVE=1\nFDNAME=kafka"},
	} {
		if err := c.say(); err != nil {
			t.Fatal(err)
		}
		if got, _ := m.hear(t); got != c.want {
			t.Errorf("it hears %q, want %q", got, c.want)
		}
	}
	if err := n.Reloading(); err != nil {
		t.Fatal(err)
	}
	got, _ := m.hear(t)
	at, ok := strings.CutPrefix(got, "RELOADING=1\nMONOTONIC_USEC=")
	if us, err := strconv.ParseInt(at, 10, 64); !ok || err != nil || us <= 0 {
		t.Errorf("it hears %q, want the clock", got)
	}
}

func TestASocketIsKept(t *testing.T) {
	m := listen(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	n := service.New(env("NOTIFY_SOCKET", m.address))
	if err := n.Store("kafka", l.(*net.TCPListener)); err != nil {
		t.Fatal(err)
	}
	got, fds := m.hear(t)
	if got != "FDSTORE=1\nFDNAME=kafka" || len(fds) != 1 {
		t.Fatalf("it hears %q with %d descriptors", got, len(fds))
	}
	f := os.NewFile(uintptr(fds[0]), "kept")
	defer f.Close()
	kept, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	if kept.Addr().String() != l.Addr().String() {
		t.Errorf("kept is %s, want %s", kept.Addr(), l.Addr())
	}
}

func TestWithoutAManagerNothingIsSaid(t *testing.T) {
	for _, address := range []string{"", "vsock:2:9999", "relative"} {
		n := service.New(env("NOTIFY_SOCKET", address))
		if n != nil {
			t.Errorf("%q is taken for a socket", address)
		}
		if err := errors.Join(n.Ready("x"), n.Alive(), n.Reloading(), n.Store("x", nil)); err != nil {
			t.Error(err)
		}
		n.Watch(t.Context(), time.Second, nil, nil)
		n.Meanwhile(t.Context(), nil)
	}
	n := service.New(env("NOTIFY_SOCKET", "/nowhere/notify"))
	if err := n.Ready("x"); err == nil {
		t.Error("nobody heard it, and nothing is said of that")
	}
}

func TestTheWatchdogIsMeantForThisProcess(t *testing.T) {
	for _, c := range []struct {
		name string
		env  func(string) string
		want time.Duration
	}{
		{"none", env(), 0},
		{"ours", env("WATCHDOG_USEC", "2000000", "WATCHDOG_PID", strconv.Itoa(os.Getpid())), 2 * time.Second},
		{"of nobody in particular", env("WATCHDOG_USEC", "2000000"), 2 * time.Second},
		{"of another process", env("WATCHDOG_USEC", "2000000", "WATCHDOG_PID", "1"), 0},
		{"no number", env("WATCHDOG_USEC", "soon"), 0},
		{"negative", env("WATCHDOG_USEC", "-1"), 0},
	} {
		if got := service.WatchdogTimeout(c.env); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// A process that does not do its work gets no sign of life, however well its timer ticks.
func TestNoLifeWithoutWork(t *testing.T) {
	m := listen(t)
	n := service.New(env("NOTIFY_SOCKET", m.address))
	ctx, cancel := context.WithCancel(t.Context())
	var asked int
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.Watch(ctx, 30*time.Millisecond, func(ctx context.Context) error {
			switch asked++; asked {
			case 2:
				return errors.New("the log's writer does not answer")
			case 3:
				<-ctx.Done() // hangs
				return ctx.Err()
			case 5:
				cancel()
			}
			return nil
		}, slog.New(slog.DiscardHandler))
	}()
	for i, want := range []string{
		"WATCHDOG=1", "STATUS=does not do its work: the log's writer does not answer",
		"STATUS=does not do its work: context deadline exceeded", "WATCHDOG=1",
	} {
		if got, _ := m.hear(t); got != want {
			t.Errorf("datagram %d is %q, want %q", i, got, want)
		}
	}
	<-ended
}

func TestMoreTimeIsAskedFor(t *testing.T) {
	m := listen(t)
	n := service.New(env("NOTIFY_SOCKET", m.address))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.Meanwhile(ctx, slog.New(slog.DiscardHandler))
	}()
	if got, _ := m.hear(t); got != "EXTEND_TIMEOUT_USEC=15000000" {
		t.Errorf("it hears %q", got)
	}
	cancel()
	<-ended
}

func TestUnitSaysWhatTheProcessDoes(t *testing.T) {
	u := service.Unit{Binary: "/opt/streamdown", Config: "/etc/streamdown/a.yaml", User: "sd", Data: []string{"/mnt/log", "/mnt/refuge"}}
	b, err := u.Text()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\nType=notify\n", "\nNotifyAccess=main\n", "\nExecStart=/opt/streamdown run -c /etc/streamdown/a.yaml\n", "\nUser=sd\n",
		"\nExecReload=/bin/kill -HUP $MAINPID\n", "\nKillMode=mixed\n", "\nFileDescriptorStoreMax=16\n",
		"\nRequiresMountsFor=/var/lib/streamdown /mnt/log /mnt/refuge\n", "\nReadWritePaths=/mnt/log\nReadWritePaths=/mnt/refuge\n",
		"\nRestartPreventExitStatus=78\n",
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the unit does not say %q", want)
		}
	}
	for _, bad := range []service.Unit{
		{Binary: "streamdown", Config: "/a", User: "u"},
		{Binary: "/a b", Config: "/a", User: "u"},
		{Binary: "/a", Config: "/%i", User: "u"},
		{Binary: "/a", Config: "/a", User: "u\nExecStart=/bin/sh"},
		{Binary: "/a", Config: "/a", User: "u", Data: []string{"data"}},
	} {
		if _, err := bad.Text(); err == nil {
			t.Errorf("%+v becomes a unit", bad)
		}
	}
}
