package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
)

// firstLSN is where a new log begins: not at zero, so that a forgotten position is never a valid one.
const firstLSN streamdown.LSN = 64

// recover finds the log's end, restores the books and begins a new segment. It writes nothing but that segment and
// copies of what it cuts off, so it can be interrupted and repeated at any point.
//
// What lies above the highest mark was perhaps never synced: its process may have died before it could, or have been
// told that its sync failed, and the page cache shows it all the same, even after another sync that reports success.
// Books must not see it before it is durable, so it is written again: the new segment begins at the mark, with a copy.
func (l *Log) recover() (*Recovery, error) {
	began := time.Now()
	if err := l.salvageEnded(); err != nil {
		return nil, fmt.Errorf("%w; %s", err, trySalvage(l.cfg.Dir))
	}
	man, err := l.loadManifest()
	if err != nil {
		return nil, err
	}
	if err := l.openRefuge(man); err != nil {
		return nil, err
	}
	if err := l.listSegments(); err != nil {
		return nil, err
	}
	if free, err := l.cfg.FS.Free(l.cfg.Dir); err == nil {
		share := int64(min(free, math.MaxInt64/2)+uint64(l.size.Load())) / leastShare //nolint:gosec // no disk is that large
		l.cfg.SegmentSize = min(l.cfg.SegmentSize, max(share, minSegment))
	}
	rec := &Recovery{}
	var tail []byte // the entries above the highest mark
	if len(l.segments) == 0 {
		if man != nil {
			return nil, fmt.Errorf("the manifest names log %s with durable data up to %d, but there is no segment: "+
				"is the right disk mounted? To start an empty log instead, move the manifest away; %s", man.Log, man.Durable, trySalvage(l.cfg.Dir))
		}
		if l.hadManifest {
			return nil, fmt.Errorf("there is a manifest, which is damaged, and no segment: is the right disk mounted? To start an empty log "+
				"instead, move the manifest away; %s", trySalvage(l.cfg.Dir))
		}
		l.id = newLogID()
		l.seed = seedOf(l.id)
		l.next = firstLSN
		rec.Created = true
	} else {
		if man != nil {
			l.id = man.Log
		}
		// The names that this recovery believes must be there for the next one too: the last process may have died
		// before it synced them, and a crash may keep the name of the new segment and lose one before it, or bring
		// back one that was taken away and has the new one's number.
		for _, dir := range l.dirs() {
			if err := l.cfg.FS.SyncDir(dir); err != nil {
				return nil, fmt.Errorf("sync directory: %w", err)
			}
		}
		if err := l.belong(man); err != nil {
			return nil, err
		}
		if tail, err = l.replay(rec, man); err != nil {
			return nil, err
		}
	}
	rec.LogID, rec.End = l.id, l.next
	number := uint64(1)
	if n := len(l.segments); n > 0 {
		number = l.segments[n-1].number + 1
	}
	first := l.next - streamdown.LSN(len(tail))
	if len(tail) > 0 {
		endMark(tail, l.next, l.seed) // what was cut is reported once
	}
	if _, err := l.begin(number, first, tail); err != nil {
		return nil, err
	}
	l.apply(tail, first)
	l.durable.Store(uint64(l.next))
	if err := l.bindRefuge(man); err != nil {
		return nil, err
	}
	rec.Elapsed = time.Since(began)
	return rec, nil
}

// dirs are the directories that may hold segments.
func (l *Log) dirs() []string {
	if l.cfg.Refuge == "" {
		return []string{l.cfg.Dir}
	}
	return []string{l.cfg.Dir, l.cfg.Refuge}
}

func (l *Log) listSegments() error {
	for _, dir := range l.dirs() {
		if err := l.listDir(dir); err != nil {
			return err
		}
	}
	sort.SliceStable(l.segments, func(i, j int) bool { return l.segments[i].number < l.segments[j].number })
	for i := 1; i < len(l.segments); i++ {
		if a, b := l.segments[i-1], l.segments[i]; b.first < a.first {
			return fmt.Errorf("segment %s begins before its predecessor %s: one of them is not of this log; %s", b.name, a.name, trySalvage(l.cfg.Dir))
		}
	}
	return nil
}

func (l *Log) listDir(dir string) error {
	names, err := l.cfg.FS.List(dir)
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		if strings.HasSuffix(name, ".wal.tmp") || strings.HasPrefix(name, "torn-") && strings.HasSuffix(name, ".tmp") {
			// Never finished, released, or the reserve, which gives its room to what opening writes.
			if err := l.cfg.FS.Remove(path); err != nil { // nobody reads it
				l.cfg.Logger.Warn("remove unfinished segment", "file", path, "err", err)
			}
			continue
		}
		number, first, ok := parseSegmentName(name)
		if !ok {
			continue
		}
		s := &segment{number: number, first: first, name: name, path: path}
		f, err := l.cfg.FS.Open(path)
		if err != nil {
			return fmt.Errorf("open %s: %w", name, err)
		}
		size, err := f.Size()
		f.Close()
		if err != nil {
			return fmt.Errorf("size of %s: %w", name, err)
		}
		s.written = size
		l.size.Add(size)
		l.used.Add(size)
		l.segments = append(l.segments, s)
	}
	return nil
}

// replay restores the newest whole state and applies what follows it up to the highest mark. It returns the entries
// above that, which go up to l.next.
func (l *Log) replay(rec *Recovery, man *manifest) (tail []byte, err error) {
	base := -1
	for i := len(l.segments) - 1; i >= 0 && base < 0; i-- {
		s := l.segments[i]
		f, err := l.cfg.FS.Open(s.path)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", s.name, err)
		}
		h, state, err := readState(f, l.id)
		renamed := false
		if err == nil && (h.number != s.number || h.first != s.first) {
			err = fmt.Errorf("%w: it is that of segment %d at %d", errHeader, h.number, h.first)
			renamed = isRenamed(f, s, &h, len(state))
		}
		f.Close()
		switch {
		case renamed:
			return nil, fmt.Errorf("%s: its header and entries are those of %s: the file was renamed; give it its name back; %s", s.name, segmentName(h.number, h.first), trySalvage(l.cfg.Dir))
		case errors.Is(err, errNewer):
			return nil, fmt.Errorf("%s: %w; "+startNewer, s.name, err)
		case err != nil:
			rec.Damage = append(rec.Damage, &CorruptError{Segment: s.name, From: s.first, To: s.first, Err: err})
			continue
		}
		l.id = h.log
		l.seed = seedOf(l.id)
		if err := restoreAll(l.cfg.Books, state); err != nil {
			return nil, fmt.Errorf("%s: %w; if a newer version wrote it, start that; otherwise %s", s.name, err, trySalvage(l.cfg.Dir))
		}
		s.whole = true
		base = i
	}
	if base < 0 && l.segments[0].first == firstLSN && !l.id.IsZero() {
		base = 0 // the state before the first entry is empty, as that of the books is
		l.seed = seedOf(l.id)
	}
	if base < 0 {
		return nil, fmt.Errorf("%w; %s", errStateLost, trySalvage(l.cfg.Dir))
	}
	var m marks
	if man != nil {
		m.durable = man.Durable
	}
	rec.From = l.segments[base].first
	end := rec.From
	for i := base; i < len(l.segments); i++ {
		last := i == len(l.segments)-1
		limit := streamdown.LSN(0)
		if !last {
			limit = l.segments[i+1].first
		}
		if end, tail, err = l.replaySegment(rec, l.segments[i], limit, &m); err != nil {
			return nil, err
		}
	}
	if m.durable > end {
		rec.Damage = append(rec.Damage, &CorruptError{
			Segment: l.segments[len(l.segments)-1].name, From: end, To: m.durable,
			Err: errors.New("the log ends below its durable mark: a segment is missing or was cut"),
		})
		end = m.durable // LSNs are never used twice
	}
	if m.end > end && rec.Torn == 0 {
		rec.Torn = int64(m.end - end) //nolint:gosec // positive; the file ends with a whole entry, and the group does not
	}
	l.next = end
	l.stats.damage.Add(uint64(len(rec.Damage)))
	return tail, nil
}

// isRenamed reports whether the file has entries where its header says, and none where its name says. Otherwise a write
// of another segment's header went to the wrong place, and the entries can be found by their LSNs.
func isRenamed(f vfs.File, s *segment, h *header, state int) bool {
	size, err := f.Size()
	start, seed := dataStart(state), seedOf(h.log)
	if err != nil || size <= start {
		return false
	}
	sp := span{file: f, seed: seed, first: h.first, start: start, limit: h.first + streamdown.LSN(size-start)} //nolint:gosec // positive
	c := Chunk{Buf: make([]byte, 64<<10)}
	if _, err := sp.read(&c, h.first); err != nil || len(c.Entries) == 0 {
		return false
	}
	at, err := locate(f, seed, s.first, size)
	return err == nil && at == size
}

// replaySegment applies a segment's entries and returns the LSN behind the last good one. In the last segment, where
// limit is 0, it first looks for the highest mark, and returns a copy of the entries above it in place of applying them.
func (l *Log) replaySegment(rec *Recovery, s *segment, limit streamdown.LSN, m *marks) (end streamdown.LSN, tail []byte, err error) {
	if err := l.open(s); err != nil {
		return 0, nil, err
	}
	size, err := s.file.Size()
	if err != nil {
		return 0, nil, fmt.Errorf("size of %s: %w", s.name, err)
	}
	if limit == 0 && size < s.room && rec.Torn == 0 {
		rec.Torn = s.room - size // somebody cut the file: it had that size before it was written to
	}
	sp := span{file: s.file, seed: l.seed, first: s.first, start: s.start, limit: limit}
	inFile := s.first
	if size > s.start {
		inFile += streamdown.LSN(size - s.start) //nolint:gosec // positive
	}
	if limit == 0 {
		sp.limit = inFile
		// The segment itself is a mark: it was made when all below it was durable.
		m.durable = max(m.durable, s.first)
		if err := m.search(&sp, s.first); err != nil {
			return 0, nil, l.readError(s, err)
		}
	}
	c := Chunk{Buf: make([]byte, min(1<<20, sp.limit-s.first))}
	at := s.first
	for at < sp.limit {
		_, err := sp.read(&c, at)
		if err != nil {
			return 0, nil, l.readError(s, err)
		}
		for i := range c.Entries {
			e := &c.Entries[i]
			if limit == 0 && e.LSN >= m.durable {
				at := len(tail)
				tail = grow(tail, e.Size())
				e.put(tail[at:], l.seed)
				continue
			}
			m.note(e)
			for _, b := range l.cfg.Books {
				b.Apply(e)
			}
		}
		rec.Entries += len(c.Entries)
		if at = c.Next; len(c.Entries) > 0 || at >= sp.limit {
			continue
		}
		next, err := sp.resync(at)
		if err != nil {
			return 0, nil, l.readError(s, err)
		}
		if limit == 0 && at >= m.durable {
			return at, tail, l.keepTorn(rec, &sp, s, at, m)
		}
		if limit == 0 && next == sp.limit { // nothing of what follows is left: rot up to the mark, a torn tail above
			rec.Damage = append(rec.Damage, &CorruptError{Segment: s.name, From: at, To: m.durable, Err: errEntry})
			return m.durable, tail, l.keepTorn(rec, &sp, s, m.durable, m)
		}
		rec.Damage = append(rec.Damage, &CorruptError{Segment: s.name, From: at, To: next, Err: errEntry})
		at = next
	}
	return at, tail, nil
}

func markOf(e *Entry) streamdown.LSN {
	if e.Kind != KindMark || len(e.Body) != 8 {
		return 0
	}
	return streamdown.LSN(binary.LittleEndian.Uint64(e.Body))
}

// marks is what the marks that were found say.
type marks struct {
	durable streamdown.LSN // all below was durable once
	end     streamdown.LSN // where the last group ended when it was written
	last    streamdown.LSN // where the last entry ends that is whole
}

func (m *marks) note(e *Entry) {
	m.last = max(m.last, e.End())
	if e.Kind == KindMark {
		m.durable = max(m.durable, markOf(e))
		m.end = max(m.end, streamdown.LSN(e.Ordinal)) //nolint:gosec // round trip
	}
}

// search looks through all that is left of a segment: a mark above a damaged place proves that the place was durable
// once.
func (m *marks) search(sp *span, at streamdown.LSN) error {
	if at >= sp.limit {
		return nil
	}
	c := Chunk{Buf: make([]byte, min(1<<20, sp.limit-at))}
	for at < sp.limit {
		if _, err := sp.read(&c, at); err != nil {
			return err
		}
		for i := range c.Entries {
			m.note(&c.Entries[i])
		}
		if at = c.Next; len(c.Entries) == 0 {
			var err error
			if at, err = sp.resync(at); err != nil {
				return err
			}
		}
	}
	return nil
}

// highestMark is the highest mark in what is left of a segment from at on, 0 without any.
func highestMark(sp *span, at streamdown.LSN) (streamdown.LSN, error) {
	var m marks
	err := m.search(sp, at)
	return m.durable, err
}

// keepTorn copies what is cut off the tail to a file of its own. The new segment's first LSN is what cuts.
func (l *Log) keepTorn(rec *Recovery, sp *span, s *segment, from streamdown.LSN, m *marks) error {
	to, err := tornEnd(sp, s, from, m)
	if err != nil {
		return fmt.Errorf("read torn tail of %s: %w", s.name, err)
	}
	if to <= from {
		return nil
	}
	b := make([]byte, to-from)
	if _, err := s.file.ReadAt(b, sp.pos(from)); err != nil {
		return fmt.Errorf("read torn tail of %s: %w", s.name, err)
	}
	rec.Torn = int64(len(b))
	if len(bytes.Trim(b, "\x00")) == 0 {
		return nil // a size without data: nothing to keep
	}
	name := fmt.Sprintf("torn-%020d-%d.bin", uint64(from), l.cfg.Now().UnixNano())
	if err := vfs.WriteFile(l.cfg.FS, filepath.Join(l.cfg.Dir, name), b); err != nil {
		return fmt.Errorf("keep torn tail: %w", err)
	}
	rec.TornFile = name
	return nil
}

// tornEnd says how far a tail reaches that is no whole entries from LSN from on. A file that was new ends where writing
// ended. One that was written over goes on with what it held before, which is no tail: that there is one show entries
// behind it, the mark of its group, or a page that is not filled up with zeros, as each is behind a group's end.
func tornEnd(sp *span, s *segment, from streamdown.LSN, m *marks) (streamdown.LSN, error) {
	at := sp.pos(from)
	if at >= s.room {
		return sp.limit, nil
	}
	to := max(from, m.end, m.last)
	rest := make([]byte, pages(at)-at)
	n, err := s.file.ReadAt(rest, at)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if len(bytes.Trim(rest[:n], "\x00")) > 0 {
		to = max(to, from+streamdown.LSN(n)) //nolint:gosec // not negative
	}
	return min(to, sp.limit), nil
}
