package wal_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing/synctest"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// reserved is a size of segments that is just large enough for a log to keep a reserve.
const reserved = 256 << 10

// run lets a log live and die some times, and says what it broke. Everything follows from the seed.
func run(ctx context.Context, seed uint64, p *plant) *lab {
	l := newLab(seed, p)
	l.segment = []int64{1, 300, 1000, 3000, 9000, reserved}[l.rng.IntN(6)]
	if l.rng.IntN(3) == 0 {
		l.refuge = "/r"
	}
	for lives := 2 + l.rng.IntN(4); lives > 0 && !l.broken(); lives-- {
		if !l.begin(ctx) {
			break
		}
		l.live(ctx)
		if l.broken() {
			break
		}
		l.end(ctx)
	}
	if !l.broken() && l.begin(ctx) {
		l.heal(ctx)
	}
	if l.log != nil {
		l.disk.Halt()
		_ = l.log.Close()
	}
	return l
}

// begin opens the log, with crashes and faults on the way. In the end it must open.
func (l *lab) begin(ctx context.Context) bool {
	for l.rng.IntN(3) == 0 {
		switch l.rng.IntN(3) {
		case 0:
			l.disk.CrashAt(l.disk.Ops() + 1 + l.rng.IntN(14))
		case 1:
			l.faults(6, l.somewhere())
		case 2:
			l.fill(400)
		}
		if l.open() {
			l.check()
			if l.log == nil || l.broken() {
				return false
			}
			if l.disk.Dead() || l.rng.IntN(2) == 0 {
				l.crash()
				continue
			}
			return true
		}
		if l.broken() {
			return false
		}
		l.crash()
	}
	l.disk.CrashAt(0)
	l.calm()
	if l.refuge != "" && l.rng.IntN(8) == 0 {
		l.without()
	}
	twin := l.rng.IntN(4) == 0
	var n int
	if twin {
		n = l.twin()
	}
	if !l.open() {
		l.fail("refused", "a log on a sound disk cannot be opened")
		return false
	}
	if twin && n != l.book.n {
		l.fail("disagree", "two recoveries of the same disk found %d and %d entries", n, l.book.n)
	}
	l.check()
	return !l.broken()
}

// without opens a copy of the disk with a configuration that does not name the refuge: while that holds segments, the log
// must not open.
func (l *lab) without() {
	names, _ := l.disk.List(l.refuge)
	if !slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, ".wal") }) {
		return
	}
	disk, refuge := l.disk, l.refuge
	l.disk, l.refuge = disk.Kill(false), ""
	l.drive(func() {
		log, _, err := wal.Open(l.config(&ledger{lab: newLab(0, nil)}))
		if err == nil {
			l.fail("lost", "the log opened without its refuge, which holds %v", names)
			l.disk.Halt()
			_ = log.Close()
		}
	})
	l.disk, l.refuge = disk, refuge
}

// twin opens a copy of the disk and says how many entries it has.
func (l *lab) twin() int {
	disk := l.disk
	l.disk = disk.Kill(false)
	b := &ledger{lab: l}
	l.drive(func() {
		log, _, err := wal.Open(l.config(b))
		if err != nil {
			l.fail("refused", "a log on a sound disk cannot be opened: %v", err)
			return
		}
		l.disk.Halt()
		_ = log.Close()
	})
	l.disk = disk
	return b.n
}

// check reads the log, and now and then has it verified.
func (l *lab) check() {
	l.readBack()
	if l.rng.IntN(24) == 0 {
		l.verify()
	}
}

// verify wants `wal verify` to find nothing that a crash explains.
func (l *lab) verify() {
	l.drive(func() {
		r, err := wal.Verify(context.Background(), l.disk, "/d", nil)
		if l.disk.Dead() {
			return
		}
		if err != nil || slices.ContainsFunc(r.Damage, l.isWrong) {
			l.fail("damage", "after a crash wal verify says: %v %v", err, r.Damage)
		}
	})
}

// isWrong tells damage from a name that a failed sync of the directory gave up: that of a released segment, which came
// back without its successors.
func (l *lab) isWrong(d wal.Damage) bool {
	if !l.gaveUp || d.Kind != wal.DamageMissing && d.Kind != wal.DamageEntries {
		return true
	}
	below := l.log.Durable()
	if l.floor < len(l.sent) {
		below = l.sent[l.floor].LSN
	}
	return d.ToLSN > below
}

// live does some things with an open log. At any of them the power may go.
func (l *lab) live(ctx context.Context) {
	if l.rng.IntN(2) == 0 {
		l.disk.CrashAt(l.disk.Ops() + 1 + l.rng.IntN(30))
	}
	most := 14
	if l.rng.IntN(8) == 0 {
		most = 50
	}
	for range l.rng.IntN(most) {
		if l.disk.Dead() || l.broken() {
			return
		}
		what := l.rng.IntN(17)
		l.say("- %d", what)
		switch what {
		case 0, 1, 2, 3, 4:
			l.append()
		case 5, 6:
			for range 1 + l.rng.IntN(6) {
				l.append()
			}
		case 7, 8:
			time.Sleep(time.Duration(l.rng.IntN(300_000)))
		case 9, 10:
			l.settle(ctx, 3*time.Second)
		case 11:
			time.Sleep(1100*time.Millisecond + 123*time.Nanosecond) // an idle mark
		case 12:
			l.release()
		case 13:
			l.name()
		case 14:
			l.readBack()
		case 15:
			if l.segment == reserved && l.rng.IntN(16) == 0 {
				l.brim(ctx)
			} else {
				l.churn(ctx)
			}
		case 16:
			switch l.rng.IntN(6) {
			case 0:
				l.faults(2, l.somewhere())
			case 1:
				l.faults(12, l.somewhere())
			case 2:
				l.fill(2000)
			case 3:
				l.disk.Evict()
			case 4:
				l.calm()
			case 5:
				l.faults(1, l.somewhere())
			}
		}
	}
}

// churn fills segments and releases them, so that some are written over.
func (l *lab) churn(ctx context.Context) {
	for range 1 + l.rng.IntN(6) {
		for range 1 + l.rng.IntN(5) {
			l.append()
		}
		if !l.settle(ctx, time.Second) {
			return
		}
		if l.rng.IntN(2) == 0 {
			l.release()
		}
	}
}

// brim fills the disk to the last byte. Batches are refused then; what is no batch has its reserve.
func (l *lab) brim(ctx context.Context) {
	l.calm()
	if l.append(); !l.settle(ctx, time.Minute) || l.disk.Dead() {
		return
	}
	for range 2 { // the reserve is made when the log is at home
		time.Sleep(3*time.Second + 123*time.Nanosecond)
		if !l.log.Stats().Refuge.IsZero() {
			return
		}
	}
	names, _ := l.disk.List("/d")
	if n := strings.Count(strings.Join(names, " "), "reserve-"); n < 3 && !l.disk.Dead() {
		l.fail("stuck", "there is room and of the reserve only %d files", n)
	}
	l.scarce = true
	for _, dir := range []string{"/d", "/r"} {
		l.disk.SetSpaceIn(dir, l.disk.UsedIn(dir), syscall.ENOSPC)
	}
	if len(l.lanes) == 0 {
		l.name()
	}
	large := 0
	for i, b := range bodies().batches {
		if len(b) > len(bodies().batches[large]) {
			large = i
		}
	}
	for range 120 { // more than the reserve has room for; what is handed over at once would have to fit into a part of it
		l.batch(l.rng.IntN(len(l.lanes)), large)
		if !l.settle(ctx, time.Second) {
			break
		}
	}
	l.serial++
	l.hand(&wal.Entry{Kind: wal.KindTopic, Arrival: l.serial, Ordinal: streamdown.Ordinal(l.serial)})
	if !l.settle(ctx, 30*time.Second) && !l.disk.Dead() {
		l.fail("stuck", "the disk is full, and what is no batch cannot be written: %s", l.log.Stats().Stuck)
	}
	l.calm()
}

// end is how a life ends.
func (l *lab) end(ctx context.Context) {
	switch {
	case !l.disk.Dead() && l.rng.IntN(8) == 0:
		l.heal(ctx)
		l.note()
		err := l.log.Close()
		if err != nil && !l.disk.Dead() {
			l.fail("stuck", "close on a sound disk: %v", err)
		}
		l.note()
		l.clean = err == nil
		l.log = nil
		if l.rng.IntN(2) == 0 {
			l.leave(l.disk.Crash(l.rng))
		} else {
			l.leave(l.disk.Kill(false))
		}
	default:
		l.crash()
	}
}

// calm ends all faults.
func (l *lab) calm() {
	l.disk.Inject(nil)
	for _, dir := range []string{"/d", "/r"} {
		l.disk.SetSpaceIn(dir, -1, nil)
	}
	time.Sleep(3*time.Second + 123*time.Nanosecond) // at no moment at which a timer of the log fires: it looks whether there is room again
	l.scarce = false
}

// heal ends all faults and sees that the log does its work again.
func (l *lab) heal(ctx context.Context) {
	l.calm()
	l.append()
	if !l.settle(ctx, time.Minute) && !l.disk.Dead() {
		l.fail("stuck", "the disk is sound again and nothing becomes durable: %s", l.log.Stats().Stuck)
	}
	synctest.Wait()
	if !l.disk.Dead() {
		l.readBack()
	}
	l.home(ctx)
	if l.rng.IntN(2) == 0 {
		l.note()
		l.floor = l.acked
		if err := l.let(l.log.Durable()); err != nil && !l.disk.Dead() {
			l.fail("stuck", "a release on a sound disk: %v", err)
		}
	}
}

// home sees that a log leaves its refuge some time after the first directory is sound again.
func (l *lab) home(ctx context.Context) {
	if l.segment > 1 && l.segment < reserved || l.log.Stats().Refuge.IsZero() {
		return // it comes back with the next segment
	}
	for range 14 {
		time.Sleep(time.Minute + 123*time.Nanosecond)
		l.append()
		if !l.settle(ctx, time.Minute) || l.log.Stats().Refuge.IsZero() {
			l.did.back++
			return
		}
	}
	l.fail("stuck", "the first directory is sound again and the log stays in its refuge: %s", l.log.Stats().RefugeWhy)
}

// somewhere is a directory, or both.
func (l *lab) somewhere() string {
	if l.refuge == "" {
		return ""
	}
	return []string{"", "/d", "/d", "/r"}[l.rng.IntN(4)]
}

// fill leaves room for less than so many bytes, in one directory or both.
func (l *lab) fill(most int) {
	l.scarce = true
	why := []error{syscall.ENOSPC, syscall.EDQUOT}[l.rng.IntN(2)]
	where := l.somewhere()
	for _, dir := range []string{"/d", "/r"} {
		if where == "" || where == dir {
			l.disk.SetSpaceIn(dir, l.disk.UsedIn(dir)+int64(l.rng.IntN(most)), why)
		}
	}
}

// faults lets one of so many operations fail, in one of the ways in which it can: in a directory, or everywhere.
func (l *lab) faults(oneIn int, dir string) {
	l.scarce = true
	errs := [...]error{syscall.EIO, syscall.ENOSPC, syscall.EDQUOT, syscall.EINTR, syscall.EROFS}
	l.disk.Inject(func(op vfs.Op, name string) error {
		if !op.Changes() || !strings.HasPrefix(name, dir) || l.luck.IntN(oneIn) != 0 {
			return nil
		}
		if op == vfs.OpSyncDir {
			l.gaveUp = true
		}
		f := vfs.Fault{Err: errs[l.luck.IntN(len(errs))]}
		switch l.luck.IntN(4) {
		case 0:
			f.Took = true
		case 1, 2:
			f.N = l.luck.IntN(1000)
		}
		return f
	})
}

func (l *lab) String() string {
	return fmt.Sprintf("%d crashes, %d entries acknowledged, %d failed commits, %d cuts", l.crashes, l.entries, l.retries, l.cut)
}
