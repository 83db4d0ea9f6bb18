package wal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
)

// Reader reads the log in a directory without its lock and without writing, also while a process appends to it: then
// the end is where whole entries end, durable or not. Not for concurrent use.
type Reader struct {
	fs       vfs.FS
	dir      string
	id       streamdown.ID
	seed     uint32
	segments []*segment // oldest first
	current  *segment   // the one whose file is open
	mark     streamdown.LSN
	lanes    laneBook
	identity identityBook
	known    streamdown.LSN // below, identity knows all
}

var errNoLog = errors.New("there is no log; `--data` or `data.dir` names another directory?")

// OpenReader opens the log in dir. It needs one segment whose header is whole, or the manifest, to know the log's id.
// The error wraps the file system's when dir cannot be read.
func OpenReader(fs vfs.FS, dir string) (*Reader, error) {
	r := &Reader{fs: fs, dir: dir}
	r.lanes.init()
	man, err := readManifest(fs, dir) // before the segments: what it calls durable must be in them
	if errors.Is(err, errNewer) {
		return nil, fmt.Errorf("read log in %s: %w", dir, err)
	}
	if r.segments, err = listSegments(fs, dir); err != nil {
		return nil, fmt.Errorf("read log in %s: %w", dir, err)
	}
	if len(r.segments) == 0 {
		return nil, fmt.Errorf("read log in %s: %w", dir, errNoLog)
	}
	if err := r.identify(man); err != nil {
		return nil, fmt.Errorf("read log in %s: %w", dir, err)
	}
	if man != nil && man.Log == r.id {
		r.mark = man.Durable
	}
	return r, nil
}

// readManifest returns nil when there is none, and an error when it is damaged.
func readManifest(fs vfs.FS, dir string) (*manifest, error) {
	b, err := vfs.ReadFile(fs, filepath.Join(dir, "manifest"))
	if vfs.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseManifest(b)
}

// identify finds the log's id, which most headers share, and the lanes' names in the newest whole state.
func (r *Reader) identify(man *manifest) error {
	votes := map[streamdown.ID]int{}
	most := 0
	for i := len(r.segments) - 1; i >= 0; i-- {
		b, err := r.header(r.segments[i])
		if err != nil && !vfs.IsNotExist(err) {
			return err
		}
		if h, _, _, err := parseHeader(b); err == nil {
			if votes[h.log]++; votes[h.log] > most || votes[h.log] == most && man != nil && h.log == man.Log {
				most, r.id = votes[h.log], h.log
			}
		}
	}
	if most == 0 {
		if man == nil {
			return fmt.Errorf("no segment has a whole header and there is no manifest: the log's id has to be found; %s", trySalvage(r.dir))
		}
		r.id = man.Log
	}
	r.seed = seedOf(r.id)
	for i := len(r.segments) - 1; i >= 0; i-- {
		if state, err := r.state(r.segments[i]); err == nil && restore([]Book{&r.lanes, &r.identity}, state) == nil {
			r.known = r.segments[i].first
			break
		}
	}
	return nil
}

func (r *Reader) header(s *segment) ([]byte, error) {
	f, err := r.fs.Open(s.path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", s.name, err)
	}
	defer f.Close()
	b := make([]byte, segmentHeader)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read header of %s: %w", s.name, err)
	}
	return b[:n], nil
}

// state returns a segment's state when it and the header are whole and belong to this segment of this log.
func (r *Reader) state(s *segment) ([]byte, error) {
	f, err := r.fs.Open(s.path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", s.name, err)
	}
	defer f.Close()
	h, state, err := readState(f, r.id)
	if err != nil {
		if err := r.there(s); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	if h.number != s.number || h.first != s.first {
		return nil, fmt.Errorf("%s: %w: it says segment %d at %d: the file was renamed", s.name, errHeader, h.number, h.first)
	}
	return state, nil
}

// ID returns the id in the headers of the log's files.
func (r *Reader) ID() streamdown.ID { return r.id }

// Identity returns what the log is called, as of its newest state and of what was read since: see [Log.ID].
func (r *Reader) Identity() streamdown.ID { return r.identity.get(r.id) }

// First returns the position of the oldest entry kept when the directory was last listed.
func (r *Reader) First() streamdown.LSN { return r.segments[0].first }

// LaneName returns the topic-partition of a lane that was named before the newest segment or in what was read.
func (r *Reader) LaneName(id streamdown.LaneID) (streamdown.TopicPartition, bool) {
	if int(id) >= len(r.lanes.names) || r.lanes.names[id].Topic == "" {
		return streamdown.TopicPartition{}, false
	}
	return r.lanes.names[id], true
}

// Restore gives the books the oldest state that is whole, and returns the LSN of the entry that follows it.
func (r *Reader) Restore(books ...Book) (streamdown.LSN, error) {
	if _, err := r.refresh(); err != nil { // the oldest may have been released since
		return 0, err
	}
	var errs []error
	for _, s := range r.segments {
		state, err := r.state(s)
		if err == nil {
			if err := restore(books, state); err != nil {
				return 0, fmt.Errorf("%s: %w", s.name, err)
			}
			return s.first, nil
		}
		if len(errs) < 8 {
			errs = append(errs, err)
		}
	}
	err := fmt.Errorf("no segment has a whole header and state: %w", errors.Join(errs...))
	if vfs.IsNotExist(err) { // released while we looked
		err = fmt.Errorf("%w: %w", ErrReleased, err)
	}
	return 0, err
}

// Close closes what is open.
func (r *Reader) Close() {
	r.use(nil)
}

func (r *Reader) use(s *segment) {
	if r.current != nil && r.current != s && r.current.file != nil {
		r.current.file.Close()
		r.current.file = nil
	}
	r.current = s
}

// Read is [Log.Read] for a directory: whole entries from LSN from on, until c.Buf is full. Without entries and error,
// from is the end. Damage gives a *CorruptError and no entries, with c.Next behind the damaged range. A position whose
// segment is gone gives ErrReleased.
func (r *Reader) Read(c *Chunk, from streamdown.LSN) error {
	if len(c.Buf) == 0 {
		c.Buf = make([]byte, 1<<20)
	}
	for looked := false; ; {
		c.Entries, c.Next = c.Entries[:0], from
		s, sp, last, err := r.span(from)
		if vfs.IsNotExist(err) && !looked {
			looked = true
			if _, err = r.refresh(); err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		if _, err := sp.read(c, from); err != nil {
			return fmt.Errorf("read %s: %w", s.name, err)
		}
		if len(c.Entries) > 0 {
			r.notice(c.Entries)
			return nil
		}
		if !last {
			return r.damage(c, s, &sp, from, sp.limit)
		}
		if !looked { // a process may have begun a new segment
			looked = true
			if changed, err := r.refresh(); err != nil {
				return err
			} else if changed {
				continue
			}
		}
		if from < sp.limit && from >= r.mark { // what is here was written before the marks that follow it
			next, err := sp.resync(from)
			if err == nil {
				next, err = highestMark(&sp, next)
			}
			if err != nil {
				return fmt.Errorf("read %s: %w", s.name, err)
			}
			r.mark = max(r.mark, next)
		}
		if from >= r.mark {
			return nil
		}
		return r.damage(c, s, &sp, from, max(sp.limit, r.mark))
	}
}

// damage says which bytes are not entries; end is where the segment should end.
func (r *Reader) damage(c *Chunk, s *segment, sp *span, from, end streamdown.LSN) error {
	next, err := sp.resync(from)
	if err != nil {
		return fmt.Errorf("read %s: %w", s.name, err)
	}
	if err := r.there(s); err != nil {
		return err
	}
	cause := errEntry
	if next >= sp.limit {
		next = end
		if size, err := sp.file.Size(); err == nil && sp.pos(end) > size {
			cause = errors.New("the segment ends before it should: it was cut or one behind it is missing")
		}
	}
	c.Entries, c.Next = c.Entries[:0], next
	return &CorruptError{Segment: s.name, From: from, To: next, Err: cause}
}

// there reports an error if the segment was released meanwhile: then what is in its file says nothing about it. The name
// goes before the content does.
func (r *Reader) there(s *segment) error {
	f, err := r.fs.Open(s.path)
	if vfs.IsNotExist(err) {
		if _, rerr := r.refresh(); rerr != nil {
			return rerr
		}
		return fmt.Errorf("%s: %w: %w", s.name, ErrReleased, err)
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", s.name, err)
	}
	f.Close()
	return nil
}

// notice keeps the marks and the lanes' names that pass by.
func (r *Reader) notice(entries []Entry) {
	for i := range entries {
		e := &entries[i]
		r.mark = max(r.mark, markOf(e))
		if e.Kind == KindLane && int64(e.Lane) <= int64(len(r.lanes.names)+maxLaneHole) {
			r.lanes.Apply(e)
		}
		if e.LSN >= r.known {
			r.identity.Apply(e)
			r.known = e.End()
		}
	}
}

// maxLaneHole bounds what one entry can make a reader allocate for lanes whose names were damaged.
const maxLaneHole = 1 << 16

// span opens the segment that holds lsn. In the last one the limit is the end of the file as it is now.
func (r *Reader) span(lsn streamdown.LSN) (s *segment, sp span, last bool, err error) {
	i := len(r.segments) - 1
	for i > 0 && r.segments[i].first > lsn {
		i--
	}
	s = r.segments[i]
	if lsn < s.first {
		return s, sp, false, fmt.Errorf("read at %d: the log begins at %d: %w", lsn, s.first, ErrReleased)
	}
	r.use(s)
	if s.file == nil {
		if s.file, err = r.fs.Open(s.path); err != nil {
			return s, sp, false, fmt.Errorf("open %s: %w", s.name, err)
		}
	}
	size, err := s.file.Size()
	if err != nil {
		return s, sp, false, fmt.Errorf("size of %s: %w", s.name, err)
	}
	if s.start == 0 {
		var b [segmentHeader]byte
		_, err := s.file.ReadAt(b[:], 0)
		h, state, _, herr := parseHeader(b[:])
		if err == nil && herr == nil && h.log == r.id && h.number == s.number && h.first == s.first && state <= maxState {
			s.start, s.room = dataStart(state), int64(h.pages)*page
		} else if s.start, err = locate(s.file, r.seed, s.first, size); err != nil {
			return s, sp, false, fmt.Errorf("read %s: %w", s.name, err)
		}
	}
	sp = span{file: s.file, seed: r.seed, first: s.first, start: s.start, limit: s.first}
	if last = i == len(r.segments)-1; !last {
		sp.limit = r.segments[i+1].first
	} else if size > s.start {
		sp.limit += streamdown.LSN(size - s.start) //nolint:gosec // positive
	}
	return s, sp, last, nil
}

// refresh lists the directory again and keeps what is known of the segments that are still there.
func (r *Reader) refresh() (changed bool, err error) {
	now, err := listSegments(r.fs, r.dir)
	if err != nil {
		return false, fmt.Errorf("list %s: %w", r.dir, err)
	}
	if len(now) == 0 {
		return false, fmt.Errorf("list %s: %w", r.dir, errNoLog)
	}
	known := make(map[string]*segment, len(r.segments))
	for _, s := range r.segments {
		known[s.name] = s
	}
	changed = len(now) != len(r.segments)
	for i, s := range now {
		if old := known[s.name]; old != nil {
			now[i] = old
		} else {
			changed = true
		}
	}
	if r.current != nil && !slices.Contains(now, r.current) {
		r.use(nil)
	}
	r.segments = now
	return changed, nil
}

// Walk hands the entries of the log in dir to fn, in order, from LSN from on (the start of an entry; 0 is the oldest),
// with the name of the lane for those that have one. e.Body is fn's until it returns; an error of fn ends the walk and
// is returned as it is. The log is neither locked nor written. Damaged ranges are passed over; at the end the first of
// them is the error, a *CorruptError.
func Walk(ctx context.Context, fs vfs.FS, dir string, from streamdown.LSN, fn func(e *Entry, lane streamdown.TopicPartition) error) error {
	r, err := OpenReader(fs, dir)
	if err != nil {
		return err
	}
	defer r.Close()
	oldest := from == 0
	for {
		if oldest {
			from = max(from, r.First())
		}
		end, err := r.Walk(ctx, from, func(e *Entry) error {
			var lane streamdown.TopicPartition
			if e.Kind == KindLane || e.Kind == KindBatch || e.Kind == KindBinding || e.Kind == KindQuarantine {
				lane, _ = r.LaneName(e.Lane)
			}
			return fn(e, lane)
		})
		if !oldest || !errors.Is(err, ErrReleased) {
			return err
		}
		from = end // its owner released what came next while we read: go on with what is left
	}
}

// Walk hands the entries from LSN from on to fn, as the function Walk does, and returns where the log ended just now
// or, with an error, where the walk ended. Segments that are released before it reaches them end it with ErrReleased.
func (r *Reader) Walk(ctx context.Context, from streamdown.LSN, fn func(e *Entry) error) (end streamdown.LSN, err error) {
	var c Chunk
	var first error
	ranges := 0
	for {
		if err := ctx.Err(); err != nil {
			return from, err
		}
		err := r.Read(&c, from)
		var bad *CorruptError
		switch {
		case errors.As(err, &bad):
			if ranges++; ranges == 1 {
				first = err
			}
		case err != nil:
			return from, err
		case len(c.Entries) == 0:
			if ranges > 1 {
				first = fmt.Errorf("%w; and %d more damaged ranges", first, ranges-1)
			}
			return from, first
		}
		for i := range c.Entries {
			if err := fn(&c.Entries[i]); err != nil {
				return c.Entries[i].LSN, err
			}
		}
		from = c.Next
	}
}

// Load restores books from the oldest whole state of the log in dir and applies every entry kept since: so they know
// what a process that runs, or ran last, has written down. It returns the log's id. Damage gives a *CorruptError, with
// the books loaded all the same, without what the damaged ranges held.
func Load(ctx context.Context, fs vfs.FS, dir string, books ...Book) (streamdown.ID, error) {
	r, err := OpenReader(fs, dir)
	if err != nil {
		return streamdown.ID{}, err
	}
	defer r.Close()
	_, err = r.Load(ctx, books...)
	return r.id, err
}

// Load does what the function Load does, and returns where the log ended just now: [Reader.Walk] goes on from there.
func (r *Reader) Load(ctx context.Context, books ...Book) (end streamdown.LSN, err error) {
	for {
		from, err := r.Restore(books...)
		if errors.Is(err, ErrReleased) && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("load log in %s: %w", r.dir, err)
		}
		end, err = r.Walk(ctx, from, func(e *Entry) error {
			for _, b := range books {
				b.Apply(e)
			}
			return nil
		})
		if !errors.Is(err, ErrReleased) {
			return end, err
		}
	}
}
