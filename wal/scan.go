package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
)

// maxState bounds what a damaged header can make us allocate.
const maxState = 1 << 30

// readState reads a segment's header and state and checks both.
func readState(f vfs.File, log streamdown.ID) (header, []byte, error) {
	var b [segmentHeader]byte
	if _, err := f.ReadAt(b[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return header{}, nil, err
	}
	h, size, crc, err := parseHeader(b[:])
	if err != nil {
		return h, nil, err
	}
	if !log.IsZero() && h.log != log {
		return h, nil, fmt.Errorf("%w: it belongs to log %s, not %s", errHeader, h.log, log)
	}
	if size > maxState {
		return h, nil, errHeader
	}
	has, err := f.Size()
	if err != nil {
		return h, nil, err
	}
	if int64(size) > has-segmentHeader {
		return h, nil, fmt.Errorf("%w: the file ends within its state", errHeader)
	}
	state := make([]byte, size)
	if _, err := f.ReadAt(state, segmentHeader); err != nil {
		return h, nil, fmt.Errorf("%w: state: %w", errHeader, err)
	}
	if crc32.Checksum(state, castagnoli) != crc {
		return h, nil, fmt.Errorf("%w: state does not match its checksum", errHeader)
	}
	return h, state, nil
}

// source is what a segment is read from.
type source interface {
	io.ReaderAt
	Size() (int64, error)
}

// span is a part of one segment's entries that is to be read: [at, limit) in LSNs, with the file position of at.
type span struct {
	file  source
	seed  uint32
	first streamdown.LSN // of the segment
	start int64          // file position of first
	limit streamdown.LSN // end of what may be read
}

func (s *span) pos(lsn streamdown.LSN) int64 { return s.start + int64(lsn-s.first) } //nolint:gosec // file sizes fit

// fill reads bytes from lsn on into buf, fewer at the limit or at the end of the file.
func (s *span) fill(lsn streamdown.LSN, buf []byte) ([]byte, error) {
	if left := s.limit - lsn; streamdown.LSN(len(buf)) > left {
		buf = buf[:left]
	}
	n, err := s.file.ReadAt(buf, s.pos(lsn))
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return buf[:n], err
}

// read parses whole entries from lsn on into c, which it fills at most once: c.Next is behind the last one. No entry
// and no error means the end. damaged is true when the bytes at c.Next are there and are no valid entry.
func (s *span) read(c *Chunk, lsn streamdown.LSN) (damaged bool, err error) {
	c.Entries, c.Next = c.Entries[:0], lsn
	if lsn >= s.limit {
		return false, nil
	}
	for {
		b, err := s.fill(lsn, c.Buf)
		if err != nil {
			return false, err
		}
		whole := lsn+streamdown.LSN(len(b)) >= s.limit || len(b) < len(c.Buf) // nothing more can be had
		for rest := b; len(rest) > 0; {
			e, n, err := parseEntry(rest, c.Next, s.seed, true)
			switch {
			case err == nil:
				c.Entries = append(c.Entries, e)
				c.Next += streamdown.LSN(n) //nolint:gosec // positive
				rest = rest[n:]
				continue
			case errors.Is(err, errNewer):
				return false, err
			case errors.Is(err, errShort) && !whole && streamdown.LSN(n) <= s.limit-c.Next: //nolint:gosec // positive
				if len(c.Entries) > 0 {
					return false, nil
				}
				c.Buf = make([]byte, max(n, 2*len(c.Buf)))
			default:
				return true, nil
			}
			break
		}
		if len(c.Entries) > 0 || whole {
			return false, nil
		}
	}
}

// resync finds the next valid entry above lsn, or the limit. Entries lie on multiples of 8 and carry their own LSN, so
// nothing else can be taken for one.
func (s *span) resync(lsn streamdown.LSN) (streamdown.LSN, error) {
	const window = 1 << 20
	c := Chunk{Buf: make([]byte, 64<<10)}
	buf := make([]byte, min(window+8, s.limit-lsn))
	for at := lsn + 8; at < s.limit; {
		b, err := s.fill(at, buf)
		if err != nil {
			return s.limit, err
		}
		for i := 0; i+16 <= len(b); i += 8 {
			here := at + streamdown.LSN(i)
			if binary.LittleEndian.Uint64(b[i+8:]) != uint64(here) {
				continue
			}
			if _, _, err := parseEntry(b[i:], here, s.seed, true); err == nil {
				return here, nil
			} else if !errors.Is(err, errShort) {
				continue // bytes of clients can look like many entries: only one that goes on is read for
			}
			if _, err := s.read(&c, here); err == nil && len(c.Entries) > 0 {
				return here, nil
			}
		}
		if len(b) < len(buf) {
			break
		}
		at += window
	}
	return s.limit, nil
}

// locate finds the file position of a segment's first entry when its header cannot be read: every entry knows its LSN.
func locate(f source, seed uint32, first streamdown.LSN, size int64) (int64, error) {
	buf := make([]byte, 1<<20)
	c := Chunk{Buf: make([]byte, 64<<10)}
	for pos := int64(segmentHeader); pos < size; pos += int64(len(buf) - entryHeader) {
		n, err := f.ReadAt(buf, pos)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		for i := 0; i+entryHeader <= n; i += 8 {
			lsn := streamdown.LSN(binary.LittleEndian.Uint64(buf[i+8:]))
			start := pos + int64(i) - int64(lsn-first) //nolint:gosec // checked next
			if lsn < first || start < segmentHeader || start > pos+int64(i) {
				continue
			}
			s := span{file: f, seed: seed, first: first, start: start, limit: first + streamdown.LSN(size-start)} //nolint:gosec // positive
			if _, err := s.read(&c, lsn); err == nil && len(c.Entries) > 0 {
				return start, nil
			}
		}
	}
	return size, nil
}
