package wal

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
)

// segment is one file of the log.
type segment struct {
	number  uint64
	first   streamdown.LSN
	start   int64 // file position of first; 0 while not known
	room    int64 // bytes that the file had when it was written over, whole pages; 0 for a file that was new
	name    string
	path    string
	file    vfs.File // nil until somebody reads
	written int64    // file position behind the last entry; owned by the writer
	whole   bool     // header and state were read back whole
	// sealed is set by the writer that filled it, when it begins the next one without a failure: nothing was cut off it,
	// so all entries in the file lie below the log's end, and it can be written over.
	sealed bool
}

// page is what a disk and the page cache read and write as a whole. Writing a part of one that is not in memory makes
// the kernel read it first.
const page = 4096

func pages(n int64) int64 { return (n + page - 1) &^ (page - 1) }

// inDir reports whether the segment lies in dir.
func (s *segment) inDir(dir string) bool { return filepath.Dir(s.path) == filepath.Clean(dir) }

// noRoom tells a disk that is full from one that is broken.
func noRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// begin makes the next segment durable, where that can be done: over a released one, in a new file, in the refuge, over
// the reserve. The entries that it begins with are known already: with its name they replace those of earlier
// segments. What is wrong with a place is in the error only when no place is left.
func (l *Log) begin(number uint64, first streamdown.LSN, entries []byte) (*segment, error) {
	h := l.header(number, first)
	var errs []error
	full := false
	try := func(dir string, over *spare) *segment {
		h.number = l.numberIn(dir, first, number)
		s, err := l.make(dir, over, h, entries)
		if err == nil {
			return s
		}
		errs = append(errs, err)
		full = full || noRoom(err)
		return nil
	}
	if l.refuge.main(l.cfg.Now()) {
		if over := l.takeSpare(); over != nil {
			if s := try(l.cfg.Dir, over); s != nil {
				l.returned()
				return s, nil
			}
		}
		if s := try(l.cfg.Dir, nil); s != nil {
			l.returned()
			return s, nil
		}
	}
	if l.refuge.usable() {
		if s := try(l.cfg.Refuge, nil); s != nil {
			if why := errors.Join(errs...); l.refuge.entered(l.cfg.Now(), why) {
				l.cfg.Logger.Error("the log goes on in its refuge", "refuge", l.cfg.Refuge, "err", why)
			}
			l.setTight(false)
			return s, nil
		}
	}
	if full {
		l.setTight(true)
		if over := l.takeReserve(); over != nil {
			if s := try(l.cfg.Dir, over); s != nil {
				l.refuge.left()
				return s, nil
			}
		}
	}
	return nil, fmt.Errorf("create segment %s: %w", segmentName(number, first), errors.Join(errs...))
}

func (l *Log) header(number uint64, first streamdown.LSN) header {
	h := header{log: l.id, number: number, first: first, created: l.cfg.Now().UnixNano(), state: snapshot(l.cfg.Books)}
	l.state = int64(len(h.state))
	return h
}

// tried is what the last file was called that got its name, or almost: it may be found after a crash.
type tried struct {
	number uint64
	first  streamdown.LSN
	dir    string
}

// numberIn returns the number of the next segment, made in dir. No two files that may be found have one number, in
// whatever directory; but of tries of the same one each replaces the last.
func (l *Log) numberIn(dir string, first streamdown.LSN, atLeast uint64) uint64 {
	if l.tried.number >= atLeast && l.tried.first == first && l.tried.dir == dir {
		return l.tried.number
	}
	return max(atLeast, l.tried.number+1)
}

// returned notes that a segment was made in the first directory.
func (l *Log) returned() {
	if l.refuge.left() {
		l.cfg.Logger.Info("the log is back from its refuge", "dir", l.cfg.Dir)
	}
}

// make makes a segment durable (header, state, entries, name) before anything else is written to it, and reads the state
// back. A file that it fails with is removed and not tried again.
func (l *Log) make(dir string, over *spare, h header, entries []byte) (*segment, error) {
	s := &segment{number: h.number, first: h.first, name: segmentName(h.number, h.first), whole: true}
	s.path = filepath.Join(dir, s.name)
	tmp := s.path + ".tmp"
	if over != nil {
		s.room = pages(over.size)
		h.pages = uint32(s.room / page) //nolint:gosec // a segment is far smaller than 16 TiB
		s.file, tmp = over.file, over.path
	} else {
		if err := l.cfg.FS.Remove(tmp); err != nil && !vfs.IsNotExist(err) {
			return nil, fmt.Errorf("remove old %s: %w", tmp, err)
		}
		f, err := l.cfg.FS.Create(tmp)
		if err != nil {
			return nil, err
		}
		s.file = f
	}
	img := h.encode()
	s.start = int64(len(img))
	img = append(img, entries...)
	s.written = int64(len(img))
	err := func() error {
		if over != nil && over.size < s.room {
			if _, err := s.file.WriteAt(make([]byte, s.room-over.size), over.size); err != nil {
				return err
			}
		}
		if err := s.write(img, 0); err != nil {
			return err
		}
		if err := s.file.Sync(); err != nil {
			return err
		}
		if _, _, err := readState(s.file, l.id); err != nil {
			return fmt.Errorf("read back: %w", err)
		}
		failures := l.dirFailures.Load()
		l.tried = tried{h.number, h.first, dir} // whether this works or not
		if err := l.cfg.FS.Rename(tmp, s.path); err != nil {
			return err
		}
		if err := l.cfg.FS.SyncDir(dir); err != nil {
			l.dirFailures.Add(1)
			return err
		}
		if l.dirFailures.Load() != failures {
			return fmt.Errorf("sync directory: %w", errOtherSync)
		}
		return nil
	}()
	if err != nil {
		s.file.Close()
		// If it has its name it keeps it. What is removed now could come back after a crash, in another process, which
		// did not see it and used its number; the next segment cuts it.
		_ = l.cfg.FS.Remove(tmp)
		if l.tried.number == s.number {
			s.file, s.whole = nil, false
			l.left = append(slices.DeleteFunc(l.left, func(old *segment) bool { return old.path == s.path }), s)
		}
		return nil, err
	}
	// Those that failed and may have their names hold nothing that counts. They are released as others are.
	l.left = slices.DeleteFunc(l.left, func(old *segment) bool { return old.path == s.path })
	l.files.Lock()
	l.segments = append(append(l.segments, l.left...), s)
	l.files.Unlock()
	for _, s := range l.left {
		l.used.Add(s.written)
		l.size.Add(s.written)
	}
	l.left = nil
	l.used.Add(s.written)
	l.size.Add(max(s.written, s.room))
	return s, nil
}

// write writes b at a position of the file, in pieces that end with a page. Over an old file the last page is filled up
// with zeros, for which b needs room: a page that is written whole is not read first.
func (s *segment) write(b []byte, at int64) error {
	if end := at + int64(len(b)); pages(end) <= s.room {
		n := len(b)
		b = slices.Grow(b, page)[:n+int(pages(end)-end)]
		clear(b[n:])
	}
	for len(b) > 0 {
		n := min(int64(len(b)), pieceSize-at%page)
		if _, err := s.file.WriteAt(b[:n], at); err != nil {
			return err
		}
		b, at = b[n:], at+n
	}
	return nil
}
