package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// ErrExited is what a signal gets that came after the process had ended.
var ErrExited = errors.New("the process has ended")

// Options says what to run. Path and Log are required.
type Options struct {
	Path string   // program; looked up in PATH when it has no slash
	Args []string // without the program's name
	Env  []string // added to the environment of the test
	Dir  string   // working directory; empty = that of the test

	// Log is the file that the output is appended to, created with its directory when it is missing.
	Log string
	// Stdout and Stderr take the lines of one stream, without their end, instead of Log. The bytes are valid only
	// during the call. Each is called by one goroutine; a call that blocks holds the child back.
	Stdout, Stderr func(line []byte)
	// Stdin asks for a pipe to the child's standard input; without it the child reads nothing.
	Stdin bool
}

// Process is a child that was started. Its methods may be called concurrently.
type Process struct {
	// Stdin is the pipe to the child, nil unless it was asked for. The child sees its end when it is closed.
	Stdin io.WriteCloser

	cmd  *exec.Cmd
	name string
	log  string
	done chan struct{}
	err  error // readable once done is closed
}

// Start runs a child. It lives until it ends by itself, is signalled, or the test process ends. Whoever starts a
// process waits for it, by Wait or Kill.
func Start(o Options) (*Process, error) {
	name := filepath.Base(o.Path)
	if err := os.MkdirAll(filepath.Dir(o.Log), 0o755); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	log, err := os.OpenFile(o.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	cmd := exec.Command(o.Path, o.Args...)
	cmd.Dir, cmd.Env = o.Dir, append(os.Environ(), o.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Stdout, cmd.Stderr = log, log
	var out, diag *lines
	if o.Stdout != nil {
		out = &lines{take: o.Stdout}
		cmd.Stdout = out
	}
	if o.Stderr != nil {
		diag = &lines{take: o.Stderr}
		cmd.Stderr = diag
	}
	p := &Process{cmd: cmd, name: name, log: o.Log, done: make(chan struct{})}
	if o.Stdin {
		if p.Stdin, err = cmd.StdinPipe(); err != nil {
			return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), log.Close())
		}
	}
	started := make(chan error)
	go func() {
		defer close(p.done)
		// The kernel sends the death signal when the *thread* that started the child ends, so this one stays.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		out.end()
		diag.end()
		if err := log.Close(); p.err == nil {
			p.err = err
		}
	}()
	if err := <-started; err != nil {
		<-p.done
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), log.Close())
	}
	return p, nil
}

// PID is the child's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Log is the file that the child's output goes to.
func (p *Process) Log() string { return p.log }

// Done is closed once the child has ended and all its output was taken.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says how the child ended: nil for exit code 0. It is valid once Done is closed.
func (p *Process) Err() error {
	if p.err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w; its last words in %s:\n%s", p.name, p.err, p.log, Tail(p.log, 10))
}

// Wait waits for the child's end by itself. When ctx ends first, the child is killed and ctx's error returned.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.Err()
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("wait for %s: %w", p.name, ctx.Err()), p.Kill())
	}
}

// Signal sends sig to the child and everything in its process group.
func (p *Process) Signal(sig syscall.Signal) error {
	select {
	case <-p.done:
		return fmt.Errorf("signal %s: %w", p.name, ErrExited)
	default:
	}
	if err := syscall.Kill(-p.PID(), sig); err != nil {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	return nil
}

// Kill ends the child at once, as kill -9 does, and waits until it is gone. A child that has ended is no error.
func (p *Process) Kill() error {
	err := p.Signal(syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) || errors.Is(err, ErrExited) {
		err = nil
	}
	if err == nil {
		<-p.done
	}
	return err
}

// Stop asks the child to end (SIGTERM) and waits. When ctx ends first, the child is killed and ctx's error returned.
// How the child ended is in Err: a JVM that was asked to end says 143, which is no fault.
func (p *Process) Stop(ctx context.Context) error {
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, ErrExited) && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("stop %s: %w", p.name, ctx.Err()), p.Kill())
	}
}

// Pause stops the child's clockwork (SIGSTOP): its connections stay open and nothing answers.
func (p *Process) Pause() error { return p.Signal(syscall.SIGSTOP) }

// Continue lets a paused child go on (SIGCONT).
func (p *Process) Continue() error { return p.Signal(syscall.SIGCONT) }

// Usage is what the child holds in memory and used of the processor so far, read from /proc.
func (p *Process) Usage() (Usage, error) { return UsageOf(p.PID()) }

// Tail returns the last n lines of a file, or why it cannot be read. It is meant for messages to people.
func Tail(path string, n int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return "  " + strings.Join(all[max(0, len(all)-n):], "\n  ")
}
