package wal_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/streamdown/streamdown/vfs"
)

// fork is a lab that goes on from another one's past with a disk of its own.
func (l *lab) fork(disk *vfs.Mem) *lab {
	f := newLab(7, l.plant)
	l.mu.Lock()
	defer l.mu.Unlock()
	f.disk, f.segment, f.refuge, f.wrong = disk, l.segment, l.refuge, l.wrong
	f.sent, f.acked, f.serial = slices.Clone(l.sent), l.acked, l.serial
	f.lanes, f.named, f.next = slices.Clone(l.lanes), l.named, slices.Clone(l.next)
	f.floor, f.gaveUp, f.scarce = l.floor, l.gaveUp, l.scarce
	return f
}

// A script is what a log does, the same each time, until the power goes.
type script func(ctx context.Context, l *lab)

// Those whose name ends with a star begin a new segment for each group.
var scripts = map[string]script{
	"append, roll, idle, close": func(ctx context.Context, l *lab) {
		l.name()
		for range 3 {
			l.append()
			l.append()
			l.settle(ctx, time.Second)
		}
		l.append()
		time.Sleep(1100 * time.Millisecond)
		l.append()
		l.settle(ctx, time.Second)
		l.note()
		_ = l.log.Close()
		l.note()
	},
	"release": func(ctx context.Context, l *lab) {
		for range 4 {
			l.append()
			l.append()
			l.settle(ctx, time.Second)
		}
		l.note()
		l.floor = max(0, l.acked-1)
		lsn := l.log.Durable()
		if l.acked > 0 {
			lsn = l.sent[l.floor].LSN
		}
		l.drive(func() { _, _ = l.log.Release(lsn) })
		l.append()
		l.settle(ctx, time.Second)
	},
	"failed sync": func(ctx context.Context, l *lab) {
		l.append()
		l.settle(ctx, time.Second)
		l.disk.Inject(once(vfs.OpSync))
		l.append()
		l.append()
		l.settle(ctx, time.Second)
	},
	"failed sync of the new segment too": func(ctx context.Context, l *lab) {
		l.append()
		n := 0
		l.disk.Inject(func(op vfs.Op, _ string) error {
			if n++; op == vfs.OpSync && n < 5 {
				return syscall.EIO
			}
			return nil
		})
		l.append()
		l.settle(ctx, 2*time.Second)
	},
	"short write": func(ctx context.Context, l *lab) {
		l.append()
		l.settle(ctx, time.Second)
		l.scarce = true
		l.disk.SetSpace(l.disk.Used()+70, syscall.ENOSPC)
		l.append()
		l.append()
		l.settle(ctx, 200*time.Millisecond)
		l.disk.SetSpace(-1, nil)
		l.settle(ctx, 5*time.Second)
	},
	"failed release*": releaseFails,
	"failed rename*": func(ctx context.Context, l *lab) {
		l.disk.Inject(once(vfs.OpRename))
		l.append()
		l.settle(ctx, time.Second)
		l.append()
		l.settle(ctx, time.Second)
	},
}

// releaseFails lets a release fail to sync the directory while the writer has a new name in it that is not synced yet.
func releaseFails(ctx context.Context, l *lab) {
	for range 4 {
		l.append()
		l.settle(ctx, time.Second)
	}
	var renamed, armed atomic.Bool
	l.disk.Inject(func(op vfs.Op, _ string) error {
		if op == vfs.OpRename {
			renamed.Store(true)
		}
		if op == vfs.OpSyncDir && armed.CompareAndSwap(true, false) {
			return syscall.EIO
		}
		return nil
	})
	l.append()
	for range 1000 {
		if renamed.Load() {
			break
		}
		time.Sleep(time.Microsecond)
	}
	l.gaveUp = true
	armed.Store(true)
	l.note()
	l.floor = l.acked
	l.drive(func() { _, _ = l.log.Release(l.log.Durable()) })
	l.settle(ctx, time.Second)
	l.append()
	l.settle(ctx, time.Second)
}

// once fails one operation.
func once(op vfs.Op) func(vfs.Op, string) error {
	done := false
	return func(o vfs.Op, _ string) error {
		if o == op && !done {
			done = true
			return syscall.EIO
		}
		return nil
	}
}

// TestEveryCrashPoint cuts the power at every operation of short runs, goes on with every disk that whole writes and
// names can leave (and with that of a killed process), and does the same to every operation of the recovery.
func TestEveryCrashPoint(t *testing.T) {
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				points, disks := everyPoint(t, t.Context(), func(p int) *lab {
					l := newLab(3, nil)
					l.segment = 400
					if strings.HasSuffix(name, "*") {
						l.segment = 1
					}
					l.disk.CrashAt(p)
					if l.open() {
						script(t.Context(), l)
						synctest.Wait()
					}
					return l
				}, *simPoints)
				t.Logf("%d crash points, %d disks", points, disks)
			})
		})
	}
}

// everyPoint calls start with the power going at the first, second, … operation until it stays on. What each leaves is
// opened and checked; at every stride-th point the opening is itself cut at every operation.
func everyPoint(t *testing.T, ctx context.Context, start func(point int) *lab, stride int) (points, disks int) {
	t.Helper()
	for p := 1; ; p++ {
		l := start(p)
		points++
		dead := l.disk.Dead()
		for left := range l.left(t) {
			disks++
			f := l.fork(left)
			if stride > 0 && p%stride == 0 {
				_, n := everyPoint(t, ctx, func(point int) *lab {
					f := l.fork(left.Kill(false))
					f.disk.CrashAt(f.disk.Ops() + point)
					f.open()
					return f
				}, 0)
				disks += n
			}
			if !f.open() {
				f.fail("refused", "cannot be opened")
			} else {
				f.readBack()
				if p%8 == 0 {
					f.heal(ctx)
				}
				if *simPoints == 1 || p%4 == 2 {
					f.verify()
				}
				f.disk.Halt()
				_ = f.log.Close()
			}
			if f.wrong != nil {
				t.Fatalf("power cut at operation %d: %v", p, f.wrong)
			}
		}
		if !dead {
			return points, disks
		}
	}
}

// left yields what a crash can leave of the lab's disk, and ends its log.
func (l *lab) left(t *testing.T) func(yield func(*vfs.Mem) bool) {
	disk := l.disk
	l.leave(nil)
	if l.wrong != nil {
		t.Fatal(l.wrong)
	}
	return func(yield func(*vfs.Mem) bool) {
		for _, evict := range []bool{false, true} {
			if !yield(disk.Kill(evict)) {
				return
			}
		}
		n := 0
		for c := range disk.CrashStates(1 << 10) {
			if n++; n == 1<<10 {
				t.Fatal("more than 1,024 ways to crash")
			}
			if !yield(c) {
				return
			}
		}
	}
}
