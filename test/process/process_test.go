package process_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/streamdown/streamdown/test/process"
)

// The test binary is its own child: what it does then is told by the environment.
func TestMain(m *testing.M) {
	switch os.Getenv("STREAMDOWN_TEST_CHILD") {
	case "echo":
		for s := bufio.NewScanner(os.Stdin); s.Scan(); {
			fmt.Println("heard " + s.Text())
		}
		fmt.Print("bye")
		return
	case "parent": // starts a child, says its id, and waits to be killed
		p, err := process.Start(child("echo", filepath.Join(os.Getenv("STREAMDOWN_TEST_DIR"), "grandchild"), nil))
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(p.PID())
		<-p.Done()
		return
	}
	goleak.VerifyTestMain(m)
}

func child(role, log string, take func([]byte)) process.Options {
	return process.Options{
		Path: os.Args[0], Log: log, Stdin: true, Stdout: take,
		Env: []string{"STREAMDOWN_TEST_CHILD=" + role, "STREAMDOWN_TEST_DIR=" + filepath.Dir(log)},
	}
}

func start(t *testing.T, o process.Options) *process.Process {
	t.Helper()
	p, err := process.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	return p
}

func TestEveryLineIsTakenAndEndOfInputEndsTheChild(t *testing.T) {
	var got []string
	p := start(t, child("echo", filepath.Join(t.TempDir(), "log"), func(b []byte) { got = append(got, string(b)) }))
	if _, err := io.WriteString(p.Stdin, "one\ntwo\n"); err != nil {
		t.Fatal(err)
	}
	if err := p.Stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := "heard one|heard two|bye"; strings.Join(got, "|") != want {
		t.Errorf("took %q, want %q", got, want)
	}
}

func TestKillEndsAPausedChild(t *testing.T) {
	p := start(t, child("echo", filepath.Join(t.TempDir(), "log"), nil))
	if u, err := p.Usage(); err != nil || u.ResidentBytes == 0 {
		t.Errorf("usage %+v, %v", u, err)
	}
	if err := p.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := p.Err(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("ended with %v, want killed", err)
	}
	if err := p.Signal(syscall.SIGTERM); !errors.Is(err, process.ErrExited) {
		t.Errorf("signal after the end: %v", err)
	}
	if err := p.Kill(); err != nil {
		t.Errorf("second kill: %v", err)
	}
}

func TestWaitKillsWhenItsContextEnds(t *testing.T) {
	p := start(t, child("echo", filepath.Join(t.TempDir(), "log"), nil))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("wait: %v", err)
	}
	<-p.Done()
}

func TestChildDiesWithItsParent(t *testing.T) {
	said := make(chan string, 1)
	p := start(t, child("parent", filepath.Join(t.TempDir(), "log"), func(b []byte) { said <- string(b) }))
	var pid int
	if _, err := fmt.Sscan(<-said, &pid); err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil { // the grandchild has a group of its own: only the kernel can end it
		t.Fatal(err)
	}
	for syscall.Kill(pid, 0) == nil { // ends with the test's deadline if nobody ends the grandchild
		if state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && strings.Contains(string(state), ") Z ") {
			return // ended, and nobody there to collect it
		}
	}
}

func TestPortsAreFreeAndDifferent(t *testing.T) {
	ports, err := process.Ports(20)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, port := range ports {
		if seen[port] {
			t.Errorf("port %d twice", port)
		}
		seen[port] = true
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Error(err)
			continue
		}
		_ = l.Close()
	}
}

func TestMissingProgramIsSaid(t *testing.T) {
	if _, err := process.Start(process.Options{Path: "no-such-program", Log: filepath.Join(t.TempDir(), "log")}); err == nil {
		t.Error("started a program that is not there")
	}
}
