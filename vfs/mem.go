package vfs

import (
	"fmt"
	"io"
	iofs "io/fs"
	"math/rand/v2"
	"path/filepath"
	"sort"
	"sync"
)

// Op names an operation for fault injection.
type Op string

// Operations that a fault can be injected into.
const (
	OpCreate  Op = "create"
	OpOpen    Op = "open"
	OpWrite   Op = "write"
	OpSync    Op = "sync"
	OpRead    Op = "read"
	OpRename  Op = "rename"
	OpRemove  Op = "remove"
	OpSyncDir Op = "syncdir"
)

// Mem is a disk in memory that keeps what is durable apart from what is only written, so that a crash can be shown.
// It models files and one level of names: a name points to an inode; content is durable by Sync, names by SyncDir.
type Mem struct {
	mu sync.Mutex // guards the following
	// names is what a running process sees, durable is what a crash leaves.
	names, durable map[string]*inode
	locks          map[string]bool
	fault          func(op Op, name string) error
}

type inode struct {
	data   []byte
	synced int // bytes of data that are durable
}

// NewMem returns an empty disk.
func NewMem() *Mem {
	return &Mem{names: map[string]*inode{}, durable: map[string]*inode{}, locks: map[string]bool{}}
}

// Inject sets a function that is asked before every operation; an error it returns is the operation's. A failed
// Sync marks nothing durable. Nil ends injection.
func (m *Mem) Inject(f func(op Op, name string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = f
}

// Crash returns the disk as a power cut leaves it. Of each file's unsynced tail a random part of its bytes survives,
// and a name change that no SyncDir covered survives or not; rng decides. A nil rng drops all that is not durable.
func (m *Mem) Crash(rng *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMem()
	all := map[string]bool{}
	for n := range m.names {
		all[n] = true
	}
	for n := range m.durable {
		all[n] = true
	}
	sorted := make([]string, 0, len(all))
	for n := range all {
		sorted = append(sorted, n)
	}
	sort.Strings(sorted)
	for _, n := range sorted {
		ino := m.durable[n]
		if now := m.names[n]; now != ino && rng != nil && rng.IntN(2) == 0 {
			ino = now
		}
		if ino == nil {
			continue
		}
		keep := ino.synced
		if tail := len(ino.data) - keep; tail > 0 && rng != nil {
			keep += rng.IntN(tail + 1)
		}
		copied := &inode{data: append([]byte(nil), ino.data[:keep]...), synced: keep}
		c.names[n], c.durable[n] = copied, copied
	}
	return c
}

// Change gives f the bytes of a file to damage in place or to shorten; what it returns is the file's content.
func (m *Mem) Change(name string, f func([]byte) []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ino := m.names[name]; ino != nil {
		ino.data = f(append([]byte(nil), ino.data...))
		ino.synced = min(ino.synced, len(ino.data))
	}
}

func (m *Mem) checkLocked(op Op, name string) error {
	if m.fault == nil {
		return nil
	}
	if err := m.fault(op, name); err != nil {
		return &iofs.PathError{Op: string(op), Path: name, Err: err}
	}
	return nil
}

type memFile struct {
	m    *Mem
	name string
	ino  *inode
}

// Create makes a new file.
func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.checkLocked(OpCreate, name); err != nil {
		return nil, err
	}
	if m.names[name] != nil {
		return nil, &iofs.PathError{Op: "create", Path: name, Err: iofs.ErrExist}
	}
	ino := &inode{}
	m.names[name] = ino
	return &memFile{m, name, ino}, nil
}

// Open opens a file for reading.
func (m *Mem) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.checkLocked(OpOpen, name); err != nil {
		return nil, err
	}
	ino := m.names[name]
	if ino == nil {
		return nil, &iofs.PathError{Op: "open", Path: name, Err: iofs.ErrNotExist}
	}
	return &memFile{m, name, ino}, nil
}

// Rename renames a file.
func (m *Mem) Rename(oldname, newname string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.checkLocked(OpRename, oldname); err != nil {
		return err
	}
	ino := m.names[oldname]
	if ino == nil {
		return &iofs.PathError{Op: "rename", Path: oldname, Err: iofs.ErrNotExist}
	}
	delete(m.names, oldname)
	m.names[newname] = ino
	return nil
}

// Remove removes a file.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.checkLocked(OpRemove, name); err != nil {
		return err
	}
	if m.names[name] == nil {
		return &iofs.PathError{Op: "remove", Path: name, Err: iofs.ErrNotExist}
	}
	delete(m.names, name)
	return nil
}

// List lists a directory.
func (m *Mem) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for n := range m.names {
		if filepath.Dir(n) == filepath.Clean(dir) {
			names = append(names, filepath.Base(n))
		}
	}
	sort.Strings(names)
	return names, nil
}

// MkdirAll has nothing to do: directories are implied by names.
func (m *Mem) MkdirAll(string) error { return nil }

// SyncDir makes the names in dir durable.
func (m *Mem) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.checkLocked(OpSyncDir, dir); err != nil {
		return err
	}
	dir = filepath.Clean(dir)
	for n := range m.durable {
		if filepath.Dir(n) == dir && m.names[n] == nil {
			delete(m.durable, n)
		}
	}
	for n, ino := range m.names {
		if filepath.Dir(n) == dir {
			m.durable[n] = ino
		}
	}
	return nil
}

type memLock struct {
	m    *Mem
	name string
}

// Lock takes a lock that Close gives back.
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[name] {
		return nil, fmt.Errorf("%s: %w", name, ErrLocked)
	}
	m.locks[name] = true
	return memLock{m, name}, nil
}

func (l memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locks, l.name)
	return nil
}

func (f *memFile) Write(b []byte) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.checkLocked(OpWrite, f.name); err != nil {
		// A failed write may have written a part: half of it, so that a reader of the file meets a torn entry.
		f.ino.data = append(f.ino.data, b[:len(b)/2]...)
		return len(b) / 2, err
	}
	f.ino.data = append(f.ino.data, b...)
	return len(b), nil
}

func (f *memFile) ReadAt(b []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.checkLocked(OpRead, f.name); err != nil {
		return 0, err
	}
	if off >= int64(len(f.ino.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.ino.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.checkLocked(OpSync, f.name); err != nil {
		return err
	}
	f.ino.synced = len(f.ino.data)
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return int64(len(f.ino.data)), nil
}

func (f *memFile) Close() error { return nil }
