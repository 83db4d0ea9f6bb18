package wal

import (
	"fmt"

	"github.com/streamdown/streamdown"
)

// Release removes segments that lie wholly below lsn, oldest first, and returns how many went. A segment stays until
// two later ones have a header and a state that were read back whole, so that opening never depends on a single one.
// Each removal is durable before the next begins: a crash that brought an older segment back and not its successor
// would leave a hole that looks like a lost segment.
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
		if err := l.remove(s); err != nil {
			l.files.Lock()
			l.segments = append([]*segment{s}, l.segments...)
			l.files.Unlock()
			return n, err
		}
		n++
		if err := l.cfg.FS.SyncDir(l.cfg.Dir); err != nil {
			l.dirFailures.Add(1)
			return n, fmt.Errorf("release: sync directory: %w", err)
		}
	}
}

// takeOldest takes the oldest segment off the list, when it may go: nobody reads it any more then.
func (l *Log) takeOldest(lsn streamdown.LSN) *segment {
	l.files.Lock()
	defer l.files.Unlock()
	whole := 0 // states that follow
	for _, s := range l.segments[1:] {
		if s.whole {
			whole++
		}
	}
	if whole < 2 || l.segments[1].first > lsn {
		return nil
	}
	s := l.segments[0]
	l.segments = append(l.segments[:0:0], l.segments[1:]...)
	return s
}

// remove removes the file of a segment that was taken off the list.
func (l *Log) remove(s *segment) error {
	if err := l.open(s); err != nil {
		return err
	}
	size, err := s.file.Size()
	if err != nil {
		return fmt.Errorf("size of %s: %w", s.name, err)
	}
	if err := l.cfg.FS.Remove(s.path); err != nil {
		return fmt.Errorf("release %s: %w", s.name, err)
	}
	s.file.Close()
	s.file = nil
	l.size.Add(-size)
	return nil
}
