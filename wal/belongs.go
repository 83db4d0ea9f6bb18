package wal

import (
	"errors"
	"fmt"
	"io"

	"github.com/streamdown/streamdown"
)

// belong checks that each segment with a whole header is of this log and has its own name. Opening could go on without
// such a file, and would take what it should hold for damaged: that would be passed over, and never delivered when the
// name is put right later. So nothing is opened until it is.
//
// A header alone proves nothing: a write of it may have gone to the wrong place. Its file is judged by its entries.
func (l *Log) belong(man *manifest) error {
	id := streamdown.ID{}
	if man != nil {
		id = man.Log
	}
	for i := len(l.segments) - 1; i >= 0; i-- { // without a manifest, the newest header names the log
		s := l.segments[i]
		if err := l.belongs(s, &id); err != nil {
			return err
		}
	}
	return nil
}

func (l *Log) belongs(s *segment, id *streamdown.ID) error {
	f, err := l.cfg.FS.Open(s.path)
	if err != nil {
		return fmt.Errorf("open %s: %w", s.name, err)
	}
	defer f.Close()
	var b [segmentHeader]byte
	if n, err := f.ReadAt(b[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return l.readError(s, err)
	} else if n < len(b) {
		return nil
	}
	h, state, _, err := parseHeader(b[:])
	if err != nil {
		return nil // damaged, or newer: replay tells when it needs it
	}
	if id.IsZero() {
		*id = h.log
	}
	switch {
	case h.log != *id:
		size, err := f.Size()
		if err != nil {
			return fmt.Errorf("size of %s: %w", s.name, err)
		}
		at, err := locate(f, seedOf(*id), s.first, size)
		if err != nil {
			return l.readError(s, err)
		}
		if at < size {
			return nil
		}
		return fmt.Errorf("%s belongs to log %s, not to %s, which the manifest or a newer segment names; %s", s.name, h.log, *id, trySalvage(l.cfg.Dir))
	case (h.number != s.number || h.first != s.first) && isRenamed(f, s, &h, state):
		return fmt.Errorf("%s: its header and entries are those of %s: the file was renamed; give it its name back; %s",
			s.name, segmentName(h.number, h.first), trySalvage(l.cfg.Dir))
	}
	return nil
}
