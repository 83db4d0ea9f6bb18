package vfs

import (
	"errors"
	iofs "io/fs"
	"math"
	"path/filepath"
	"syscall"
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

// Changes reports whether the operation can change what lies on the disk.
func (o Op) Changes() bool { return o != OpOpen && o != OpRead }

// ErrCrashed is what every operation answers on a disk whose power was cut.
var ErrCrashed = errors.New("the power is off")

// Fault is an error for [Mem.Inject] that says more than "it failed". The four ways an operation can end:
//
//	Err  Took
//	set  no    it failed and did nothing (Sync: its pages are lost, and marked clean)
//	set  yes   it failed, or so it says: the effect is there all the same
//	nil  no    it lies: success is reported and nothing was done
//	nil  yes   no fault
type Fault struct {
	Err  error
	Took bool
	N    int // of a write that did not take: the bytes that went through
}

// Error makes a Fault an error, so that a function given to Inject can return it.
func (f Fault) Error() string {
	if f.Err == nil {
		return "success that is none"
	}
	return f.Err.Error()
}

// faults is what can go wrong on a disk just now. Mem.mu guards it.
type faults struct {
	fault   func(op Op, name string) error
	slow    func(op Op, name string)
	distort func(name string, off int64, b []byte)

	ops     int // operations so far that can change the disk
	crashAt int // the one at which the power goes; 0 = none
	dead    bool
}

// room is what files take and may take.
type room struct {
	used  int64 // bytes of all files that have a name
	space int64 // that they may have; negative = any
	full  error // what a write above it gets
}

// verdict is how an operation ends.
type verdict struct {
	took bool  // its effect is there
	n    int   // of a write that did not take: bytes that are there all the same
	half bool  // or half of them
	err  error // what the caller gets
}

// Inject sets a function that is asked before every operation; an error it returns is the operation's, a [Fault] says
// more. A Write that gets another error writes half of its bytes. A failed Sync marks nothing durable and its pages
// clean. It is called with the disk locked. Nil ends injection.
func (m *Mem) Inject(f func(op Op, name string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = f
}

// Slow sets a function that is called before every operation, without a lock: it may wait. Nil ends that.
func (m *Mem) Slow(f func(op Op, name string)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.slow = f
}

// SetSpace bounds what all files may have together, in bytes: a write that makes one longer goes short there and fails
// with why (ENOSPC, EDQUOT), as does making a file when nothing is left. Writing over what is there takes no space. A
// negative number means any size.
func (m *Mem) SetSpace(bytes int64, why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all.space, m.all.full = bytes, why
}

// SetSpaceIn does the same for the files of one directory.
func (m *Mem) SetSpaceIn(dir string, bytes int64, why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.roomLocked(dir)
	r.space, r.full = bytes, why
}

// Used returns the bytes of all files.
func (m *Mem) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.all.used
}

// UsedIn returns the bytes of the files of one directory.
func (m *Mem) UsedIn(dir string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.roomLocked(dir).used
}

// Free returns what [Mem.SetSpace] and [Mem.SetSpaceIn] leave.
func (m *Mem) Free(dir string) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return 0, &iofs.PathError{Op: "statfs", Path: dir, Err: ErrCrashed}
	}
	left, _ := m.leftLocked(m.roomLocked(dir))
	return uint64(left), nil //nolint:gosec // not negative
}

func (m *Mem) roomLocked(dir string) *room {
	dir = filepath.Clean(dir)
	r := m.rooms[dir]
	if r == nil {
		r = &room{space: -1}
		m.rooms[dir] = r
	}
	return r
}

// leftLocked says by how many bytes a file with that room may grow, and why by no more.
func (m *Mem) leftLocked(r *room) (int64, error) {
	left, full := int64(math.MaxInt64), error(nil)
	for _, r := range [...]*room{&m.all, r} {
		if r == nil || r.space < 0 || r.space-r.used >= left {
			continue
		}
		left, full = max(r.space-r.used, 0), r.full
	}
	if full == nil {
		full = syscall.ENOSPC
	}
	return left, full
}

// growLocked counts bytes that a file takes from now on.
func (m *Mem) growLocked(ino *inode, bytes int) {
	m.all.used += int64(bytes)
	ino.room.used += int64(bytes)
}

// Ops returns how many operations that can change the disk were tried so far.
func (m *Mem) Ops() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ops
}

// CrashAt cuts the power at the n-th operation that can change the disk, counted as [Mem.Ops] does: its effect may be
// found after the crash or not, and it and everything later answers ErrCrashed. With n = 0 the power stays on.
func (m *Mem) CrashAt(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crashAt = n
}

// Halt cuts the power now.
func (m *Mem) Halt() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
}

// Dead reports whether the power is off.
func (m *Mem) Dead() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dead
}

// begin locks the disk and says how an operation on it ends.
func (m *Mem) begin(op Op, name string) verdict {
	m.mu.Lock()
	if slow := m.slow; slow != nil {
		m.mu.Unlock()
		slow(op, name)
		m.mu.Lock()
	}
	v := m.judgeLocked(op, name)
	if v.err != nil {
		v.err = &iofs.PathError{Op: string(op), Path: name, Err: v.err}
	}
	return v
}

func (m *Mem) judgeLocked(op Op, name string) verdict {
	if m.dead {
		return verdict{err: ErrCrashed}
	}
	if op.Changes() {
		if m.ops++; m.ops == m.crashAt {
			m.dead = true
			return verdict{took: op != OpSync && op != OpSyncDir, err: ErrCrashed}
		}
	}
	if m.fault == nil {
		return verdict{took: true}
	}
	err := m.fault(op, name)
	var f Fault
	switch {
	case err == nil:
		return verdict{took: true}
	case !errors.As(err, &f):
		// A failed write may have written a part: half of it, so that a reader meets a torn entry.
		return verdict{half: true, err: err}
	}
	return verdict{took: f.Took, n: f.N, err: f.Err}
}
