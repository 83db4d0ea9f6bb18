package vfs

import (
	"fmt"
	"io"
	iofs "io/fs"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
)

// Mem is a disk in memory that keeps what is durable apart from what is only written, so that a crash can be shown.
// It models files and one level of names: a name points to an inode; content is durable by Sync, names by SyncDir.
// Every operation can be made to fail ([Mem.Inject], [Mem.SetSpace]), the power can be cut at any of them
// ([Mem.CrashAt], [Mem.Crash], [Mem.Kill]) and what lies on it can rot ([Mem.Change], [Mem.Stale], [Mem.Distort]).
// It draws no chance of its own: the same calls with the same seeds give the same bytes.
type Mem struct {
	mu    sync.Mutex // guards the following
	names map[string]*entry
	locks map[string]bool
	rooms map[string]*room // by directory
	all   room
	faults
}

// An entry is what a name points to now, and what a crash may find it pointing to.
type entry struct {
	now *inode // nil: there is no such file
	// past is what the name pointed to since the last SyncDir that worked. The first is durable, the last is now; a
	// crash leaves any one of them, for each name its own.
	past []pointing
	// stuck is the length of past when a SyncDir failed: as with Sync, a later one proves nothing for what was tried.
	stuck int
}

type pointing struct {
	ino *inode
	op  int    // the operation that made it so
	to  string // for a name that a rename took away: the name that has to have the file before this one may lose it
}

// NewMem returns an empty disk.
func NewMem() *Mem {
	return &Mem{names: map[string]*entry{}, locks: map[string]bool{}, rooms: map[string]*room{}, all: room{space: -1}}
}

func (m *Mem) lookupLocked(name string) *inode {
	if e := m.names[name]; e != nil {
		return e.now
	}
	return nil
}

// pointLocked lets name point to ino, until a SyncDir on disk perhaps only.
func (m *Mem) pointLocked(name string, ino *inode, to string) {
	e := m.names[name]
	if e == nil {
		e = &entry{past: make([]pointing, 1, 4)}
		m.names[name] = e
	}
	m.unlinkLocked(e.now)
	m.linkLocked(name, ino)
	e.now = ino
	e.past = append(e.past, pointing{ino, m.ops, to})
}

func (m *Mem) linkLocked(name string, ino *inode) {
	if ino == nil {
		return
	}
	if ino.links++; ino.links == 1 {
		ino.room = m.roomLocked(filepath.Dir(name))
		m.growLocked(ino, len(ino.data))
	}
}

func (m *Mem) unlinkLocked(ino *inode) {
	if ino == nil {
		return
	}
	if ino.links == 1 {
		m.growLocked(ino, -len(ino.data))
	}
	ino.links--
}

type memFile struct {
	m      *Mem
	name   string
	ino    *inode
	writes bool
}

// Create makes a new file.
func (m *Mem) Create(name string) (File, error) {
	v := m.begin(OpCreate, name)
	defer m.mu.Unlock()
	if !v.took {
		return nil, v.err
	}
	if left, why := m.leftLocked(m.roomLocked(filepath.Dir(name))); left == 0 && v.err == nil {
		return nil, &iofs.PathError{Op: "create", Path: name, Err: why}
	}
	if m.lookupLocked(name) != nil {
		return nil, &iofs.PathError{Op: "create", Path: name, Err: iofs.ErrExist}
	}
	ino := &inode{}
	m.pointLocked(name, ino, "")
	if v.err != nil {
		return nil, v.err
	}
	return &memFile{m, name, ino, true}, nil
}

// Open opens a file for reading.
func (m *Mem) Open(name string) (File, error) {
	v := m.begin(OpOpen, name)
	defer m.mu.Unlock()
	if v.err != nil {
		return nil, v.err
	}
	ino := m.lookupLocked(name)
	if ino == nil {
		return nil, &iofs.PathError{Op: "open", Path: name, Err: iofs.ErrNotExist}
	}
	return &memFile{m, name, ino, false}, nil
}

// Rename renames a file. Each directory is a disk of its own: from one to another it is refused (EXDEV).
func (m *Mem) Rename(oldname, newname string) error {
	v := m.begin(OpRename, oldname)
	defer m.mu.Unlock()
	if !v.took {
		return v.err
	}
	if filepath.Dir(oldname) != filepath.Dir(newname) {
		return &iofs.PathError{Op: "rename", Path: oldname, Err: syscall.EXDEV}
	}
	ino := m.lookupLocked(oldname)
	if ino == nil {
		return &iofs.PathError{Op: "rename", Path: oldname, Err: iofs.ErrNotExist}
	}
	if newname == oldname {
		return v.err
	}
	m.pointLocked(newname, ino, "")
	m.pointLocked(oldname, nil, newname)
	return v.err
}

// Remove removes a file.
func (m *Mem) Remove(name string) error {
	v := m.begin(OpRemove, name)
	defer m.mu.Unlock()
	if !v.took {
		return v.err
	}
	if m.lookupLocked(name) == nil {
		return &iofs.PathError{Op: "remove", Path: name, Err: iofs.ErrNotExist}
	}
	m.pointLocked(name, nil, "")
	return v.err
}

// List lists a directory.
func (m *Mem) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return nil, &iofs.PathError{Op: "list", Path: dir, Err: ErrCrashed}
	}
	dir = filepath.Clean(dir)
	var names []string
	for n, e := range m.names {
		if base, ok := within(dir, n); ok && e.now != nil {
			names = append(names, base)
		}
	}
	sort.Strings(names)
	return names, nil
}

// MkdirAll has nothing to do: directories are implied by names.
func (m *Mem) MkdirAll(string) error { return nil }

// SyncDir makes the names in dir durable.
func (m *Mem) SyncDir(dir string) error {
	v := m.begin(OpSyncDir, dir)
	defer m.mu.Unlock()
	dir = filepath.Clean(dir)
	for n, e := range m.names {
		if _, ok := within(dir, n); !ok {
			continue
		}
		switch {
		case len(e.past) == 1:
		case !v.took && v.err != nil && !m.dead:
			e.stuck = len(e.past)
		case v.took && len(e.past) > e.stuck:
			e.past = append(e.past[:0], e.past[len(e.past)-1])
			e.stuck = 0
			if e.now == nil {
				delete(m.names, n)
			}
		}
	}
	return v.err
}

// within returns the name of path in dir, if it lies in dir itself.
func within(dir, path string) (base string, ok bool) {
	if len(path) <= len(dir)+1 || path[len(dir)] != filepath.Separator || path[:len(dir)] != dir {
		return "", false
	}
	base = path[len(dir)+1:]
	return base, strings.IndexByte(base, filepath.Separator) < 0
}

type memLock struct {
	m    *Mem
	name string
}

// Lock takes a lock that Close gives back.
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return nil, &iofs.PathError{Op: "lock", Path: name, Err: ErrCrashed}
	}
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

func (f *memFile) WriteAt(b []byte, off int64) (int, error) {
	v := f.m.begin(OpWrite, f.name)
	defer f.m.mu.Unlock()
	if !f.writes {
		return 0, &iofs.PathError{Op: string(OpWrite), Path: f.name, Err: syscall.EBADF}
	}
	n := len(b)
	switch {
	case v.took:
		if grow := int(off) + n - len(f.ino.data); grow > 0 && v.err == nil {
			if left, why := f.m.leftLocked(f.ino.room); int64(grow) > left {
				n = max(0, n-grow+int(left))
				v.err = &iofs.PathError{Op: string(OpWrite), Path: f.name, Err: why}
			}
		}
	case v.half:
		n /= 2
	default:
		n = min(n, v.n)
	}
	if n > 0 {
		had := len(f.ino.data)
		f.ino.write(int(off), b[:n])
		if f.ino.links > 0 {
			f.m.growLocked(f.ino, len(f.ino.data)-had)
		}
	}
	if v.err == nil {
		return len(b), nil // a lie, when fewer were taken
	}
	return n, v.err
}

func (f *memFile) ReadAt(b []byte, off int64) (int, error) {
	v := f.m.begin(OpRead, f.name)
	defer f.m.mu.Unlock()
	if v.err != nil {
		return 0, v.err
	}
	if off >= int64(len(f.ino.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.ino.data[off:])
	if f.m.distort != nil {
		f.m.distort(f.name, off, b[:n])
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// Sync makes the file's bytes durable. One that fails leaves its pages marked clean, as Linux does ("fsyncgate"): they
// can be read until they are evicted, and no later Sync writes them.
func (f *memFile) Sync() error {
	v := f.m.begin(OpSync, f.name)
	defer f.m.mu.Unlock()
	switch {
	case v.took:
		f.ino.sync()
	case v.err != nil && !f.m.dead:
		f.ino.giveUp()
	}
	return v.err
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.m.dead {
		return 0, &iofs.PathError{Op: "stat", Path: f.name, Err: ErrCrashed}
	}
	return int64(len(f.ino.data)), nil
}

func (f *memFile) Close() error { return nil }
