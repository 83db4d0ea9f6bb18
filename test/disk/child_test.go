//go:build real

package disk

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

const (
	segmentSize = 1 << 10 // small, so that segments are released and written over
	lives       = 3
	perLife     = 12
	openFailed  = 3 // exit code

	fileLimit = "STREAMDOWN_DISK_TEST_LIMIT"  // largest size of a file, in bytes
	refugeDir = "STREAMDOWN_DISK_TEST_REFUGE" // the log's second directory
)

// child opens a log, appends some entries, one after the other, releases, closes, some times over. How many are
// acknowledged it notes in memory that is mapped from a file: it survives any death and is no system call.
func child(dir string) int {
	// Its parent, strace, dies with the test.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	note, err := noteOf(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	patience := time.Minute
	if s := os.Getenv(fileLimit); s != "" {
		patience = 200 * time.Millisecond // a few tries
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
		signal.Ignore(syscall.SIGXFSZ)
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: n, Max: n}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
	}
	disk := newThread()
	defer disk.end()
	for life := range lives {
		c := &counter{seen: func(n uint64) { atomic.StoreUint64(note, n) }}
		l, _, err := wal.Open(wal.Config{FS: disk, Dir: dir, Refuge: os.Getenv(refugeDir), SegmentSize: segmentSize, Books: []wal.Book{c}})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return openFailed
		}
		for n := uint64(life * perLife); n < uint64(life+1)*perLife; {
			n++
			e := entry(n)
			if n <= c.last.Load() {
				continue
			}
			if _, err := l.Append(e); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			err := l.Wait(ctx, e.End())
			cancel()
			if err != nil {
				fmt.Fprintln(os.Stderr, err, l.Stats().Stuck)
				return 1
			}
			if n%3 == 0 {
				_, _ = l.Release(l.Durable())
			}
		}
		_, _ = l.Release(l.Durable()) // what fails is asked for again
		if err := l.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return 0
}

// noteOf maps the file beside dir in which the number of acknowledged entries is.
func noteOf(dir string) (*uint64, error) {
	f, err := os.OpenFile(filepath.Clean(dir)+".acked", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := unix.Mmap(int(f.Fd()), 0, 8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return (*uint64)(unsafe.Pointer(&b[0])), nil
}

// thread is the machine's disk, used by one thread of the operating system: strace counts calls by thread.
type thread struct {
	vfs.OS
	work chan func()
	done chan struct{}
}

func newThread() *thread {
	t := &thread{work: make(chan func()), done: make(chan struct{})}
	go func() {
		defer close(t.done)
		runtime.LockOSThread()
		for f := range t.work {
			f()
		}
	}()
	return t
}

func (t *thread) end() { close(t.work); <-t.done }

func (t *thread) do(f func()) {
	back := make(chan struct{})
	t.work <- func() { f(); close(back) }
	<-back
}

func (t *thread) file(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &threadFile{f, t}, nil
}

func (t *thread) Create(name string) (f vfs.File, err error) {
	t.do(func() { f, err = t.file(t.OS.Create(name)) })
	return f, err
}

func (t *thread) Open(name string) (f vfs.File, err error) {
	t.do(func() { f, err = t.file(t.OS.Open(name)) })
	return f, err
}

func (t *thread) Rename(from, to string) (err error) {
	t.do(func() { err = t.OS.Rename(from, to) })
	return err
}

func (t *thread) Remove(name string) (err error) {
	t.do(func() { err = t.OS.Remove(name) })
	return err
}

func (t *thread) SyncDir(dir string) (err error) {
	t.do(func() { err = t.OS.SyncDir(dir) })
	return err
}

func (t *thread) Lock(name string) (c io.Closer, err error) {
	t.do(func() { c, err = t.OS.Lock(name) })
	return c, err
}

type threadFile struct {
	vfs.File
	t *thread
}

func (f *threadFile) WriteAt(b []byte, off int64) (n int, err error) {
	f.t.do(func() { n, err = f.File.WriteAt(b, off) })
	return n, err
}

func (f *threadFile) Sync() (err error) {
	f.t.do(func() { err = f.File.Sync() })
	return err
}
