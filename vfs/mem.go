package vfs

import (
	"fmt"
	"io"
	iofs "io/fs"
	"path/filepath"
	"sort"
	"sync"
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

type inode struct {
	data   []byte   // what a running process reads
	synced int      // below this the bytes are on the disk, but for those in lost
	clean  int      // from synced to here a failed sync marked pages clean: nobody will write them any more
	writes []int    // where each write since the last sync that worked ended
	lost   []extent // below synced; never written back because a sync of them failed: the disk has zeros, perhaps
}

type extent struct{ from, to int }

// NewMem returns an empty disk.
func NewMem() *Mem {
	return &Mem{names: map[string]*entry{}, locks: map[string]bool{}, faults: faults{space: -1}}
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
	m.used += int64(size(ino) - size(e.now))
	e.now = ino
	e.past = append(e.past, pointing{ino, m.ops, to})
}

func size(ino *inode) int {
	if ino == nil {
		return 0
	}
	return len(ino.data)
}

type memFile struct {
	m    *Mem
	name string
	ino  *inode
}

// Create makes a new file.
func (m *Mem) Create(name string) (File, error) {
	v, unlock := m.begin(OpCreate, name, 0)
	defer unlock()
	if !v.took {
		return nil, v.err
	}
	if m.lookupLocked(name) != nil {
		return nil, &iofs.PathError{Op: "create", Path: name, Err: iofs.ErrExist}
	}
	ino := &inode{}
	m.pointLocked(name, ino, "")
	if v.err != nil {
		return nil, v.err
	}
	return &memFile{m, name, ino}, nil
}

// Open opens a file for reading.
func (m *Mem) Open(name string) (File, error) {
	v, unlock := m.begin(OpOpen, name, 0)
	defer unlock()
	if v.err != nil {
		return nil, v.err
	}
	ino := m.lookupLocked(name)
	if ino == nil {
		return nil, &iofs.PathError{Op: "open", Path: name, Err: iofs.ErrNotExist}
	}
	return &memFile{m, name, ino}, nil
}

// Rename renames a file.
func (m *Mem) Rename(oldname, newname string) error {
	v, unlock := m.begin(OpRename, oldname, 0)
	defer unlock()
	if !v.took {
		return v.err
	}
	ino := m.lookupLocked(oldname)
	if ino == nil {
		return &iofs.PathError{Op: "rename", Path: oldname, Err: iofs.ErrNotExist}
	}
	m.pointLocked(newname, ino, "")
	m.pointLocked(oldname, nil, newname)
	return v.err
}

// Remove removes a file.
func (m *Mem) Remove(name string) error {
	v, unlock := m.begin(OpRemove, name, 0)
	defer unlock()
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
		if e.now != nil && filepath.Dir(n) == dir {
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
	v, unlock := m.begin(OpSyncDir, dir, 0)
	defer unlock()
	dir = filepath.Clean(dir)
	for n, e := range m.names {
		switch {
		case len(e.past) == 1 || filepath.Dir(n) != dir:
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
	v, unlock := f.m.begin(OpWrite, f.name, len(b))
	defer unlock()
	if v.n > 0 {
		had := len(f.ino.data)
		if end := int(off) + v.n; end > had {
			f.ino.data = append(f.ino.data, make([]byte, end-had)...)
			f.ino.writes = append(f.ino.writes, end)
			f.m.used += int64(end - had)
		}
		copy(f.ino.data[off:], b[:v.n])
	}
	if v.err == nil {
		return len(b), nil // a lie, when fewer were taken
	}
	return v.n, v.err
}

func (f *memFile) ReadAt(b []byte, off int64) (int, error) {
	v, unlock := f.m.begin(OpRead, f.name, 0)
	defer unlock()
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
	v, unlock := f.m.begin(OpSync, f.name, 0)
	defer unlock()
	switch ino := f.ino; {
	case v.took:
		if ino.clean > ino.synced {
			ino.lost = append(ino.lost, extent{ino.synced, ino.clean})
		}
		ino.synced, ino.clean = len(ino.data), len(ino.data)
		ino.writes = ino.writes[:0]
	case v.err != nil && !f.m.dead:
		ino.clean = len(ino.data)
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
