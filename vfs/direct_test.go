package vfs

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// openWay opens a file to be read in a given way, as if the file system allowed no better one.
func openWay(t *testing.T, name string, way Way) *directFile {
	t.Helper()
	opened, err := OS{}.OpenDirect(name)
	if err != nil {
		t.Fatal(err)
	}
	d, ok := opened.(*directFile)
	if !ok {
		t.Fatalf("%T", opened)
	}
	t.Cleanup(func() { d.Close() })
	if way == WayDirect {
		return d
	}
	if err := d.fallBack(); err != nil {
		t.Fatal(err)
	}
	if way == WayCached {
		d.way = WayCached
	}
	return d
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(b) // never fails
	return b
}

func put(t *testing.T, content []byte) (name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "file")
	if err := WriteFile(OS{}, name, content); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestDirectReadsWhatIsThere compares reads of any place and length with the file's content.
func TestDirectReadsWhatIsThere(t *testing.T) {
	for _, size := range []int{0, 1, 4095, 4096, 4097, directPiece, 3*directPiece + 4096, 3*directPiece + 77} {
		content := noise(size)
		name := put(t, content)
		for _, way := range []Way{WayDirect, WayEvict, WayCached} {
			d := openWay(t, name, way)
			if n, err := d.Size(); err != nil || n != int64(size) {
				t.Errorf("%d bytes: size %d, %v", size, n, err)
			}
			rng := rand.New(rand.NewPCG(1, 2))
			for range 60 {
				off := rng.IntN(size + 5000)
				b := make([]byte, rng.IntN(2*directPiece))
				n, err := d.ReadAt(b, int64(off))
				want := content[min(off, size):min(off+len(b), size)]
				if !bytes.Equal(b[:n], want) || err != nil && !errors.Is(err, io.EOF) || (err == nil) != (n == len(b)) {
					t.Fatalf("%s: %d of %d bytes at %d of %d: %v", way, n, len(b), off, size, err)
				}
			}
		}
	}
}

func TestDirectSaysWhatIsMissing(t *testing.T) {
	if _, err := (OS{}).OpenDirect(filepath.Join(t.TempDir(), "no")); !IsNotExist(err) {
		t.Error(err)
	}
}

// resident asks mincore(2) which pages of a file are in the page cache.
func resident(t *testing.T, name string) []byte {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	m, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(m) }()
	pages := make([]byte, (len(m)+os.Getpagesize()-1)/os.Getpagesize())
	if _, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), uintptr(unsafe.Pointer(&pages[0]))); errno != 0 {
		t.Fatal(errno)
	}
	for i := range pages {
		pages[i] &= 1
	}
	return pages
}

// cacheOnly leaves one part of a file in the page cache and no other.
func cacheOnly(t *testing.T, name string, from, n int64) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := errors.Join(unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(make([]byte, n), from); err != nil {
		t.Fatal(err)
	}
}

// TestDirectLeavesThePageCacheAsItIs reads a file of which a part is in the page cache. That the bytes come from the
// device cannot be seen without changing them there; that no page comes and none goes can. The control reads through
// the cache and must be noticed.
func TestDirectLeavesThePageCacheAsItIs(t *testing.T) {
	const size, from, part = 4 << 20, 1<<20 + 3*4096, 1<<20 + 5*4096
	name := put(t, noise(size))
	best := openWay(t, name, WayDirect).Way()
	t.Logf("the file system of %s is read by way of %s", os.TempDir(), best)
	if best == WayCached {
		t.Skip("the temporary directory is in memory, or this kernel has no cachestat: set TMPDIR to a disk")
	}
	for _, way := range []Way{best, WayEvict, WayCached} {
		cacheOnly(t, name, from, part)
		before := resident(t, name)
		if n := bytes.Count(before, []byte{1}); n == 0 || n == len(before) {
			t.Skipf("%d of %d pages are in the page cache: this kernel cannot be told which to keep", n, len(before))
		}
		d := openWay(t, name, way)
		if _, err := d.ReadAt(make([]byte, size), 0); err != nil {
			t.Fatal(err)
		}
		after := resident(t, name)
		if kept := slices.Equal(before, after); kept != (way != WayCached) || d.Way() != way {
			t.Errorf("%s (%s): %d pages in the page cache before, %d after, of %d", way, d.Way(),
				bytes.Count(before, []byte{1}), bytes.Count(after, []byte{1}), len(before))
		}
	}
}

// TestMemoryIsNoDevice holds that a file system in memory is not called checked on its device.
func TestMemoryIsNoDevice(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "streamdown-test-")
	if err != nil {
		t.Skip("there is no /dev/shm to write to:", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil || st.Type != unix.TMPFS_MAGIC {
		t.Skip("/dev/shm is no tmpfs")
	}
	name := filepath.Join(dir, "file")
	content := noise(10000)
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	d := openWay(t, name, WayDirect)
	b := make([]byte, len(content))
	if _, err := d.ReadAt(b, 0); err != nil || !bytes.Equal(b, content) || d.Way() != WayCached {
		t.Errorf("%s, %v", d.Way(), err)
	}
}

func BenchmarkOpenDirect(b *testing.B) {
	name := filepath.Join(b.TempDir(), "file")
	if err := WriteFile(OS{}, name, noise(64<<20)); err != nil {
		b.Fatal(err)
	}
	d, err := OS{}.OpenDirect(name)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	buf := make([]byte, directPiece)
	b.SetBytes(directPiece)
	for i := 0; b.Loop(); i++ {
		if _, err := d.ReadAt(buf, int64(i%256)*directPiece); err != nil {
			b.Fatal(err)
		}
	}
}
