package handover

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Sockets holds listening sockets beyond the life of a server. Its methods may be called concurrently.
type Sockets struct {
	mu   sync.Mutex // guards the following
	held []held
}

type held struct {
	name  string           // what it is for, such as "kafka"
	asked string           // the address as the configuration has it; empty if a service manager bound it
	l     *net.TCPListener // nobody accepts from it
	used  bool             // this process serves on it
}

// firstFD is where descriptors begin that a service manager passes.
const firstFD = 3

// FromManager takes the sockets that the service manager passed to this process: by socket activation, or kept over a
// restart. It must be called once. Descriptors that are no listening TCP sockets are closed and named in the error; the
// others are taken all the same.
func FromManager(getenv func(string) string) (*Sockets, error) {
	s := &Sockets{}
	if getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return s, nil
	}
	n, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || n <= 0 || n > 1<<10 {
		return s, nil
	}
	names := strings.Split(getenv("LISTEN_FDNAMES"), ":")
	var errs []error
	for i := range n {
		name := "unknown"
		if i < len(names) && names[i] != "" {
			name = names[i]
		}
		unix.CloseOnExec(firstFD + i)
		if err := s.take(name, "", firstFD+i); err != nil {
			errs = append(errs, err)
		}
	}
	return s, errors.Join(errs...)
}

// take makes a descriptor of a listening socket ours.
func (s *Sockets) take(name, asked string, fd int) error {
	f := os.NewFile(uintptr(fd), name)
	defer f.Close() // the listener has its own
	l, err := net.FileListener(f)
	if err != nil {
		return fmt.Errorf("descriptor %d (%s) is no listening socket: %w", fd, name, err)
	}
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return errors.Join(fmt.Errorf("descriptor %d (%s) listens on %s, which is no TCP", fd, name, l.Addr()), l.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = append(s.held, held{name: name, asked: asked, l: tcp})
	return nil
}

// Listen returns a listener for the address, with a descriptor of its own: closing it does not close the socket. The
// socket is one that is held, if one is bound there; with port 0, one that was bound for this name and address, or that the
// service manager passed under this name. Otherwise it is bound now, and held from now on.
func (s *Sockets) Listen(name, address string) (net.Listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.held {
		if h := &s.held[i]; h.fits(name, address) {
			h.name, h.asked, h.used = name, address, true
			return again(h.l)
		}
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	mine, err := again(l.(*net.TCPListener))
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	s.held = append(s.held, held{name, address, l.(*net.TCPListener), true})
	return mine, nil
}

func (h *held) fits(name, address string) bool {
	if h.name == name && h.asked == address {
		return true
	}
	want, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return false
	}
	has := h.l.Addr().(*net.TCPAddr).AddrPort()
	if want.Port == 0 {
		return h.name == name && h.asked == "" && same(want.AddrPort().Addr(), has.Addr())
	}
	return int(has.Port()) == want.Port && same(want.AddrPort().Addr(), has.Addr())
}

func same(a, b netip.Addr) bool {
	all := func(x netip.Addr) bool { return !x.IsValid() || x.IsUnspecified() }
	return a.Unmap() == b.Unmap() || all(a) && all(b)
}

// again returns another descriptor of the same socket.
func again(l *net.TCPListener) (net.Listener, error) {
	fd, err := duplicate(l)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), l.Addr().String())
	defer f.Close() // the listener has its own
	return net.FileListener(f)
}

// duplicate does not use TCPListener.File: what that returns makes the socket block when its number is asked for, and
// the accepting goroutine with it.
func duplicate(l *net.TCPListener) (int, error) {
	raw, err := l.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	var dup error
	err = raw.Control(func(old uintptr) { fd, dup = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, dup); err != nil {
		return -1, fmt.Errorf("duplicate the socket of %s: %w", l.Addr(), err)
	}
	return fd, nil
}

// Conn is a socket whose descriptor can be looked at.
type Conn = syscall.Conn

// Each visits what is held.
func (s *Sockets) Each(visit func(name string, c Conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.held {
		visit(h.name, h.l)
	}
}

// Prune closes the sockets that no Listen asked for, and returns what they were, for a person.
func (s *Sockets) Prune() (closed []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.held[:0]
	for _, h := range s.held {
		if h.used {
			kept = append(kept, h)
			continue
		}
		closed = append(closed, fmt.Sprintf("%s on %s", h.name, h.l.Addr()))
		_ = h.l.Close() // nobody waits for it
	}
	s.held = kept
	return closed
}

// Close closes all that is held; listeners that Listen returned stay open.
func (s *Sockets) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, h := range s.held {
		errs = append(errs, h.l.Close())
	}
	s.held = nil
	return errors.Join(errs...)
}
