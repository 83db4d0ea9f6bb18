package wal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/streamdown/streamdown"
)

// survey is what reading the chain found.
type survey struct {
	known   bool                        // the books hold what the entries so far made
	full    bool                        // what made a lane is known from the chain's beginning on
	since   int                         // ranges lost when that was last certain
	base    string                      // where the books' state came from, for people
	entries int64                       // applied since
	states  map[*member][]byte          // rebuilt, the newest of them
	rebuilt []*member                   // those in states, and perhaps others before them
	held    int                         // bytes of states
	from    map[*member]string          // and how
	whole   int                         // members whose own state is whole
	patches map[*member][]patch         // what other files have
	names   map[streamdown.LaneID]named // of lanes
	lanes   map[streamdown.LaneID]*seen
	marks   marks
	arrival int64                      // of the last whole entry
	ends    map[*member]streamdown.LSN // behind what counts of it
}

// patch is a part of a member that is whole in another file only.
type patch struct {
	from, to streamdown.LSN
	f        *found
}

// examine reads the chain from its beginning to its end, as opening does: entries are counted and followed, states
// restored and rebuilt, and what is lost is noted.
func (s *Salvage) examine(ctx context.Context) error {
	v := &s.survey
	v.states, v.from, v.patches = map[*member][]byte{}, map[*member]string{}, map[*member][]patch{}
	v.names, v.lanes, v.ends = map[streamdown.LaneID]named{}, map[streamdown.LaneID]*seen{}, map[*member]streamdown.LSN{}
	if len(s.chain) == 0 {
		return nil
	}
	s.plan.First = s.chain[0].first
	if s.man != nil && s.man.Log == s.id {
		v.marks.durable = s.man.Durable
	}
	if s.chain[0].first == firstLSN && !s.id.IsZero() {
		v.known, v.full, v.base = true, true, "the empty state that a log begins with"
	}
	at := s.chain[0].first
	for i, m := range s.chain {
		for _, f := range append([]*found{m.f}, m.copies...) {
			if err := s.open(f); err != nil {
				return err
			}
		}
		end, err := s.follow(ctx, i, at)
		for _, f := range append([]*found{m.f}, m.copies...) {
			f.close()
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", m.f.path(), err)
		}
		at = end
	}
	s.plan.End, s.plan.Mark = at, v.marks.durable
	s.before()
	s.settle()
	return nil
}

// follow reads one member from LSN at on and returns where it ended.
func (s *Salvage) follow(ctx context.Context, i int, at streamdown.LSN) (streamdown.LSN, error) {
	m, v := s.chain[i], &s.survey
	last := i == len(s.chain)-1
	if err := s.enter(i); err != nil {
		return at, err
	}
	limit := m.first
	if !last {
		limit = s.chain[i+1].first
	} else {
		for _, f := range append([]*found{m.f}, m.copies...) {
			sp := f.span(s.seed)
			limit = max(limit, sp.limit)
			v.marks.durable = max(v.marks.durable, m.first)
			if err := v.marks.search(&sp, sp.first); err != nil {
				return at, err
			}
		}
	}
	v.ends[m] = limit
	c := Chunk{Buf: make([]byte, readSize(limit-at))}
	for at < limit {
		if err := ctx.Err(); err != nil {
			return at, err
		}
		next, f, err := s.read(&c, m, at, limit)
		if err != nil {
			return at, err
		}
		if f != nil {
			if f != m.f {
				s.patch(m, at, c.Next, f)
			}
			for j := range c.Entries {
				s.meet(&c.Entries[j])
			}
			s.progress(int64(c.Next - at)) //nolint:gosec // positive
			at = c.Next
			continue
		}
		if last && at >= v.marks.durable { // above the highest mark: what opening cuts
			to, err := s.tornEnd(m, at)
			if err != nil {
				return at, err
			}
			if to > at {
				s.lose(m, at, to, "it lies above the last mark: a write that was under way, or torn by a crash; opening cuts it off and keeps it", true)
			}
			v.ends[m] = max(at, to)
			return at, nil
		}
		if last && next == limit { // nothing of what follows is left
			next = v.marks.durable
			s.lose(m, at, next, errEntry.Error(), false)
			v.ends[m] = limit
			return next, nil
		}
		why := errEntry.Error()
		if m.f.pos(next) > m.f.size {
			why = "the segment ends before it should: it was cut, or one behind it is missing"
		}
		s.lose(m, at, next, why, false)
		at = next
	}
	if last && v.marks.durable > at {
		s.lose(m, at, v.marks.durable, "the log ends below its durable mark: it was cut, or a segment is missing", false)
		at = v.marks.durable
	}
	return at, nil
}

// read reads whole entries at an LSN from the first file that has them. Without a file, next is where whole entries go
// on, or the limit.
func (s *Salvage) read(c *Chunk, m *member, at, limit streamdown.LSN) (next streamdown.LSN, from *found, err error) {
	next = limit
	for i, f := range append([]*found{m.f}, m.copies...) {
		sp := f.span(s.seed)
		sp.limit = min(sp.limit, limit)
		if at >= sp.limit {
			continue
		}
		if _, err := sp.read(c, at); err != nil {
			return next, nil, err
		}
		if len(c.Entries) > 0 {
			if i > 0 { // one entry: then the file that went on is asked again
				c.Entries = c.Entries[:1]
				c.Next = c.Entries[0].End()
			}
			return c.Next, f, nil
		}
	}
	for _, f := range append([]*found{m.f}, m.copies...) {
		sp := f.span(s.seed)
		sp.limit = min(sp.limit, limit)
		if at >= sp.limit {
			continue
		}
		to, err := sp.resync(at)
		if err != nil {
			return next, nil, err
		}
		if to < sp.limit {
			next = min(next, to)
		}
	}
	return next, nil, nil
}

func (s *Salvage) patch(m *member, from, to streamdown.LSN, f *found) {
	list := s.survey.patches[m]
	if n := len(list); n > 0 && list[n-1].to == from && list[n-1].f == f {
		list[n-1].to = to
		return
	}
	s.survey.patches[m] = append(list, patch{from, to, f})
}

// tornEnd says how far the tail of the last member reaches. Where the header is lost, entries of an older segment
// behind it show that the file was written over.
func (s *Salvage) tornEnd(m *member, from streamdown.LSN) (streamdown.LSN, error) {
	sp := m.f.span(s.seed)
	if from >= sp.limit {
		return from, nil
	}
	seg := &segment{file: m.f.file, room: s.room(m.f)}
	return tornEnd(&sp, seg, from, &s.survey.marks)
}

// room is the size that the file had when it was written over, 0 for one that was new.
func (s *Salvage) room(f *found) int64 {
	if f.mine {
		return int64(f.head.pages) * page
	}
	stale := false
	_ = shapes(f.file, f.size, func(e *Entry, crc uint32, head []byte) bool { // that it cannot be read is no sign
		stale = e.LSN < f.slot.first && entryCRC(s.seed, head, e.Kind, e.Body) == crc
		return !stale
	})
	if !stale {
		return 0
	}
	return f.size &^ (page - 1)
}

// maxHeld bounds the memory that rebuilt states take, in bytes. Opening needs one, releasing two.
const maxHeld = 256 << 20

// keep keeps a rebuilt state and lets the oldest go when there are too many.
func (v *survey) keep(m *member, state []byte) {
	v.states[m] = state
	v.rebuilt = append(v.rebuilt, m)
	v.held += len(state)
	for v.held > maxHeld && len(v.rebuilt) > 2 {
		v.held -= len(v.states[v.rebuilt[0]])
		delete(v.states, v.rebuilt[0])
		v.rebuilt = v.rebuilt[1:]
	}
}

// enter looks at a member's state, before its entries.
func (s *Salvage) enter(i int) error {
	m, v := s.chain[i], &s.survey
	var state []byte
	err := errHeader
	for _, f := range append([]*found{m.f}, m.copies...) {
		if f.mine {
			if state, err = f.readState(s.id); err == nil {
				if f != m.f {
					v.keep(m, state)
					v.from[m] = "from " + f.name
				}
				break
			}
		}
	}
	if err == nil {
		if err := s.knowsBooks(m, state); err != nil {
			return err
		}
	}
	if err == nil && !s.id.IsZero() {
		var before []byte
		if v.known {
			before = snapshot(s.cfg.Books)
		}
		fresh := !v.known || len(s.plan.Ranges) > v.since
		if rerr := restore(s.cfg.Books, state); rerr == nil {
			v.known, v.base, v.entries, v.since = true, "the state of segment "+fmt.Sprint(m.number), 0, len(s.plan.Ranges)
			if v.states[m] == nil {
				v.whole++
			}
			s.laneNames()
			if fresh {
				s.compare(i)
			}
			v.full = v.full || i == 0 && s.cfg.Progress != nil
			return nil
		} else {
			s.note("%s: the state matches its checksum and is not understood (%v): if a newer version wrote it, start that", m.f.name, rerr)
			delete(v.states, m)
			if v.known {
				if err := restore(s.cfg.Books, before); err != nil {
					return err
				}
			}
		}
	}
	s.guessNames(m.f)
	if !v.known {
		return nil
	}
	v.keep(m, snapshot(s.cfg.Books))
	v.from[m] = fmt.Sprintf("from %s and %d entries since", v.base, v.entries)
	if len(s.plan.Ranges) > v.since {
		v.from[m] += ", without what the lost ranges held"
	}
	return nil
}

// knowsBooks checks that each part of a state has its book: one that is rebuilt must not lack any.
func (s *Salvage) knowsBooks(m *member, state []byte) error {
	for len(state) >= 5 {
		id, size := state[0], binary.LittleEndian.Uint32(state[1:])
		if uint64(size) > uint64(len(state)-5) {
			return nil // restoring it says so
		}
		if !slices.ContainsFunc(s.cfg.Books, func(b Book) bool { return b.BookID() == id }) {
			return fmt.Errorf("the state of %s has a part for a book %d: %w; "+startNewer, m.f.name, id, errNewer)
		}
		state = state[5+size:]
	}
	return nil
}

var errStateLost = errors.New("no segment has a whole header and state")
