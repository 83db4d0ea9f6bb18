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
type script struct {
	segment int64  // size of segments; 1: each group begins one
	refuge  string // the second directory
	do      func(ctx context.Context, l *lab)
}

var scripts = map[string]script{
	"append, roll, idle, close": {400, "", func(ctx context.Context, l *lab) {
		l.name()
		for range 3 {
			l.put(ctx, 2)
		}
		l.append()
		time.Sleep(1100 * time.Millisecond)
		l.put(ctx, 1)
		l.note()
		_ = l.log.Close()
		l.note()
	}},
	"release": {400, "", func(ctx context.Context, l *lab) {
		for range 4 {
			l.put(ctx, 2)
		}
		l.free(1)
		l.put(ctx, 1)
	}},
	"failed sync": {400, "", func(ctx context.Context, l *lab) {
		l.put(ctx, 1)
		l.disk.Inject(once(vfs.OpSync))
		l.put(ctx, 2)
	}},
	"failed sync of the new segment too": {400, "", func(ctx context.Context, l *lab) {
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
	}},
	"short write": {400, "", func(ctx context.Context, l *lab) {
		l.put(ctx, 1)
		l.scarce = true
		l.disk.SetSpace(l.disk.Used()+70, syscall.ENOSPC)
		l.append()
		l.append()
		l.settle(ctx, 200*time.Millisecond)
		l.disk.SetSpace(-1, nil)
		l.settle(ctx, 5*time.Second)
	}},
	"failed release": {1, "", releaseFails},
	"failed rename": {1, "", func(ctx context.Context, l *lab) {
		l.disk.Inject(once(vfs.OpRename))
		l.put(ctx, 1)
		l.put(ctx, 1)
	}},
	"released segments are written over": {1, "", func(ctx context.Context, l *lab) {
		l.fillSpares(ctx)
		l.put(ctx, 1)
		l.free(0)
		l.put(ctx, 1)
		l.put(ctx, 1)
	}},
	"writing over fails": {1, "", func(ctx context.Context, l *lab) {
		l.fillSpares(ctx)
		l.disk.Inject(onceAt(vfs.OpWrite, "/spare-", syscall.EIO))
		l.put(ctx, 1)
		l.put(ctx, 1)
	}},
	"the sync of what is written over fails": {1, "", func(ctx context.Context, l *lab) {
		l.fillSpares(ctx)
		n := 0
		l.disk.Inject(func(op vfs.Op, _ string) error {
			if n++; op == vfs.OpSync && n < 4 {
				return syscall.EIO
			}
			return nil
		})
		l.put(ctx, 1)
		l.put(ctx, 1)
	}},
	"a released segment is renamed while another sync of its directory fails": {1, "", renameMeetsFailure},
	"to the refuge and back": {400, "/r", func(ctx context.Context, l *lab) {
		l.put(ctx, 2)
		l.disk.Inject(broken("/d"))
		l.put(ctx, 2)
		l.put(ctx, 2)
		l.disk.Inject(nil)
		time.Sleep(11 * time.Second)
		l.put(ctx, 2)
		l.put(ctx, 2)
		l.free(1)
		l.put(ctx, 1)
	}},
	"both are broken, and the first is well again": {400, "/r", func(ctx context.Context, l *lab) {
		l.put(ctx, 1)
		l.disk.Inject(broken("/"))
		l.append()
		l.settle(ctx, 300*time.Millisecond)
		l.disk.Inject(broken("/r"))
		l.settle(ctx, 5*time.Second)
		l.put(ctx, 1)
	}},
	"a name that is there although the rename failed, and then the refuge": {400, "/r", func(ctx context.Context, l *lab) {
		l.put(ctx, 1)
		l.disk.Inject(func(op vfs.Op, name string) error {
			switch {
			case strings.HasPrefix(name, "/d") && op == vfs.OpRename:
				return vfs.Fault{Err: syscall.EIO, Took: true}
			case strings.HasPrefix(name, "/d") && (op == vfs.OpRemove && !strings.HasSuffix(name, ".tmp") || op == vfs.OpSync):
				return syscall.EIO
			}
			return nil
		})
		l.append()
		l.settle(ctx, time.Second)
		l.disk.Inject(nil)
		l.put(ctx, 1)
		l.put(ctx, 1)
	}},
	"the way home fails": {reserved, "/r", func(ctx context.Context, l *lab) {
		l.disk.Inject(broken("/d"))
		l.put(ctx, 1)
		l.disk.Inject(onceAt(vfs.OpRename, "/d/0", vfs.Fault{Err: syscall.EIO, Took: true}))
		time.Sleep(12 * time.Second)
		l.put(ctx, 1)
		l.put(ctx, 1)
	}},
	"a full disk, and room again": {reserved, "", func(ctx context.Context, l *lab) {
		l.brimful(ctx)
		l.put(ctx, 1)
		l.disk.SetSpace(-1, nil)
		time.Sleep(3 * time.Second)
		l.put(ctx, 1)
	}},
	"on a full disk the segment that lets another one go cannot be named": {reserved, "", func(ctx context.Context, l *lab) {
		l.brimful(ctx)
		l.disk.Inject(onceAt(vfs.OpRename, "/d/0", vfs.Fault{Err: syscall.EIO, Took: true}))
		l.free(0)
		l.put(ctx, 1)
		l.disk.Inject(nil)
		l.disk.SetSpace(-1, nil)
		l.put(ctx, 1)
	}},
}

// put appends so many entries and waits until they are durable, or for a while.
func (l *lab) put(ctx context.Context, n int) {
	for range n {
		l.append()
	}
	l.settle(ctx, time.Second)
}

// free releases all but the last so many acknowledged entries.
func (l *lab) free(keep int) {
	l.note()
	l.floor = max(0, l.acked-keep)
	lsn := l.log.Durable()
	if l.floor < l.acked {
		lsn = l.sent[l.floor].LSN
	}
	l.drive(func() { _, _ = l.log.Release(lsn) })
	synctest.Wait()
}

// fillSpares lets a log whose segments are small have two that can be written over.
func (l *lab) fillSpares(ctx context.Context) {
	for range 4 {
		l.put(ctx, 1)
	}
	l.free(0)
}

// brimful fills the disk, so that the log is on its reserve.
func (l *lab) brimful(ctx context.Context) {
	l.scarce = true
	time.Sleep(10 * time.Millisecond) // the reserve is made
	l.disk.SetSpace(l.disk.Used(), syscall.ENOSPC)
	l.put(ctx, 1)
}

// renameMeetsFailure lets the writer's sync of the directory fail between the renaming of a released segment and the sync
// that makes it durable: that one proves nothing then, and the file must keep its content.
func renameMeetsFailure(ctx context.Context, l *lab) {
	for range 4 {
		l.put(ctx, 1)
	}
	var unsynced atomic.Bool // the writer gave a name and is about to sync it
	armed, met := false, 0   // the disk's lock guards them
	l.disk.Inject(func(op vfs.Op, name string) error {
		switch {
		case op == vfs.OpRename && strings.HasSuffix(name, ".wal"):
			armed = unsynced.Load() && met < 2 // the first time the release's own sync comes first
		case op == vfs.OpRename:
			unsynced.Store(true)
		case op == vfs.OpSyncDir && armed:
			unsynced.Store(false)
			armed, met, l.gaveUp = false, met+1, true
			return syscall.EIO
		case op == vfs.OpSyncDir:
			unsynced.Store(false)
		}
		return nil
	})
	for range 4 {
		l.append()
		for range 1000 {
			if unsynced.Load() {
				break
			}
			time.Sleep(time.Microsecond)
		}
		l.note()
		l.floor = l.acked
		_ = l.let(l.log.Durable())
		l.settle(ctx, time.Second)
	}
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

// broken lets everything fail that changes something below dir.
func broken(dir string) func(vfs.Op, string) error {
	return func(op vfs.Op, name string) error {
		if op.Changes() && strings.HasPrefix(name, dir) {
			return syscall.EROFS
		}
		return nil
	}
}

// onceAt fails one operation on a file whose name holds some text.
func onceAt(op vfs.Op, like string, err error) func(vfs.Op, string) error {
	done := false
	return func(o vfs.Op, name string) error {
		if o == op && !done && strings.Contains(name, like) {
			done = true
			return err
		}
		return nil
	}
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
					l.segment, l.refuge = script.segment, script.refuge
					l.disk.CrashAt(p)
					if l.open() {
						script.do(t.Context(), l)
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

// tooMany is no broken promise: it says that not all was looked at.
const tooMany = "more than 1,024 ways to crash"

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
				t.Error(tooMany)
			}
			if !yield(c) {
				return
			}
		}
	}
}
