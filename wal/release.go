package wal

import (
	"fmt"

	"github.com/streamdown/streamdown"
)

// Release removes segments that lie wholly below lsn, oldest first, and returns how many went. A segment stays until
// two later ones have a header and a state that were read back whole, so that opening never depends on a single one.
// Each removal is durable before the next begins: a crash that brought an older segment back and not its successor
// would leave a hole that looks like a lost segment.
func (l *Log) Release(lsn streamdown.LSN) (int, error) {
	l.files.Lock()
	defer l.files.Unlock()
	n := 0
	for len(l.segments) > 2 && l.segments[1].first <= lsn {
		whole := 0
		for _, s := range l.segments[1:] {
			if s.whole {
				whole++
			}
		}
		if whole < 2 {
			break
		}
		s := l.segments[0]
		if err := l.open(s); err != nil {
			return n, err
		}
		size, err := s.file.Size()
		if err != nil {
			return n, fmt.Errorf("size of %s: %w", s.name, err)
		}
		if err := l.cfg.FS.Remove(s.path); err != nil {
			return n, fmt.Errorf("release %s: %w", s.name, err)
		}
		s.file.Close()
		l.size.Add(-size)
		l.segments = append(l.segments[:0:0], l.segments[1:]...)
		n++
		if err := l.cfg.FS.SyncDir(l.cfg.Dir); err != nil {
			l.dirFailures.Add(1)
			return n, fmt.Errorf("release: sync directory: %w", err)
		}
	}
	return n, nil
}
