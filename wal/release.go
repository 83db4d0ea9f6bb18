package wal

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
)

// errOtherSync: as with a file, a sync that failed elsewhere may have been about our name, and ours then proves nothing.
var errOtherSync = errors.New("another sync of it failed meanwhile")

// Release removes segments that lie wholly below lsn, oldest first, and returns how many went. A segment stays until
// two later ones have a header and a state that were read back whole, so that opening never depends on a single one.
// Each removal is durable before the next begins: a crash that brought an older segment back and not its successor
// would leave a hole that looks like a lost segment.
// Some are kept to be written over, under a name that no reader looks for.
// The writer and readers go on meanwhile.
func (l *Log) Release(lsn streamdown.LSN) (int, error) {
	l.releasing.Lock()
	defer l.releasing.Unlock()
	n := 0
	for {
		s := l.takeOldest(lsn)
		if s == nil {
			return n, nil
		}
		failures := l.dirFailures.Load()
		kept, err := l.retire(s)
		if err != nil {
			l.files.Lock()
			l.segments = append([]*segment{s}, l.segments...)
			l.files.Unlock()
			return n, err
		}
		n++
		err = l.cfg.FS.SyncDir(filepath.Dir(s.path))
		if err != nil {
			l.dirFailures.Add(1)
		} else if kept != nil && l.dirFailures.Load() != failures {
			err = errOtherSync
		}
		if err != nil {
			if kept != nil { // after a crash it may have its old name: it must keep its content
				kept.file.Close()
				_ = l.cfg.FS.Remove(kept.path)
			}
			return n, fmt.Errorf("release: sync directory: %w", err)
		}
		if kept != nil {
			l.addSpare(kept)
		}
	}
}

// takeOldest takes the oldest segment off the list, when it may go: nobody reads it any more then.
func (l *Log) takeOldest(lsn streamdown.LSN) *segment {
	l.files.Lock()
	defer l.files.Unlock()
	if lsn <= l.segments[0].first || len(l.segments) > 1 && l.segments[1].first > lsn {
		return nil
	}
	whole := 0 // states that follow
	for _, s := range l.segments[1:] {
		if s.whole {
			whole++
		}
	}
	if whole < 2 {
		if l.short() {
			l.turn.Store(true) // the writer makes another one, and the next Release finds it
			l.nudge()
		}
		return nil
	}
	s := l.segments[0]
	l.segments = append(l.segments[:0:0], l.segments[1:]...)
	return s
}

// short reports whether there is little room left.
func (l *Log) short() bool {
	return l.tight.Load() || l.cfg.MaxSize > 0 && l.counted() > l.cfg.MaxSize/4*3
}

// retire takes the name from the file of a segment that was taken off the list. It returns the file if it is kept.
func (l *Log) retire(s *segment) (*spare, error) {
	if err := l.open(s); vfs.IsNotExist(err) { // it was never there: a try that failed
		l.gone(s, s.written)
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	size, err := s.file.Size()
	if err != nil {
		return nil, fmt.Errorf("size of %s: %w", s.name, err)
	}
	if l.keepable(s) {
		kept := &spare{path: filepath.Join(l.cfg.Dir, spareName(s.number)), file: s.file, size: size}
		err := l.cfg.FS.Rename(s.path, kept.path)
		if err == nil {
			l.gone(s, size)
			return kept, nil
		}
		if !vfs.IsNotExist(err) {
			return nil, fmt.Errorf("release %s: %w", s.name, err)
		}
		_ = l.cfg.FS.Remove(kept.path) // an earlier try, which said that it failed, renamed it
	}
	// That it is gone already was done by an earlier try, which said that it failed.
	if err := l.cfg.FS.Remove(s.path); err != nil && !vfs.IsNotExist(err) {
		return nil, fmt.Errorf("release %s: %w", s.name, err)
	}
	s.file.Close()
	l.gone(s, size)
	return nil, nil
}

// gone takes a segment out of the counts.
func (l *Log) gone(s *segment, size int64) {
	s.file = nil
	l.size.Add(-size)
	l.used.Add(-s.written)
}
