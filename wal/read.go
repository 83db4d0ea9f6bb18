package wal

import (
	"fmt"

	"github.com/streamdown/streamdown"
)

// Chunk is what one Read returns. Buf is the caller's; Read may replace it by a larger one for a larger entry.
type Chunk struct {
	Buf     []byte
	Entries []Entry        // bodies alias Buf
	Next    streamdown.LSN // where the next Read goes on
}

// Read reads whole durable entries from LSN from on, which must be the start of an entry, until c.Buf is full. Without
// entries and error, from is the durable end. Damage gives a *CorruptError and no entries, with c.Next behind the
// damaged range: the caller notes the range and goes on. Read checks every entry and every batch.
func (l *Log) Read(c *Chunk, from streamdown.LSN) error {
	if len(c.Buf) == 0 {
		c.Buf = make([]byte, 1<<20)
	}
	l.files.RLock()
	defer l.files.RUnlock()
	s, sp, err := l.spanLocked(from)
	if err != nil {
		return err
	}
	damaged, err := sp.read(c, from)
	if err != nil {
		return fmt.Errorf("read %s: %w", s.name, err)
	}
	if len(c.Entries) > 0 || from >= sp.limit {
		return nil
	}
	if !damaged && c.Next >= sp.limit {
		return nil
	}
	// Below the durable end there is an entry: what is not one, or is missing, is damage.
	to, err := sp.resync(from)
	if err != nil {
		return fmt.Errorf("read %s: %w", s.name, err)
	}
	c.Next = to
	l.stats.damage.Add(1)
	return &CorruptError{Segment: s.name, From: from, To: to, Err: errEntry}
}

// ErrReleased is returned by Read for a position whose segment is gone.
var ErrReleased = fmt.Errorf("this part of the log was released")

// spanLocked finds the segment that holds lsn. The limit is the segment's end, or the durable end in the last one.
func (l *Log) spanLocked(lsn streamdown.LSN) (*segment, span, error) {
	durable := l.Durable()
	i := len(l.segments) - 1
	for i > 0 && l.segments[i].first > lsn {
		i--
	}
	s := l.segments[i]
	if lsn < s.first {
		return nil, span{}, fmt.Errorf("read at %d: the log begins at %d: %w", lsn, s.first, ErrReleased)
	}
	limit := durable
	if i+1 < len(l.segments) {
		limit = min(limit, l.segments[i+1].first)
	}
	if err := l.open(s); err != nil {
		return nil, span{}, err
	}
	return s, span{file: s.file, seed: l.seed, first: s.first, start: s.start, limit: limit}, nil
}

// open opens a segment's file on first use and finds where its entries begin.
func (l *Log) open(s *segment) error {
	l.opening.Lock()
	defer l.opening.Unlock()
	if s.file == nil {
		f, err := l.cfg.FS.Open(s.path)
		if err != nil {
			return fmt.Errorf("open %s: %w", s.name, err)
		}
		s.file = f
	}
	if s.start > 0 {
		return nil
	}
	var b [segmentHeader]byte
	if _, err := s.file.ReadAt(b[:], 0); err == nil {
		if h, size, _, err := parseHeader(b[:]); err == nil && h.log == l.id && h.number == s.number && h.first == s.first && size <= maxState {
			s.start, s.room = dataStart(size), int64(h.pages)*page
			return nil
		}
	}
	size, err := s.file.Size()
	if err != nil {
		return fmt.Errorf("open %s: %w", s.name, err)
	}
	if s.start, err = locate(s.file, l.seed, s.first, size); err != nil {
		return fmt.Errorf("open %s: %w", s.name, err)
	}
	return nil
}
