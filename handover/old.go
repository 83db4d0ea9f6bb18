package handover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Program is what is started in an upgrade.
type Program struct {
	Path string   // of the binary, read when it is started: this is where the new one lies
	Args []string // without the program's name
	Env  []string // as os.Environ has it; what only the old process is meant by is left out
}

// Successor is the old process's side of an upgrade: a new process that was started. Its methods are called in the
// order in which they stand here, by one goroutine.
type Successor struct {
	cmd  *exec.Cmd
	peer *peer
	done chan struct{} // it has ended
	err  error         // readable once done is closed
}

// Launch starts the new process. Its output goes where ours does.
func Launch(p Program) (*Successor, error) {
	mine, theirs, err := pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close() // the child has its own
	cmd := exec.Command(p.Path, p.Args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Env = append(own(p.Env), variable+"="+strconv.Itoa(firstFD))
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", p.Path, err), mine.close())
	}
	s := &Successor{cmd: cmd, peer: mine, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.err = cmd.Wait()
	}()
	return s, nil
}

// own leaves out what the service manager said to this process alone.
func own(env []string) (out []string) {
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		switch name {
		case "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", variable:
		default:
			out = append(out, e)
		}
	}
	return out
}

// PID is the new process's id.
func (s *Successor) PID() int { return s.cmd.Process.Pid }

// Ready waits until the new process could serve, and returns its version. An error means that it will not.
func (s *Successor) Ready(ctx context.Context) (version string, err error) {
	m, err := s.hear(ctx, "ready")
	return m.Version, err
}

// Yield hands the sockets over. This process must have closed its log before.
func (s *Successor) Yield(sockets *Sockets) error {
	m := message{Say: "yours"}
	var files []int
	sockets.mu.Lock()
	defer sockets.mu.Unlock()
	defer func() {
		for _, fd := range files {
			_ = unix.Close(fd)
		}
	}()
	for _, h := range sockets.held[:min(len(sockets.held), mostSockets)] {
		fd, err := duplicate(h.l)
		if err != nil {
			return err
		}
		files = append(files, fd)
		m.Sockets = append(m.Sockets, socket{h.name, h.asked})
	}
	var rights []byte
	if len(files) > 0 {
		rights = syscall.UnixRights(files...)
	}
	return s.peer.send(m, rights)
}

// Serving waits until the new process serves. An error means that it does not and never will.
func (s *Successor) Serving(ctx context.Context) error {
	_, err := s.hear(ctx, "serving")
	return err
}

// hear waits for a message, for the new process's end, or for ctx.
func (s *Successor) hear(ctx context.Context, due string) (message, error) {
	stop := context.AfterFunc(ctx, func() { _ = s.peer.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	m, _, err := s.peer.receive(due)
	if err == nil {
		return m, nil
	}
	if ctx.Err() != nil {
		return m, fmt.Errorf("the new process is not %s: %w", due, context.Cause(ctx))
	}
	return m, err
}

// Leave lets the new process go on alone.
func (s *Successor) Leave() error { return s.peer.close() }

// stopPatience is how long a new process may take to end that was asked to.
const stopPatience = 10 * time.Second

// Stop ends the new process and waits until it is gone, so that it holds no lock. It returns how it ended.
func (s *Successor) Stop() error {
	_ = s.peer.close()                        // it gives up when it sees that
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	late := time.AfterFunc(stopPatience, func() { _ = s.cmd.Process.Kill() })
	defer late.Stop()
	<-s.done
	if s.err == nil {
		return errors.New("it ended with exit code 0")
	}
	return s.err
}
