package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/streamdown/streamdown"
)

const (
	blockHeader = 48
	// softBlock is where a block is full, hardBlock what a reader believes: a block is over the first by one row at most.
	softBlock = 512 << 10
	hardBlock = 16 << 20
)

var blockMagic = []byte("SDLB")

// block is a part of the log: rows of all that is kept of [from, to).
type block struct {
	from, to streamdown.LSN
	arrival  int64
	rows     int
	body     []byte
}

var (
	errShort = errors.New("ends in the middle of a block")
	errBlock = errors.New("no valid block")
)

// builder collects rows of a block. Its buffer is used again.
type builder struct {
	buf    []byte
	rows   int
	from   streamdown.LSN
	base   int64
	cursor cursor
}

// begin begins a block at a log position.
func (b *builder) begin(from streamdown.LSN) {
	b.buf = append(b.buf[:0], make([]byte, blockHeader)...)
	b.rows, b.from, b.base, b.cursor = 0, from, 0, cursor{lsn: from}
}

func (b *builder) add(r *Row) {
	if b.rows == 0 {
		b.base, b.cursor.arrival = r.Arrival, r.Arrival
	}
	b.buf = b.cursor.put(b.buf, r)
	b.rows++
}

func (b *builder) full() bool { return len(b.buf) >= softBlock }

// finish returns the block's bytes, up to a log position; they are valid until begin.
func (b *builder) finish(to streamdown.LSN) []byte {
	h, body := b.buf[:blockHeader], b.buf[blockHeader:]
	copy(h, blockMagic)
	binary.LittleEndian.PutUint32(h[8:], crc32.Checksum(body, castagnoli))
	binary.LittleEndian.PutUint32(h[12:], uint32(len(body))) //nolint:gosec // bounded by hardBlock
	binary.LittleEndian.PutUint64(h[16:], uint64(b.from))
	binary.LittleEndian.PutUint64(h[24:], uint64(to))
	binary.LittleEndian.PutUint64(h[32:], uint64(b.base)) //nolint:gosec // round trip
	binary.LittleEndian.PutUint32(h[40:], uint32(b.rows)) //nolint:gosec // bounded by the size
	binary.LittleEndian.PutUint32(h[44:], 0)
	binary.LittleEndian.PutUint32(h[4:], crc32.Checksum(h[8:], castagnoli))
	return b.buf
}

// parseHead reads the fixed part of a block; the rows are not there yet.
func parseHead(b []byte) (block, int, error) {
	if len(b) < blockHeader {
		return block{}, 0, errShort
	}
	if !bytes.Equal(b[:4], blockMagic) || binary.LittleEndian.Uint32(b[4:]) != crc32.Checksum(b[8:blockHeader], castagnoli) {
		return block{}, 0, errBlock
	}
	x := block{
		from: streamdown.LSN(binary.LittleEndian.Uint64(b[16:])), to: streamdown.LSN(binary.LittleEndian.Uint64(b[24:])),
		arrival: int64(binary.LittleEndian.Uint64(b[32:])), rows: int(binary.LittleEndian.Uint32(b[40:])), //nolint:gosec // round trip
	}
	size := binary.LittleEndian.Uint32(b[12:])
	if size > hardBlock || x.to < x.from {
		return block{}, 0, errBlock
	}
	return x, int(size), nil
}

// parseBlock reads the block at the start of b, and returns how many bytes it takes. Its rows alias b.
func parseBlock(b []byte) (block, int, error) {
	x, size, err := parseHead(b)
	if err != nil {
		return block{}, 0, err
	}
	if len(b)-blockHeader < size {
		return block{}, blockHeader + size, errShort
	}
	x.body = b[blockHeader : blockHeader+size : blockHeader+size]
	if crc32.Checksum(x.body, castagnoli) != binary.LittleEndian.Uint32(b[8:]) {
		return block{}, 0, errBlock
	}
	return x, blockHeader + size, nil
}

// each hands the rows to fn, which must not keep them. The error is errRow, or fn's.
func (x *block) each(fn func(r *Row) error) error {
	c := cursor{lsn: x.from, arrival: x.arrival}
	var r Row
	rest := x.body
	for range x.rows {
		var err error
		if rest, err = c.next(rest, &r); err != nil {
			return err
		}
		if r.End() > x.to {
			return errRow
		}
		if err := fn(&r); err != nil {
			return err
		}
	}
	if len(rest) > 0 {
		return errRow
	}
	return nil
}

// resync returns where the next whole block begins in b, at or behind from; len(b) if there is none.
func resync(b []byte, from int) int {
	for from < len(b) {
		i := bytes.Index(b[from:], blockMagic)
		if i < 0 {
			return len(b)
		}
		if _, _, err := parseBlock(b[from+i:]); err == nil {
			return from + i
		}
		from += i + 1
	}
	return len(b)
}
