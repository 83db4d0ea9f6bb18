package vfs

import (
	"errors"
	iofs "io/fs"
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

	space int64 // bytes that all files may have together; negative = any
	used  int64
	full  error
}

// verdict is how an operation ends.
type verdict struct {
	took bool  // its effect is there
	n    int   // of a write: bytes that are there
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

// SetSpace bounds what all files may have together, in bytes: a write above it goes short and fails with why (ENOSPC,
// EDQUOT), as does making a file. A negative number means any size.
func (m *Mem) SetSpace(bytes int64, why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.space, m.full = bytes, why
}

// Used returns the bytes of all files.
func (m *Mem) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
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

// begin locks the disk and says how an operation on it ends; size is that of a write.
func (m *Mem) begin(op Op, name string, size int) (v verdict, unlock func()) {
	m.mu.Lock()
	if slow := m.slow; slow != nil {
		m.mu.Unlock()
		slow(op, name)
		m.mu.Lock()
	}
	v = m.judgeLocked(op, name, size)
	if v.err != nil {
		v.err = &iofs.PathError{Op: string(op), Path: name, Err: v.err}
	}
	return v, m.mu.Unlock
}

func (m *Mem) judgeLocked(op Op, name string, size int) verdict {
	if m.dead {
		return verdict{err: ErrCrashed}
	}
	if op.Changes() {
		if m.ops++; m.ops == m.crashAt {
			m.dead = true
			return verdict{took: op != OpSync && op != OpSyncDir, n: size, err: ErrCrashed}
		}
	}
	if m.fault != nil {
		if err := m.fault(op, name); err != nil {
			var f Fault
			switch {
			case !errors.As(err, &f):
				// A failed write may have written a part: half of it, so that a reader meets a torn entry.
				return verdict{n: size / 2, err: err}
			case f.Took:
				return verdict{took: true, n: size, err: f.Err}
			default:
				return verdict{n: min(f.N, size), err: f.Err}
			}
		}
	}
	if m.space >= 0 {
		switch left := max(m.space-m.used, 0); {
		case op == OpWrite && int64(size) > left:
			return verdict{n: int(left), err: m.noSpace()}
		case op == OpCreate && left == 0:
			return verdict{err: m.noSpace()}
		}
	}
	return verdict{took: true, n: size}
}

func (m *Mem) noSpace() error {
	if m.full != nil {
		return m.full
	}
	return syscall.ENOSPC
}
