package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/wal"
)

// Row is what is kept of one entry of the log.
type Row struct {
	wal.Entry // of a batch without its body
	// Size is that of the entry's body in bytes.
	Size int32
	// The following are set for batches only.
	CRC       uint32 // of the payload, see batch.PayloadCRC
	Codec     batch.Codec
	Base, Max int64 // timestamps of the header
	Digested  bool
	Digest    Digest
}

// End is the log position behind the entry.
func (r *Row) End() streamdown.LSN {
	return r.LSN + streamdown.LSN((&wal.Entry{}).Size()+(int(r.Size)+7)&^7) //nolint:gosec // positive
}

// Kept reports whether the ledger has rows for entries of this kind. Marks, settings of the cluster and holds say nothing about
// what became of a record.
func Kept(k wal.Kind) bool {
	switch k {
	case wal.KindMark, wal.KindHold, wal.KindCluster, wal.KindTopic:
		return false
	}
	return true
}

// RowOf makes the row of an entry of a kind that is kept; the body of one that is no batch is e's. A batch whose header
// is none gives an error: its checksum was checked when it was read, so it was admitted like that.
func RowOf(e *wal.Entry) (Row, error) {
	r := Row{Entry: *e, Size: int32(len(e.Body))} //nolint:gosec // bounded by wal.MaxBody
	if e.Kind != wal.KindBatch {
		return r, nil
	}
	r.Body = nil
	h, err := batch.ParseHeader(e.Body)
	if err != nil {
		return r, fmt.Errorf("row of the batch at %d: %w", e.LSN, err)
	}
	r.CRC, r.Codec, r.Base, r.Max = batch.PayloadCRC(e.Body), h.Codec(), h.BaseTimestamp, h.MaxTimestamp
	return r, nil
}

const (
	codecBits  = 7
	digestFlag = 8
)

// cursor is where the fields of the next row count from.
type cursor struct {
	lsn     streamdown.LSN
	arrival int64
}

// put appends a row to dst.
func (c *cursor) put(dst []byte, r *Row) []byte {
	dst = append(dst, byte(r.Kind))
	dst = binary.AppendUvarint(dst, uint64(r.LSN-c.lsn))
	dst = binary.AppendUvarint(dst, uint64(r.Lane))
	dst = binary.AppendVarint(dst, int64(r.Ordinal))
	dst = binary.AppendVarint(dst, int64(r.Count))
	dst = binary.AppendUvarint(dst, uint64(r.Size)) //nolint:gosec // not negative
	dst = binary.AppendVarint(dst, r.Arrival-c.arrival)
	c.lsn, c.arrival = r.End(), r.Arrival
	if r.Kind != wal.KindBatch {
		return append(dst, r.Body...)
	}
	flags := byte(r.Codec) & codecBits
	if r.Digested {
		flags |= digestFlag
	}
	dst = append(dst, flags)
	dst = binary.LittleEndian.AppendUint32(dst, r.CRC)
	dst = binary.AppendVarint(dst, r.Base-r.Arrival)
	dst = binary.AppendVarint(dst, r.Max-r.Base)
	if r.Digested {
		dst = binary.LittleEndian.AppendUint64(dst, r.Digest.Content)
		dst = binary.LittleEndian.AppendUint64(dst, r.Digest.Times)
	}
	return dst
}

var errRow = errors.New("malformed row")

// next reads the row at the start of b into r and returns what follows. A body aliases b.
func (c *cursor) next(b []byte, r *Row) ([]byte, error) {
	d := decoder{b: b}
	kind := wal.Kind(d.byte())
	*r = Row{Entry: wal.Entry{Kind: kind, LSN: c.lsn + streamdown.LSN(d.uvarint())}}
	lane := d.uvarint()
	r.Ordinal = streamdown.Ordinal(d.varint())
	count, size := d.varint(), d.uvarint()
	r.Arrival = c.arrival + d.varint()
	if d.bad || kind == 0 || lane != uint64(uint32(lane)) || count != int64(int32(count)) || size > wal.MaxBody || r.LSN < c.lsn { //nolint:gosec // that is the check
		return nil, errRow
	}
	r.Lane, r.Count, r.Size = streamdown.LaneID(lane), int32(count), int32(size) //nolint:gosec // checked
	c.lsn, c.arrival = r.End(), r.Arrival
	if kind != wal.KindBatch {
		r.Body = d.bytes(int(size))
	} else {
		flags := d.byte()
		r.Codec = batch.Codec(flags & codecBits)
		if crc := d.bytes(4); !d.bad {
			r.CRC = binary.LittleEndian.Uint32(crc)
		}
		r.Base = r.Arrival + d.varint()
		r.Max = r.Base + d.varint()
		if flags&digestFlag != 0 {
			if sum := d.bytes(16); !d.bad {
				r.Digested = true
				r.Digest = Digest{Records: int64(r.Count), Content: binary.LittleEndian.Uint64(sum), Times: binary.LittleEndian.Uint64(sum[8:])}
			}
		}
		if count <= 0 || flags >= digestFlag<<1 || r.Ordinal < 0 {
			return nil, errRow
		}
	}
	if d.bad {
		return nil, errRow
	}
	return d.b, nil
}

// decoder remembers the first failure.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) bytes(n int) []byte {
	if n > len(d.b) {
		d.b, d.bad = nil, true
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte() byte {
	if v := d.bytes(1); v != nil {
		return v[0]
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	d.skip(n)
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	d.skip(n)
	return v
}

func (d *decoder) skip(n int) {
	if n <= 0 {
		d.b, d.bad = nil, true
		return
	}
	d.b = d.b[n:]
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)
