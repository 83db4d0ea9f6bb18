package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// variable tells a process which descriptor leads to the one before it.
const variable = "STREAMDOWN_HANDOVER_FD"

// Heir is the new process's side of an upgrade. Its methods are called in the order in which they stand here.
type Heir struct{ old *peer }

// Inherit returns the new process's side, or nil if this process follows no other. It must be called once.
func Inherit(getenv func(string) string) (*Heir, error) {
	text := getenv(variable)
	if text == "" {
		return nil, nil
	}
	if err := os.Unsetenv(variable); err != nil {
		return nil, err
	}
	fd, err := strconv.Atoi(text)
	if err != nil || fd < firstFD {
		return nil, fmt.Errorf("%s=%q is no descriptor; it is set by an upgrade, and by nobody else", variable, text)
	}
	unix.CloseOnExec(fd)
	p, err := adopt(os.NewFile(uintptr(fd), "handover"))
	if err != nil {
		return nil, err
	}
	return &Heir{p}, nil
}

// Ready says that this process could serve, and waits until the old one has let go of the data directory. It returns
// the sockets. The old process takes as long as its open requests do.
func (h *Heir) Ready(ctx context.Context, version string) (*Sockets, error) {
	stop := context.AfterFunc(ctx, func() { _ = h.old.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := h.old.send(message{Say: "ready", Version: version, PID: os.Getpid()}, nil); err != nil {
		return nil, err
	}
	m, fds, err := h.old.receive("yours")
	if err != nil {
		return nil, err
	}
	s := &Sockets{}
	var errs []error
	for i, fd := range fds {
		if i >= len(m.Sockets) {
			errs = append(errs, errors.New("the old process sent more descriptors than names"), unix.Close(fd))
			continue
		}
		if err := s.take(m.Sockets[i].Name, m.Sockets[i].Asked, fd); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Serving says that this process serves, and waits until the old one has told that to whom it may concern: it hangs up.
func (h *Heir) Serving(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = h.old.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	err := h.old.send(message{Say: "serving", PID: os.Getpid()}, nil)
	if err == nil {
		_, err = h.old.conn.Read(make([]byte, 1))
		if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	return errors.Join(err, h.old.close())
}

// Abandon tells the old process, by hanging up, that this one will not serve.
func (h *Heir) Abandon() error { return h.old.close() }
