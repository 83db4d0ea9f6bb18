package wal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
)

// link finds for every file its place in the log, and the files that make up the log.
func (s *Salvage) link(ctx context.Context) error {
	if !s.seeded {
		return nil
	}
	for _, f := range s.files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !f.candidate() && f.what != FileReplaced {
			continue
		}
		if err := s.place(f); err != nil {
			return fmt.Errorf("read %s: %w", f.path(), err)
		}
	}
	if err := s.chainUp(ctx); err != nil {
		return err
	}
	if err := s.squeeze(ctx); err != nil {
		return err
	}
	if err := s.tails(ctx); err != nil {
		return err
	}
	for _, f := range s.files {
		if f.what != FileReplaced || !f.placed || !f.holds {
			continue
		}
		if m := s.at(f.slot); m != nil {
			m.copies = append(m.copies, f)
		}
	}
	return nil
}

// place finds a file's slot and where its entries begin. Entries know their LSNs, so they decide where header and name
// differ.
func (s *Salvage) place(f *found) error {
	if err := s.open(f); err != nil {
		return err
	}
	defer f.close()
	whole := f.headErr == nil && f.head.log == s.id
	if whole {
		f.slot, f.start = slot{f.head.number, f.head.first}, dataStart(f.state)
		holds, err := s.holds(f)
		if err != nil {
			return err
		}
		f.mine, f.holds = true, holds
		if !f.named || f.slot == (slot{f.number, f.first}) {
			f.placed = true
			return nil
		}
	}
	if f.named {
		at, err := locate(f.file, s.seed, f.first, f.size)
		if err != nil {
			return err
		}
		switch byName := (slot{f.number, f.first}); {
		case at < f.size && f.holds && at != f.pos(f.first):
			return s.twoInOne(f, byName, at)
		case at < f.size && !f.holds:
			f.placed, f.mine, f.holds = true, false, true
			f.slot, f.start = byName, at
			return nil
		case !whole && f.headErr != nil:
			f.placed = true
			f.slot, f.start = byName, at
		}
	}
	if whole {
		f.placed = true
		return nil
	}
	return s.freely(f)
}

// twoInOne places a file that has entries of the segment of its header and entries of the segment of its name: a write
// went to the wrong file. It is the segment of which it has more, and helps with the other.
func (s *Salvage) twoInOne(f *found, byName slot, at int64) error {
	other := *f
	other.file, other.view, other.placed = nil, true, true
	other.slot, other.start, other.mine = byName, at, false
	f.placed = true
	for _, one := range []*found{f, &other} {
		if err := s.weigh(one); err != nil {
			return err
		}
	}
	if other.weight > f.weight {
		f.slot, other.slot = other.slot, f.slot
		f.start, other.start = other.start, f.start
		f.mine, other.mine = other.mine, f.mine
		f.weight, other.weight = other.weight, f.weight
		f.end, other.end = other.end, f.end
	}
	s.views = append(s.views, &other)
	return nil
}

// holds reports whether there is a whole entry where the slot says.
func (s *Salvage) holds(f *found) (bool, error) {
	sp := f.span(s.seed)
	c := Chunk{Buf: make([]byte, 64<<10)}
	if _, err := sp.read(&c, sp.first); err != nil {
		return false, err
	}
	if len(c.Entries) > 0 {
		return true, nil
	}
	if sp.limit == sp.first {
		return false, nil
	}
	next, err := sp.resync(sp.first)
	return next < sp.limit, err
}

// freely looks for entries in a file of which neither header nor name tells where they lie. In a file that was written
// over, what is left of an older segment has lower LSNs.
func (s *Salvage) freely(f *found) error {
	best := span{}
	err := shapes(f.file, f.size, func(e *Entry, crc uint32, head []byte) bool {
		if entryCRC(s.seed, head, e.Kind, e.Body) != crc {
			return true
		}
		if n := entrySize(len(e.Body)); n > 0 {
			if _, _, err := parseEntry(head[:n], e.LSN, s.seed, true); err != nil {
				return true
			}
		}
		// Only the first entry is needed: the rest is found from it.
		best.first = e.LSN
		return false
	})
	if err != nil || best.first == 0 {
		return err
	}
	at, err := locate(f.file, s.seed, best.first, f.size)
	if err != nil || at == f.size {
		return err
	}
	f.placed, f.holds, f.nowhere = true, true, true
	f.slot, f.start = slot{first: best.first}, at
	return nil
}

// readSize is the size of a buffer to read so much with; it grows for a larger entry.
func readSize(left streamdown.LSN) int64 {
	return int64(min(1<<20, max(4<<10, left))) //nolint:gosec // bounded
}

// weigh counts the bytes of whole entries of a file.
func (s *Salvage) weigh(f *found) error {
	if f.weighed {
		return nil
	}
	if err := s.open(f); err != nil {
		return err
	}
	defer f.close()
	sp := f.span(s.seed)
	c := Chunk{Buf: make([]byte, readSize(sp.limit-sp.first))}
	f.end, f.weighed = f.slot.first, true
	for at := sp.first; at < sp.limit; {
		if _, err := sp.read(&c, at); err != nil {
			return err
		}
		if len(c.Entries) > 0 {
			f.weight += int64(c.Next - at) //nolint:gosec // positive
			at = c.Next
			f.end = at
			continue
		}
		var err error
		if at, err = sp.resync(at); err != nil {
			return err
		}
	}
	return nil
}

// readFull reads until buf is full or the file ends.
func readFull(f vfs.File, buf []byte, pos int64) (int, error) {
	n, err := f.ReadAt(buf, pos)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// pos says at which byte of the file an LSN lies.
func (f *found) pos(lsn streamdown.LSN) int64 { return f.start + int64(lsn-f.slot.first) } //nolint:gosec // file sizes fit

// tails looks for whole entries in what opening cut off the log. They lay above the last mark, behind a place that was
// torn: nobody can say whether they were acknowledged, and others may have their LSNs by now, so they are exported only.
func (s *Salvage) tails(ctx context.Context) error {
	for _, f := range s.files {
		if err := ctx.Err(); err != nil {
			return err
		}
		m := tornName.FindStringSubmatch(f.name)
		if f.what != FileTorn || m == nil {
			continue
		}
		lsn, err := strconv.ParseUint(m[1], 10, 64)
		if err != nil || streamdown.LSN(lsn) > maxLSN {
			continue
		}
		f.slot.first = streamdown.LSN(lsn)
		if err := s.open(f); err != nil {
			return err
		}
		f.holds, err = s.holds(f)
		f.close()
		if err != nil {
			return fmt.Errorf("read %s: %w", f.path(), err)
		}
		if f.holds {
			f.detail = "opening cut it off; it holds whole entries, which --export writes out"
		}
	}
	return nil
}
