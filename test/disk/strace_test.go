//go:build real

package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// calls are the system calls of the script that change the disk, and how they can fail.
var calls = []struct {
	name, as string
	faults   []string
}{
	{"fdatasync", "fdatasync", []string{"error=EIO", "error=ENOSPC", "error=EDQUOT", "signal=SIGKILL"}},
	{"fsync", "fsync", []string{"error=EIO", "error=ENOSPC", "error=EDQUOT", "signal=SIGKILL"}},
	{"write", "pwrite64", []string{"error=EIO", "error=ENOSPC", "error=EDQUOT", "error=EINTR", "error=EROFS", "signal=SIGKILL"}},
	{"rename", "rename,renameat,renameat2", []string{"error=EIO", "error=ENOSPC", "error=EDQUOT", "error=EROFS", "signal=SIGKILL"}},
	{"unlink", "unlink,unlinkat", []string{"error=EIO", "error=EROFS", "signal=SIGKILL"}},
	{"create", "openat", []string{"error=ENOSPC", "error=EDQUOT", "error=EMFILE", "error=EROFS", "signal=SIGKILL"}},
	{"ftruncate and the like", "ftruncate,fallocate,write,pwritev,pwritev2,sync_file_range", nil}, // the log makes none
}

// together runs a command that dies with this process. The kernel takes the end of the thread that started a child for
// that of its parent, so the thread must not end before.
func together(cmd *exec.Cmd) ([]byte, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd.CombinedOutput()
}

// run runs the child, under strace with these arguments.
func run(t *testing.T, ctx context.Context, dir string, env []string, args ...string) (code int, acked uint64, output []byte) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+".acked", make([]byte, 8), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args = append(args, self)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(append(os.Environ(), childDir+"="+dir), env...)
	cmd.WaitDelay = 10 * time.Second
	output, err = together(cmd)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	note, err := noteOf(dir)
	if err != nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), atomic.LoadUint64(note), output
}

// count finds the script's calls and the files that it writes.
func count(t *testing.T, strace, dir string) (times map[string]int, paths map[string]bool) {
	t.Helper()
	over := 0
	log := filepath.Join(filepath.Dir(dir), "trace")
	var all []string
	for _, c := range calls {
		all = append(all, c.as)
	}
	code, acked, out := run(t, t.Context(), dir, nil, strace, "-f", "-y", "-o", log, "-e", "trace="+strings.Join(all, ","))
	if code != 0 || acked != lives*perLife {
		t.Skipf("strace does not run here: exit code %d, %d entries\n%s", code, acked, out)
	}
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	times = map[string]int{}
	paths = map[string]bool{}
	inDir := regexp.MustCompile(`(?:<|")(` + regexp.QuoteMeta(dir) + `[^>"]*)[>"]`)
	for l := range strings.Lines(string(b)) {
		m := inDir.FindStringSubmatch(l)
		if m == nil {
			continue
		}
		for _, c := range calls {
			for as := range strings.SplitSeq(c.as, ",") {
				if strings.Contains(l, " "+as+"(") && (as != "openat" || strings.HasSuffix(m[1], ".tmp")) {
					times[c.name]++
				}
			}
		}
		if strings.Contains(l, " pwrite64(") || strings.HasSuffix(m[1], ".tmp") {
			paths[m[1]] = true
		}
		if strings.Contains(l, "rename") && strings.Contains(m[1], "/spare-") {
			over++
		}
	}
	if over == 0 {
		t.Error("no segment was written over")
	}
	return times, paths
}

// TestEveryCallCanFail lets each fsync, fdatasync, write, rename and unlink of the script fail in each way, or kills the
// process at it. What was acknowledged is there afterwards; a fault that passes costs nothing but time.
func TestEveryCallCanFail(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("there is no strace; to run this: apt-get install strace")
	}
	base := t.TempDir()
	times, paths := count(t, strace, filepath.Join(base, "dry"))
	t.Logf("one run makes %v", times)
	if times["ftruncate and the like"] > 0 {
		t.Error("the log makes a call that this test does not know")
	}
	type job struct {
		call, as, fault string
		n               int
	}
	jobs := make(chan job)
	results := map[string]int{}
	var mu sync.Mutex // guards results
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for j := range jobs {
				// Names of earlier runs are the same: each has a directory of its own under one path.
				dir := filepath.Join(base, strings.NewReplacer("=", "-").Replace(fmt.Sprintf("%s-%s-%d", j.call, j.fault, j.n)))
				args := []string{strace, "-f", "-q", "-o", "/dev/null", "-e", "trace=" + j.as, "-e", fmt.Sprintf("inject=%s:%s:when=%d", j.as, j.fault, j.n)}
				for p := range paths {
					// The runtime writes too, to wake its threads; and only what is created is opened by this name.
					if j.call == "write" || j.call == "create" && strings.HasSuffix(p, ".tmp") {
						args = append(args, "-P", strings.Replace(p, filepath.Join(base, "dry"), dir, 1))
					}
				}
				code, acked, out := run(t, t.Context(), dir, nil, args...)
				what := "went on"
				switch {
				case strings.HasPrefix(j.fault, "signal"):
					what = "killed"
					if code == 0 {
						what = "not reached"
					}
				case code == openFailed:
					what = "did not open"
				case code != 0 || acked != lives*perLife:
					t.Errorf("%s %d %s: exit code %d, %d acknowledged\n%s", j.call, j.n, j.fault, code, acked, out)
				}
				if last, err := audit(vfs.OS{}, dir, "", acked, lives*perLife); err != nil {
					t.Errorf("%s %d %s: %v (%d acknowledged, %d came back)\n%s", j.call, j.n, j.fault, err, acked, last, out)
				}
				if r, err := wal.Verify(t.Context(), vfs.OS{}, dir, nil); err != nil || r.DamageCount > 0 {
					t.Errorf("%s %d %s: wal verify: %v %v", j.call, j.n, j.fault, err, r.Damage)
				}
				mu.Lock()
				results[j.call+" "+j.fault+": "+what]++
				mu.Unlock()
				_ = os.RemoveAll(dir)
			}
		})
	}
	total := 0
	for _, c := range calls {
		for _, fault := range c.faults {
			for n := 1; n <= times[c.name]; n++ {
				jobs <- job{c.name, c.as, fault, n}
				total++
			}
		}
	}
	close(jobs)
	wg.Wait()
	t.Logf("%d runs: %v", total, results)
}

// TestTheRefugeTakesOver lets the first directory fail for good, from each of its writes, syncs, renames and creations on:
// the log goes on in the refuge and acknowledges all, or, while it is being opened, says why it cannot.
func TestTheRefugeTakesOver(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("there is no strace; to run this: apt-get install strace")
	}
	base := t.TempDir()
	times, paths := count(t, strace, filepath.Join(base, "dry"))
	runs, fled, refused := 0, 0, 0
	for _, c := range calls {
		if c.faults == nil || c.name == "unlink" {
			continue
		}
		for n := 1; n <= times[c.name]; n += 3 {
			fault := []string{"EROFS", "EIO", "ENOSPC"}[runs%3]
			dir := filepath.Join(base, fmt.Sprintf("%s-%d", c.name, n))
			refuge := dir + ".refuge"
			if err := os.Mkdir(refuge, 0o700); err != nil {
				t.Fatal(err)
			}
			args := []string{strace, "-f", "-q", "-o", "/dev/null", "-e", "trace=" + c.as, "-e", fmt.Sprintf("inject=%s:error=%s:when=%d+", c.as, fault, n)}
			args = append(args, "-P", dir)
			for p := range paths {
				if c.name != "create" || strings.HasSuffix(p, ".tmp") {
					args = append(args, "-P", strings.Replace(p, filepath.Join(base, "dry"), dir, 1))
				}
			}
			code, acked, out := run(t, t.Context(), dir, []string{refugeDir + "=" + refuge}, args...)
			runs++
			switch {
			case code == openFailed:
				refused++
			case code != 0 || acked != lives*perLife:
				t.Errorf("%s %d %s: exit code %d, %d acknowledged\n%s", c.name, n, fault, code, acked, out)
			}
			names, err := filepath.Glob(filepath.Join(refuge, "*.wal"))
			if err != nil {
				t.Fatal(err)
			}
			if len(names) > 0 {
				fled++
			}
			if last, err := audit(vfs.OS{}, dir, refuge, acked, lives*perLife); err != nil {
				t.Errorf("%s %d %s: %v (%d acknowledged, %d came back)\n%s", c.name, n, fault, err, acked, last, out)
			}
			_ = os.RemoveAll(dir)
			_ = os.RemoveAll(refuge)
		}
	}
	t.Logf("%d runs, %d of them with segments in the refuge at the end, %d did not open", runs, fled, refused)
	if fled == 0 {
		t.Error("the refuge was never used")
	}
}

// TestAFileMayNotGrow bounds the size of files, so that writes really go short (EFBIG), at every step.
func TestAFileMayNotGrow(t *testing.T) {
	base := t.TempDir()
	short := 0
	for limit := 150; limit < 6000; limit += 97 {
		dir := filepath.Join(base, fmt.Sprint(limit))
		code, acked, out := run(t, t.Context(), dir, []string{fmt.Sprintf("%s=%d", fileLimit, limit)}, "env")
		if bytes.Contains(out, []byte("file too large")) || code != 0 {
			short++
		}
		if _, err := audit(vfs.OS{}, dir, "", acked, lives*perLife); err != nil {
			t.Errorf("limit %d: %v (exit code %d, %d acknowledged)\n%s", limit, err, code, acked, out)
		}
	}
	t.Logf("%d runs in which a file was too large", short)
	if short == 0 {
		t.Error("no write went short")
	}
}
