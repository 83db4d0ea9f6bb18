//go:build real

package handover_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/streamdown/streamdown/check"
	"github.com/streamdown/streamdown/handover"
	"github.com/streamdown/streamdown/test/daemon"
	lab "github.com/streamdown/streamdown/test/handover"
	"github.com/streamdown/streamdown/vfs"
)

// role makes the test binary a new process that fails late: it is ready, is handed everything, and ends. If the variable
// names a file, that names a data directory whose log it takes; then it does nothing more, and is deaf to signals.
const role = "STREAMDOWN_TEST_ROLE"

func TestMain(m *testing.M) {
	if os.Getenv(role) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	h, err := handover.Inherit(os.Getenv)
	if err == nil && h != nil {
		_, err = h.Ready(context.Background(), "broken")
	}
	fmt.Fprintln(os.Stderr, "the new process fails on purpose", err)
	if dir, err := os.ReadFile(os.Getenv(role)); err == nil {
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT)
		lock, err := vfs.OS{}.Lock(filepath.Join(string(dir), "lock"))
		fmt.Fprintf(os.Stderr, "the new process hangs on purpose, has the log: %v %v\n", lock != nil, err)
		select {}
	}
	os.Exit(1)
}

// embedded is a gateway before an embedded broker, which is no Kafka: what is tried here does not depend on it.
func embedded(t *testing.T, env ...string) (*lab.Gateway, string) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	dir := t.TempDir()
	built, err := daemon.Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "current") // a link, as people keep versions
	if err := os.Symlink(built, binary); err != nil {
		t.Fatal(err)
	}
	g, err := lab.Start(t.Context(), binary, dir, c.ListenAddrs()[0], env...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Kill() })
	return g, dir
}

func produce(t *testing.T, addr string) {
	t.Helper()
	if err := send(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
}

func send(ctx context.Context, addr string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic("orders"))
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return cl.ProduceSync(ctx, kgo.StringRecord("x")).FirstErr()
}

func point(t *testing.T, link, to string) {
	t.Helper()
	if err := errors.Join(os.Symlink(to, link+".new"), os.Rename(link+".new", link)); err != nil {
		t.Fatal(err)
	}
}

func TestAnUpgradeThatFailsLeavesTheOldProcess(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	hang := filepath.Join(t.TempDir(), "hang")
	g, dir := embedded(t, role+"="+hang)
	produce(t, g.Addr)
	good, err := os.Readlink(g.Binary)
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(g.Config)
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho not for this machine >&2\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, binary, config, want string }{
		{"no such program", "/nowhere", string(config), "the new program cannot be started"},
		{"a program that ends", script, string(config), "the new process does not get ready"},
		{"a config with a mistake", good, "version: 1\nnonsense: true\n", "the new process does not get ready"},
		{"a process that ends when it has everything", self, string(config), "opens the log again and goes on"},
		{"a process that hangs when it has the log", self, string(config), "opens the log again and goes on"},
	} {
		point(t, g.Binary, c.binary)
		if err := os.WriteFile(g.Config, []byte(c.config), 0o600); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(c.name, "hangs") {
			if err := os.WriteFile(hang, []byte(filepath.Join(dir, "data")), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.Signal(syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(c.name, "hangs") {
			if _, err := g.Await(ctx, "has the log: true"); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
		}
		if _, err := g.Await(ctx, c.want); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		produce(t, g.Addr)
	}
	if err := os.WriteFile(g.Config, config, 0o600); err != nil {
		t.Fatal(err)
	}
	point(t, g.Binary, good)
	if err := g.Upgrade(ctx); err != nil {
		t.Fatal(err)
	}
	produce(t, g.Addr)
	if err := g.Stop(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestTheServiceManagerHearsAndKeeps(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	m, err := lab.Manage(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}()
	env := []string{"NOTIFY_SOCKET=" + m.Address, "WATCHDOG_USEC=3000000"}
	g, _ := embedded(t, env...)
	hear := func(begin string) string {
		t.Helper()
		text, err := m.Await(ctx, begin)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	hear("EXTEND_TIMEOUT_USEC=")
	hear("FDSTORE=1\nFDNAME=kafka")
	if text := hear("READY=1"); !strings.Contains(text, g.Addr) {
		t.Errorf("ready says %q", text)
	}
	for range 3 {
		hear("WATCHDOG=1")
	}
	if err := g.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	hear("RELOADING=1\nMONOTONIC_USEC=")
	hear("READY=1")

	// An upgrade: another process is the service now, and it says that it lives.
	if err := g.Upgrade(ctx); err != nil {
		t.Fatal(err)
	}
	if text := hear("MAINPID="); text != fmt.Sprintf("MAINPID=%d", g.PID()) {
		t.Errorf("it hears %q, want %d", text, g.PID())
	}
	hear("READY=1")
	hear("WATCHDOG=1")

	// A restart: who comes while nobody is there waits.
	if err := g.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	hear("STOPPING=1")
	if err := g.Gone(ctx); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", g.Addr)
	if err != nil {
		t.Fatalf("a client is refused while the service restarts: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	produced := make(chan error, 1)
	go func() { produced <- send(ctx, g.Addr) }()
	files, err := m.Kept("kafka", "http")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" run -c "$1"`, g.Binary, g.Config)
	cmd.Env = append(append(os.Environ(), env...), "LISTEN_FDS=2", "LISTEN_FDNAMES=kafka:http")
	cmd.ExtraFiles = files
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hear("READY=1")
	if err := <-produced; err != nil {
		t.Errorf("a client that came meanwhile: %v", err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// The control: a stop and a start, without the sockets being kept, lose records of default Sarama. So the upgrades above
// would show it if they did.
func TestAStopAndAStartLoseRecordsOfDefaultSarama(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	g, dir := embedded(t)
	if err := knows(ctx, g.Addr, []string{"orders"}); err != nil {
		t.Fatal(err)
	}
	sarama, err := lab.BuildSarama(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	journal := &counting{Checker: check.New(check.Config{}), moved: make(chan struct{})}
	lost := make(chan struct{})
	var once sync.Once
	load := lab.Sarama{
		Binary: sarama, Log: filepath.Join(dir, "sarama.log"), Bootstrap: g.Addr, Topic: "orders", Partitions: partitions,
		Every: 5 * time.Millisecond, Journal: journal, GaveUp: func() { once.Do(func() { close(lost) }) },
	}
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		r, err := load.Run(ctx, stop)
		t.Logf("given up %d of %d, first: %s", r.Failed, r.Sent, r.FirstFailure)
		ended <- err
	}()
	err = journal.more(ctx, 100)
	if err == nil {
		err = g.Stop(ctx)
	}
	if err == nil {
		select {
		case <-lost:
		case <-ctx.Done():
			err = fmt.Errorf("default Sarama loses nothing: %w", ctx.Err())
		}
	}
	err = errors.Join(err, g.Run(ctx, nil), journal.more(ctx, 100))
	close(stop)
	if err := errors.Join(err, <-ended, g.Stop(ctx)); err != nil {
		t.Fatal(err)
	}
}

// The unit is checked by systemd's own tools: no finding, and little that the service could do beside its work.
func TestSystemdTakesTheUnit(t *testing.T) {
	for _, tool := range []string{"systemd-analyze"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%v; install it (Debian: apt-get install systemd)", err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir := t.TempDir()
	binary, err := daemon.Build(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	unit, err := exec.CommandContext(ctx, binary, "gen", "systemd", "--binary", binary, "--data", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "streamdown-try.service")
	if err := os.WriteFile(file, unit, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(ctx, "systemd-analyze", "verify", "--man=no", file).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("verify: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(ctx, "systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", file).CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	t.Log(lines[len(lines)-1])
	if err != nil {
		t.Errorf("security: %v\n%s", err, out)
	}
}
