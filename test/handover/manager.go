package handover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// Manager plays systemd's part: it hears what a service says and keeps the descriptors that it is given.
type Manager struct {
	Address string

	conn *net.UnixConn
	done chan struct{}

	mu    sync.Mutex // guards the following
	heard []string
	read  int // of heard
	moved chan struct{}
	kept  map[string]*os.File
}

// Manage listens in dir until Close.
func Manage(dir string) (*Manager, error) {
	m := &Manager{Address: filepath.Join(dir, "notify"), done: make(chan struct{}), moved: make(chan struct{}), kept: map[string]*os.File{}}
	var err error
	if m.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.Address, Net: "unixgram"}); err != nil {
		return nil, err
	}
	go m.hear()
	return m, nil
}

func (m *Manager) hear() {
	defer close(m.done)
	b, oob := make([]byte, 4096), make([]byte, 256)
	for {
		n, oobn, _, _, err := m.conn.ReadMsgUnix(b, oob)
		if err != nil {
			return
		}
		text := string(b[:n])
		m.mu.Lock()
		m.heard = append(m.heard, text)
		if list, err := syscall.ParseSocketControlMessage(oob[:oobn]); err == nil && len(list) > 0 {
			if fds, err := syscall.ParseUnixRights(&list[0]); err == nil && len(fds) == 1 {
				name := text[strings.Index(text, "FDNAME=")+len("FDNAME="):]
				if old := m.kept[name]; old != nil {
					_ = old.Close() // systemd keeps one of two that are the same
				}
				m.kept[name] = os.NewFile(uintptr(fds[0]), name)
			}
		}
		close(m.moved)
		m.moved = make(chan struct{})
		m.mu.Unlock()
	}
}

// Await waits for the next thing heard that begins like this, and returns it.
func (m *Manager) Await(ctx context.Context, begin string) (string, error) {
	for {
		m.mu.Lock()
		for m.read < len(m.heard) {
			text := m.heard[m.read]
			m.read++
			if strings.HasPrefix(text, begin) {
				m.mu.Unlock()
				return text, nil
			}
		}
		moved, all := m.moved, m.heard
		m.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return "", fmt.Errorf("%q is not heard: %w; heard was %q", begin, ctx.Err(), all)
		}
	}
}

// Kept returns what is kept, in the order of names.
func (m *Manager) Kept(names ...string) ([]*os.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var files []*os.File
	for _, name := range names {
		f := m.kept[name]
		if f == nil {
			return nil, fmt.Errorf("nothing is kept for %s", name)
		}
		files = append(files, f)
	}
	return files, nil
}

// Close ends it and drops what it keeps.
func (m *Manager) Close() error {
	err := m.conn.Close()
	<-m.done
	for _, f := range m.kept {
		err = errors.Join(err, f.Close())
	}
	return err
}
