package handover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/streamdown/streamdown/test/process"
)

// Gateway is a streamdown whose process changes while it serves.
type Gateway struct {
	Addr, HTTP string
	Binary     string // where it is started from; what lies there is what an upgrade starts
	Config     string
	Log        string

	proc *process.Process
	pid  int
	read int // bytes of the log that were looked at
}

const config = `version: 1
listen:
  kafka: { address: %q }
  http: { address: %q }
data: { dir: %q }
systems:
  primary: { kafka: { bootstrap.servers: %q } }
streams:
  - { name: all, topics: ["*"] }
`

// Start runs a gateway before a Kafka; it returns once it serves. Env is added to its environment.
func Start(ctx context.Context, binary, dir, upstream string, env ...string) (*Gateway, error) {
	ports, err := process.Ports(2)
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		Addr: fmt.Sprintf("127.0.0.1:%d", ports[0]), HTTP: fmt.Sprintf("127.0.0.1:%d", ports[1]), Binary: binary,
		Config: filepath.Join(dir, "streamdown.yaml"), Log: filepath.Join(dir, "streamdown.log"),
	}
	text := fmt.Sprintf(config, g.Addr, g.HTTP, filepath.Join(dir, "data"), upstream)
	if err := os.WriteFile(g.Config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return g, g.Run(ctx, nil, env...)
}

// Run starts a process; wrap comes before the command.
func (g *Gateway) Run(ctx context.Context, wrap []string, env ...string) error {
	args := append(append([]string{}, wrap...), g.Binary, "run", "-c", g.Config)
	p, err := process.Start(process.Options{Path: args[0], Args: args[1:], Log: g.Log, Env: env})
	if err != nil {
		return err
	}
	g.proc, g.pid = p, p.PID()
	_, err = g.Await(ctx, `kafka=\S+ http=\S+`)
	return err
}

// PID is the process that serves.
func (g *Gateway) PID() int { return g.pid }

// Signal sends a signal to the process that serves, and not to its group.
func (g *Gateway) Signal(s syscall.Signal) error { return syscall.Kill(g.pid, s) }

// Upgrade asks for an upgrade and returns once the next process serves.
func (g *Gateway) Upgrade(ctx context.Context) error {
	if err := g.Signal(syscall.SIGUSR2); err != nil {
		return err
	}
	m, err := g.Await(ctx, `upgrade: the new process serves" pid=(\d+)`)
	if err != nil {
		return err
	}
	g.pid, err = strconv.Atoi(m[1])
	return err
}

// Await returns the next line of the log that matches.
func (g *Gateway) Await(ctx context.Context, pattern string) ([]string, error) {
	re := regexp.MustCompile(pattern)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		b, err := os.ReadFile(g.Log)
		if err != nil {
			return nil, err
		}
		if at := re.FindSubmatchIndex(b[g.read:]); at != nil {
			var m []string
			for i := 0; i < len(at); i += 2 {
				m = append(m, string(b[g.read+at[i]:g.read+at[i+1]]))
			}
			g.read += at[1]
			return m, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("no %q in the log: %w\n%s", pattern, ctx.Err(), process.Tail(g.Log, 30))
		case <-tick.C:
		}
	}
}

// Stop ends the process that serves and waits for it.
func (g *Gateway) Stop(ctx context.Context) error {
	if err := g.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return g.Gone(ctx)
}

// Gone waits until the process has ended. One that no parent waits for stays a zombie in some containers; that is gone too.
func (g *Gateway) Gone(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", g.pid))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("streamdown does not end: %w", ctx.Err()), g.Kill())
		case <-tick.C:
		}
	}
}

// Kill ends whatever is left of it.
func (g *Gateway) Kill() error {
	if err := syscall.Kill(-g.proc.PID(), syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	<-g.proc.Done()
	return nil
}
