//go:build real

package disk

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

var (
	cycles = flag.Int("cycles", number("CYCLES", 100), "power cuts for each file system; the environment's CYCLES too")
	seed   = flag.Uint64("seed", 1, "of the power cuts")
)

// number is that in an environment variable, or otherwise.
func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// shutdown is EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN, which are one number: _IOR('X', 125, __u32).
const shutdown = 0x8004587d

// Flags of the ioctl: 0 syncs all before, 1 the journal only, 2 nothing, as a power cut does.
const (
	flushAll     = 0
	flushJournal = 1
	flushNothing = 2
)

// A drive is a file system on a loop device.
type drive struct {
	kind, image, loop, dir string
	options                string
}

// newDrive makes one, or skips the test with the reason.
func newDrive(t *testing.T, kind string, megabytes int64) *drive {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("loop devices and mounts need root")
	}
	for _, tool := range []string{"losetup", "mount", "umount", "mkfs." + kind} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("there is no %s; to run this: apt-get install util-linux e2fsprogs xfsprogs", tool)
		}
	}
	base := t.TempDir()
	d := &drive{kind: kind, image: filepath.Join(base, "image"), dir: filepath.Join(base, "mnt")}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, megabytes<<20); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "-f", "--show", d.image).CombinedOutput()
	if err != nil {
		t.Skipf("no loop device: %v %s", err, out)
	}
	d.loop = strings.TrimSpace(string(out))
	t.Cleanup(func() {
		_ = exec.Command("umount", d.dir).Run() // it may not be mounted
		if out, err := exec.Command("losetup", "-d", d.loop).CombinedOutput(); err != nil {
			t.Errorf("losetup -d: %v %s", err, out)
		}
	})
	if out, err := exec.Command("mkfs."+kind, "-q", d.loop).CombinedOutput(); err != nil {
		t.Skipf("mkfs.%s: %v %s", kind, err, out)
	}
	if err := d.mount(); err != nil {
		t.Skipf("this machine mounts no %s: %v", kind, err)
	}
	return d
}

func (d *drive) mount() error {
	if err := unix.Mount(d.loop, d.dir, d.kind, 0, d.options); err != nil {
		return fmt.Errorf("mount %s: %w", d.loop, err)
	}
	return nil
}

// cut cuts the power.
func (d *drive) cut(flag int) error {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), shutdown, flag); err != nil {
		return fmt.Errorf("shutdown ioctl: %w", err)
	}
	return nil
}

// again mounts the file system anew, which recovers it.
func (d *drive) again() error {
	if err := unix.Unmount(d.dir, 0); err != nil {
		return fmt.Errorf("unmount: %w", err)
	}
	return d.mount()
}

// TestAckedSurvivesPowerCuts writes a log on a real file system and cuts the power at random moments.
func TestAckedSurvivesPowerCuts(t *testing.T) {
	for kind, size := range map[string]int64{"ext4": 64, "xfs": 320} {
		t.Run(kind, func(t *testing.T) {
			d := newDrive(t, kind, size)
			rng := rand.New(rand.NewPCG(*seed, uint64(size)))
			dir := filepath.Join(d.dir, "log")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := (vfs.OS{}).SyncDir(d.dir); err != nil {
				t.Fatal(err)
			}
			var last, unsaid uint64
			flags := map[int]int{}
			torn, untrue, over := 0, 0, 0
			began := time.Now()
			for i := range *cycles {
				flag := []int{flushNothing, flushNothing, flushNothing, flushNothing, flushNothing, flushNothing, flushNothing, flushNothing, flushJournal, flushAll}[rng.IntN(10)]
				handed, acked, after, err := d.life(dir, last, flag, rng)
				if err != nil {
					t.Fatalf("cycle %d: %v", i, err)
				}
				if err := d.again(); err != nil {
					t.Fatalf("cycle %d: %v", i, err)
				}
				if last, err = audit(vfs.OS{}, dir, "", acked, handed); err != nil {
					t.Fatalf("cycle %d, flag %d, seed %d: %v", i, flag, *seed, err)
				}
				names, _ := filepath.Glob(filepath.Join(dir, "torn-*"))
				for _, n := range names {
					torn++
					_ = os.Remove(n)
				}
				flags[flag]++
				if last < after {
					untrue++
				}
				unsaid += last - acked
				over += reused(t, dir)
			}
			if over == 0 && *cycles >= 100 {
				t.Error("no segment was written over another one")
			}
			t.Logf("%s: %d power cuts (by flag: %v) in %v, %d entries, 0 lost; %d came back that nobody had been told of; "+
				"%d torn tails; %d times a sync that was under way reported success and was none; %d segments over released ones seen",
				kind, *cycles, flags, time.Since(began).Round(time.Second), last, unsaid, torn, untrue, over)
		})
	}
}

// reused counts the segments that were written over released ones.
func reused(t *testing.T, dir string) (n int) {
	t.Helper()
	list, err := wal.Segments(t.Context(), vfs.OS{}, dir, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		if s.Reused {
			n++
		}
	}
	return n
}

// life writes entries behind last until the power is cut. It returns how many were handed over, how many were
// acknowledged before the cut began, and how many when it was over. Only those before count: a process does not
// outlive a power cut, but it does outlive the ioctl, and an fdatasync that is under way meanwhile can return success
// with nothing on the disk (seen with ext4 and xfs of Linux 6.18).
func (d *drive) life(dir string, last uint64, flag int, rng *rand.Rand) (handed, acked, after uint64, err error) {
	c := &counter{}
	l, _, err := wal.Open(wal.Config{Dir: dir, SegmentSize: segmentSize, Books: []wal.Book{c}})
	if err != nil {
		return 0, 0, 0, err
	}
	if c.last.Load() != last {
		return 0, 0, 0, fmt.Errorf("two recoveries found %d and %d entries", last, c.last.Load())
	}
	cut := make(chan error, 1)
	timer := time.AfterFunc(time.Duration(rng.IntN(40_000))*time.Microsecond, func() {
		acked = c.last.Load()
		cut <- d.cut(flag)
	})
	defer timer.Stop()
	over := func(err error) (uint64, uint64, uint64, error) {
		if cerr := l.Close(); err == nil && cerr == nil && flag != flushAll && c.last.Load() < handed {
			err = fmt.Errorf("close reports success, %d of %d entries are durable", c.last.Load(), handed)
		}
		return handed, acked, c.last.Load(), err
	}
	pace := rng.IntN(3)
	for n := last + 1; n <= last+3000; n++ {
		select {
		case err := <-cut:
			return over(err)
		default:
		}
		e := entry(n)
		if _, err := l.Append(e); err != nil {
			return over(err)
		}
		handed = n
		if pace == 0 || pace == 1 && rng.IntN(8) == 0 {
			for l.Durable() < e.End() && l.Stats().Stuck == "" {
				select {
				case <-l.Changed():
				case <-time.After(time.Millisecond):
				}
			}
		}
		if rng.IntN(6) == 0 {
			_, _ = l.Release(l.Durable()) // the power may be off
		}
	}
	return over(<-cut)
}
