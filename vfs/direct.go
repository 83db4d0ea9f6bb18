package vfs

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// DirectOpener is an optional ability of an FS: to read what the device holds, whatever the page cache shows, and to
// leave the page cache as it is.
type DirectOpener interface {
	// OpenDirect opens an existing file for that.
	OpenDirect(name string) (DirectFile, error)
}

// DirectFile is a file that is read from its device as far as the file system allows; [DirectFile.Way] tells how far
// that is. It is not for concurrent use. The file must not be written meanwhile by others, or what is read is any mixture.
type DirectFile interface {
	io.ReaderAt
	io.Closer
	// Size returns the current length in bytes.
	Size() (int64, error)
	// Way tells how the file is read, as far as that showed until now.
	Way() Way
}

// Way is how a DirectFile is read.
type Way string

// The ways, best first.
const (
	WayDirect Way = "direct" // O_DIRECT: every byte comes from the device, and the page cache is not touched
	WayEvict  Way = "evict"  // what was in the page cache comes from there; what was not is dropped from it again
	WayCached Way = "cached" // through the page cache, or there is no device: a file system in memory
)

const (
	directPiece = 256 << 10 // of one read(2)
	directAlign = 4096      // at least: blocks of disks are not larger, with few exceptions, which statx(2) tells
)

type directFile struct {
	f     *os.File
	way   Way
	align int64
	buf   []byte // aligned; nil unless way is WayDirect
}

// OpenDirect uses O_DIRECT (open(2), since Linux 2.4.10). Where a file system refuses that, or takes it and uses the page
// cache all the same, as statx(2) tells since Linux 6.1, a file is read through the page cache, and of that exactly those
// pages are dropped (posix_fadvise(2)) that cachestat(2), since Linux 6.5, did not find there before.
func (OS) OpenDirect(name string) (DirectFile, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_DIRECT, 0)
	refused := errors.Is(err, unix.EINVAL)
	if refused {
		f, err = os.Open(name)
	}
	if err != nil {
		return nil, err
	}
	d := &directFile{f: f, way: WayDirect, align: directAlign}
	if refused || !d.honest() {
		err = d.fallBack()
	} else {
		d.buf, err = unix.Mmap(-1, 0, directPiece, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open %s for direct reading: %w", name, err)
	}
	return d, nil
}

// honest reports whether O_DIRECT, which the file system took, means anything, and notes the alignment that it asks for.
func (d *directFile) honest() bool {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(d.fd(), &fs); err == nil && inMemory(int64(fs.Type)) { //nolint:unconvert // int32 on some machines
		return false
	}
	var st unix.Statx_t
	if err := unix.Statx(d.fd(), "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &st); err != nil || st.Mask&unix.STATX_DIOALIGN == 0 {
		return true // nobody says otherwise
	}
	d.align = max(d.align, int64(st.Dio_offset_align))
	return st.Dio_offset_align > 0 && d.align <= directPiece
}

func inMemory(fsType int64) bool { return fsType == unix.TMPFS_MAGIC || fsType == unix.RAMFS_MAGIC }

// fallBack goes on without O_DIRECT.
func (d *directFile) fallBack() error {
	flags, err := unix.FcntlInt(d.f.Fd(), unix.F_GETFL, 0)
	if err == nil {
		_, err = unix.FcntlInt(d.f.Fd(), unix.F_SETFL, flags&^unix.O_DIRECT)
	}
	if err != nil {
		return fmt.Errorf("do without O_DIRECT: %w", err)
	}
	d.way = WayEvict
	var fs unix.Statfs_t
	if err := unix.Fstatfs(d.fd(), &fs); err == nil && inMemory(int64(fs.Type)) { //nolint:unconvert // int32 on some machines
		d.way = WayCached
		return nil
	}
	if _, err := d.cached(0, directAlign); err != nil {
		d.way = WayCached // it cannot be told what was there before, and what others need must stay
		return nil
	}
	// Reading ahead would bring in pages that nobody asked for and that nobody would drop.
	if err := unix.Fadvise(d.fd(), 0, 0, unix.FADV_RANDOM); err != nil {
		d.way = WayCached
	}
	return nil
}

func (d *directFile) fd() int { return int(d.f.Fd()) } //nolint:gosec // a descriptor

func (d *directFile) Way() Way { return d.way }

func (d *directFile) Size() (int64, error) { return osFile{d.f}.Size() }

func (d *directFile) Close() error {
	if d.buf != nil {
		_ = unix.Munmap(d.buf) // it was mapped here
		d.buf = nil
	}
	return d.f.Close()
}

// ReadAt reads like every ReadAt; any position and length will do.
func (d *directFile) ReadAt(b []byte, off int64) (n int, err error) {
	if d.way != WayDirect {
		return d.readCached(b, off)
	}
	for n < len(b) {
		from := (off + int64(n)) &^ (d.align - 1)
		skip := int(off + int64(n) - from)
		want := min(int64(len(d.buf)), (int64(skip+len(b)-n)+d.align-1)&^(d.align-1))
		got, err := unix.Pread(d.fd(), d.buf[:want], from)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EINVAL: // some say so only now
			if err := d.fallBack(); err != nil {
				return n, err
			}
			more, err := d.readCached(b[n:], off+int64(n))
			return n + more, err
		case err != nil:
			return n, &os.PathError{Op: "read", Path: d.f.Name(), Err: err}
		case got <= skip:
			return n, io.EOF
		}
		n += copy(b[n:], d.buf[skip:got])
		if int64(got)%d.align != 0 && n < len(b) {
			return n, io.EOF // and what follows has no position that could be read from
		}
	}
	return n, nil
}

// readCached reads through the page cache and drops from it what was not there.
func (d *directFile) readCached(b []byte, off int64) (int, error) {
	var absent [][2]int64
	if d.way == WayEvict {
		page := int64(os.Getpagesize())
		from := off &^ (page - 1)
		to := (off + int64(len(b)) + page - 1) &^ (page - 1)
		absent = d.absent(absent, from, to, page)
	}
	n, err := d.f.ReadAt(b, off)
	for _, r := range absent {
		_ = unix.Fadvise(d.fd(), r[0], r[1]-r[0], unix.FADV_DONTNEED) // only advice
	}
	return n, err
}

// absent adds the parts of [from, to) that are not in the page cache. A page that comes in before it is read is
// dropped with the rest: those who need it read it again.
func (d *directFile) absent(list [][2]int64, from, to, page int64) [][2]int64 {
	there, err := d.cached(from, to-from)
	switch {
	case err != nil || int64(there) >= (to-from)/page: //nolint:gosec // a number of pages
		return list
	case there == 0:
		return append(list, [2]int64{from, to})
	}
	half := from + (to-from)/page/2*page
	return d.absent(d.absent(list, from, half, page), half, to, page)
}

// cached tells how many pages of a range are in the page cache.
func (d *directFile) cached(off, n int64) (uint64, error) {
	var st unix.Cachestat_t
	err := unix.Cachestat(uint(d.f.Fd()), &unix.CachestatRange{Off: uint64(off), Len: uint64(n)}, &st, 0) //nolint:gosec // not negative
	return st.Cache, err
}
