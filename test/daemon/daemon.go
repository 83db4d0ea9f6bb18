// Package daemon builds the streamdown binary and runs it for tests, as a user does: one configuration file, one
// process, killed and started again on the same ports and data.
//
// Environment: STREAMDOWN_BINARY runs that file instead of what would be built, STREAMDOWN_RACE=1 builds with the
// race detector.
//
// Stability: may change.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/streamdown/streamdown/test/process"
)

// stopPatience is how long a gateway may take to end after it was asked to.
const stopPatience = 30 * time.Second

// Build compiles cmd/streamdown into dir and returns the file.
func Build(ctx context.Context, dir string) (string, error) {
	if file := os.Getenv("STREAMDOWN_BINARY"); file != "" {
		return file, nil
	}
	file := filepath.Join(dir, "streamdown")
	args := []string{"build", "-o", file}
	if os.Getenv("STREAMDOWN_RACE") == "1" {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "github.com/streamdown/streamdown/cmd/streamdown")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build streamdown: %w\n%s", err, out)
	}
	return file, nil
}

// Options says how a gateway is run. Binary, Dir and Upstream are required.
type Options struct {
	Binary   string // what Build returned
	Dir      string // for the data, the configuration and the output; made when missing
	Upstream string // host:port of the Kafka behind
	Acks     string // remote (empty) or wal
	Listen   string // more of listen.kafka, such as "tls: { cert: /a, key: /b }"
	Stream   string // more of the stream that takes all topics, such as "retain: 6h"
	More     string // more sections of the configuration, such as auth
	Env      []string
	Log      *slog.Logger
}

// Daemon is a gateway in a process of its own. Its methods may be called by one goroutine at a time, but for Addr and
// HTTP, which any may call.
type Daemon struct {
	binary         string
	dir            string
	env            []string
	port, httpPort int
	log            *slog.Logger

	mu   sync.Mutex // guards the following
	proc *process.Process
}

// Start writes the configuration and runs a gateway; it returns once the gateway is ready. The gateway lives until
// Kill or Stop, or until the test process ends; ctx bounds the start only.
func Start(ctx context.Context, o Options) (*Daemon, error) {
	d := &Daemon{binary: o.Binary, env: o.Env, log: o.Log}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	ports, err := process.Ports(2)
	if err != nil {
		return nil, fmt.Errorf("start streamdown: %w", err)
	}
	d.port, d.httpPort = ports[0], ports[1]
	if d.dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, fmt.Errorf("start streamdown: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(d.dir, "data"), 0o755); err != nil {
		return nil, fmt.Errorf("start streamdown: %w", err)
	}
	if err := os.WriteFile(d.path("streamdown.yaml"), []byte(d.config(o)), 0o644); err != nil {
		return nil, fmt.Errorf("start streamdown: %w", err)
	}
	if err := d.Restart(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *Daemon) config(o Options) string {
	acks := o.Acks
	if acks == "" {
		acks = "remote"
	}
	listen := o.Listen
	if listen != "" {
		listen = ", " + listen
	}
	stream := o.Stream
	if stream != "" {
		stream = ", " + stream
	}
	return fmt.Sprintf(`version: 1
listen:
  kafka: { address: %q%s }
  http: { address: %q }
data: { dir: %q }
systems:
  primary: { kafka: { bootstrap.servers: %q } }
streams:
  - { name: all, topics: ["*"], to: primary, acks: %s%s }
%s`, d.Addr(), listen, fmt.Sprintf("127.0.0.1:%d", d.httpPort), d.path("data"), o.Upstream, acks, stream, o.More)
}

// Addr is where producers reach the gateway, "127.0.0.1:port"; the same after every Restart.
func (d *Daemon) Addr() string { return fmt.Sprintf("127.0.0.1:%d", d.port) }

// HTTP is the base of the gateway's pages, "http://127.0.0.1:port".
func (d *Daemon) HTTP() string { return fmt.Sprintf("http://127.0.0.1:%d", d.httpPort) }

// Output is the file with what the gateway printed, all its lives in one.
func (d *Daemon) Output() string { return d.path("streamdown.log") }

// Config is the file that the gateway is run with, for the command's other verbs.
func (d *Daemon) Config() string { return d.path("streamdown.yaml") }

// PID is the process id of the running gateway.
func (d *Daemon) PID() int { return d.running().PID() }

// Usage is what the running gateway holds and has used since its last start.
func (d *Daemon) Usage() (process.Usage, error) { return d.running().Usage() }

// Kill ends the gateway as kill -9 does and waits until it is gone.
func (d *Daemon) Kill() error {
	d.log.Info("streamdown is killed", "addr", d.Addr())
	return d.running().Kill()
}

// Stop asks the gateway to end (SIGTERM) and waits. One that takes longer than 30 s, or than ctx, is killed, and that
// is an error, as is an exit code other than 0.
func (d *Daemon) Stop(ctx context.Context) error {
	d.log.Info("streamdown is stopped", "addr", d.Addr())
	ctx, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	p := d.running()
	if err := p.Stop(ctx); err != nil {
		return err
	}
	return p.Err()
}

// Pause halts the gateway: its connections stay open and nothing answers. Continue ends that.
func (d *Daemon) Pause() error { return d.running().Pause() }

// Continue lets a paused gateway go on.
func (d *Daemon) Continue() error { return d.running().Continue() }

// Restart starts a gateway that was killed or stopped, on the same ports and data, and returns once it is ready.
func (d *Daemon) Restart(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proc != nil {
		select {
		case <-d.proc.Done():
		default:
			return fmt.Errorf("restart streamdown: process %d still runs; Kill or Stop it first", d.proc.PID())
		}
	}
	began := time.Now()
	p, err := process.Start(process.Options{
		Path: d.binary, Args: []string{"run", "-c", d.Config()}, Dir: d.dir, Env: d.env, Log: d.Output(),
	})
	if err != nil {
		return fmt.Errorf("start streamdown: %w", err)
	}
	d.proc = p
	if err := ready(ctx, d.HTTP()+"/readyz", p); err != nil {
		return errors.Join(fmt.Errorf("start streamdown: %w", err), p.Kill())
	}
	d.log.Info("streamdown is ready", "addr", d.Addr(), "pid", p.PID(), "elapsed", time.Since(began))
	return nil
}

func (d *Daemon) running() *process.Process {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.proc
}

func (d *Daemon) path(name string) string { return filepath.Join(d.dir, name) }

// ready waits until the page says 200.
func ready(ctx context.Context, url string, p *process.Process) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := get(ctx, client, url)
		if err == nil {
			return nil
		}
		select {
		case <-p.Done():
			return errors.Join(errors.New("it ended at once"), p.Err())
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w (%w)\n%s", ctx.Err(), err, process.Tail(p.Log(), 20))
		case <-tick.C:
		}
	}
}

func get(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", url, resp.Status, strings.TrimSpace(string(body)))
	}
	return nil
}
