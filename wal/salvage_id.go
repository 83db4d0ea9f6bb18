package wal

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
)

var idText = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// identify finds the log's id: what is asked for, or what manifest and headers agree on, or what nearly all headers
// name, or any that is left in what is damaged and that entries prove: the id is the seed of their checksums. Where
// manifest and headers contradict each other with good reasons on both sides, a person has to say.
func (s *Salvage) identify(ctx context.Context) error {
	votes := map[streamdown.ID]int64{} // bytes
	for _, f := range s.files {
		if f.candidate() && f.headErr == nil {
			votes[f.head.log] += f.size + 1
		}
	}
	if s.man != nil && len(votes) > 0 && votes[s.man.Log] == 0 {
		ok, err := s.proven(ctx, s.man.Log)
		if err != nil {
			return err
		}
		if ok {
			votes[s.man.Log] = 1
		}
	}
	ids := slices.SortedFunc(maps.Keys(votes), func(a, b streamdown.ID) int {
		return cmp.Or(cmp.Compare(votes[b], votes[a]), slices.Compare(a[:], b[:]))
	})
	sum := int64(0)
	for _, n := range votes {
		sum += n
	}
	switch {
	case s.cfg.Log != "":
		var err error
		if s.id, err = streamdown.ParseID(s.cfg.Log); err != nil {
			return err
		}
	case len(ids) == 0:
		if err := s.provenID(ctx); err != nil {
			return err
		}
	case s.man != nil && s.man.Log == ids[0], (s.man == nil || votes[s.man.Log] == 0) && votes[ids[0]] >= sum/4*3:
		s.id = ids[0]
	default:
		var list []string
		for _, id := range ids {
			list = append(list, fmt.Sprintf("%s has %d bytes", id, votes[id]))
		}
		if s.man != nil {
			list = append(list, "the manifest names "+s.man.Log.String())
		}
		s.which = "the segments are of several logs: " + strings.Join(list, ", ")
		return nil
	}
	if !s.id.IsZero() {
		s.seed, s.seeded = seedOf(s.id), true
		text := s.id.String()
		s.plan.LogID = &text
	}
	if len(ids) > 1 {
		s.note("the segments are of %d logs; %s is the one of this directory", len(ids), s.id)
	}
	return nil
}

func (s *Salvage) note(format string, args ...any) {
	s.plan.Notes = append(s.plan.Notes, fmt.Sprintf(format, args...))
}

// provenID looks for the id where no header is whole.
func (s *Salvage) provenID(ctx context.Context) error {
	var ids []streamdown.ID
	if s.man != nil {
		ids = append(ids, s.man.Log)
	} else if b, err := vfs.ReadFile(s.cfg.FS, filepath.Join(s.cfg.Dir, "manifest")); err == nil {
		if id, err := streamdown.ParseID(string(idText.Find(b))); err == nil {
			ids = append(ids, id)
		}
	}
	for _, f := range s.files {
		if !f.named || f.size < segmentHeader || f.what != "" && f.what != FileReplaced {
			continue
		}
		if err := s.open(f); err != nil {
			return err
		}
		var b [segmentHeader]byte
		_, err := f.file.ReadAt(b[:], 0)
		f.close()
		if err != nil {
			return fmt.Errorf("read header of %s: %w", f.path(), err)
		}
		if id := streamdown.ID(b[8:24]); !id.IsZero() && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for _, id := range ids {
		ok, err := s.proven(ctx, id)
		if err != nil {
			return err
		}
		if ok {
			s.id = id
			return nil
		}
	}
	if s.man != nil {
		s.id = s.man.Log // nothing contradicts it
		return nil
	}
	return s.provenSeed(ctx)
}

// proven reports whether a segment has entries of that log.
func (s *Salvage) proven(ctx context.Context, id streamdown.ID) (bool, error) {
	seed := seedOf(id)
	for _, f := range s.files {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if !f.candidate() || !f.named {
			continue
		}
		if err := s.open(f); err != nil {
			return false, err
		}
		at, err := locate(f.file, seed, f.first, f.size)
		f.close()
		if err != nil {
			return false, fmt.Errorf("read %s: %w", f.path(), err)
		}
		if at < f.size {
			return true, nil
		}
	}
	return false, nil
}

// provenSeed finds the seed of the entries' checksums when the id that it comes from is lost: a checksum is linear, so
// each entry gives the seed that would make it right, and only the right one comes twice.
func (s *Salvage) provenSeed(ctx context.Context) error {
	votes := map[uint32]int{}
	for _, f := range s.files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !f.candidate() || !f.named {
			continue
		}
		if err := s.open(f); err != nil {
			return err
		}
		err := shapes(f.file, f.size, func(e *Entry, crc uint32, head []byte) bool {
			if e.LSN < f.first {
				return true
			}
			seed := seedBefore(crc, head[4:entryHeader], covered(e.Kind, e.Body))
			votes[seed]++
			if votes[seed] == 2 {
				s.seed, s.seeded = seed, true
			}
			return !s.seeded
		})
		f.close()
		if err != nil {
			return fmt.Errorf("read %s: %w", f.path(), err)
		}
		if s.seeded {
			s.note("the log's id is lost in every header and in the manifest; its entries can be checked all the same")
			return nil
		}
	}
	return nil
}

// What bounds the body of an entry that is looked for without knowing where entries begin: all of it is checked, for a
// batch only what is before its own checksum.
const (
	maxShape      = 1 << 20
	maxShapeOther = 64 << 10
)

// shapes calls f for what has the shape of an entry, at multiples of 8 behind the header; whether its checksum is right
// is not known. It ends when f says false.
func shapes(file vfs.File, size int64, f func(e *Entry, crc uint32, head []byte) bool) error {
	buf := make([]byte, min(4<<20, size))
	for pos := int64(segmentHeader); pos+entryHeader <= size; {
		n, err := readFull(file, buf, pos)
		if err != nil {
			return err
		}
		b := buf[:n]
		i := 0
		for ; i+entryHeader <= len(b); i += 8 {
			h := b[i:]
			body := binary.LittleEndian.Uint32(h[4:])
			lsn := streamdown.LSN(binary.LittleEndian.Uint64(h[8:]))
			switch {
			case h[16] == 0 || Kind(h[16]) >= maxKind || h[17]|h[18]|h[19]|h[44]|h[45]|h[46]|h[47] != 0 || body > maxShape || Kind(h[16]) != KindBatch && body > maxShapeOther || lsn < firstLSN || lsn > maxLSN:
				continue
			case entrySize(int(body)) > len(h) && i > 0 && pos+int64(i)+int64(entrySize(int(body))) <= size:
			case entrySize(int(body)) > len(h):
				continue
			default:
				e := Entry{LSN: lsn, Kind: Kind(h[16]), Body: h[entryHeader : entryHeader+int(body)]}
				if !f(&e, binary.LittleEndian.Uint32(h), h) {
					return nil
				}
				continue
			}
			break // it reaches beyond what was read
		}
		if i == 0 || pos+int64(n) >= size && i+entryHeader > len(b) {
			return nil
		}
		pos += int64(i)
	}
	return nil
}

// seedBefore returns the checksum that came before the parts, given the one behind them.
func seedBefore(crc uint32, parts ...[]byte) uint32 {
	c := ^crc
	for i := len(parts) - 1; i >= 0; i-- {
		for j := len(parts[i]) - 1; j >= 0; j-- {
			at := crcTop[byte(c>>24)]
			c = (c^castagnoli[at])<<8 | uint32(at^parts[i][j])
		}
	}
	return ^c
}

// crcTop finds an entry of the checksum's table by its highest byte, which no two share.
var crcTop = func() (t [256]byte) {
	for i, v := range castagnoli {
		t[v>>24] = byte(i)
	}
	return t
}()
