package batch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// HeaderSize is the number of bytes before the payload.
const HeaderSize = 61

// Offsets of the header's fields; the package comment has the table.
const (
	offLength          = 8
	offLeaderEpoch     = 12
	offMagic           = 16
	offCRC             = 17
	offAttributes      = 21
	offLastOffsetDelta = 23
	offBaseTimestamp   = 27
	offMaxTimestamp    = 35
	offProducerID      = 43
	offProducerEpoch   = 51
	offBaseSequence    = 53
	offCount           = 57

	lengthEnd = offLeaderEpoch // the length field counts the bytes from here on
)

// Bits of the attributes.
const (
	attrCodec         = 0x07
	attrLogAppendTime = 0x08
	attrTransactional = 0x10
	attrControl       = 0x20
	// 0x40: the base timestamp is a delete horizon, set by a broker's log cleaner (KIP-534)

	attrKnown = attrCodec | attrLogAppendTime | attrTransactional | attrControl // what producers may say
)

const noTimestamp = -1

// NoProducerID, NoEpoch and NoSequence stand in batches of producers without idempotence.
const (
	NoProducerID int64 = -1
	NoEpoch      int16 = -1
	NoSequence   int32 = -1
)

// ErrShort says that the bytes end before the batch does.
var ErrShort = errors.New("record batch cut short")

// Header holds the fields of a batch's first 61 bytes as they stand there, unchecked.
type Header struct {
	BaseOffset      int64
	Length          int32 // bytes after the length field: the batch has 12 more
	LeaderEpoch     int32
	Magic           int8
	CRC             uint32
	Attributes      int16
	LastOffsetDelta int32
	BaseTimestamp   int64 // ms since 1970, -1 = none
	MaxTimestamp    int64 // ms since 1970, -1 = none
	ProducerID      int64
	ProducerEpoch   int16
	BaseSequence    int32
	Count           int32
}

// ParseHeader reads the first 61 bytes of b. It checks bounds only, neither values nor the CRC, and needs no payload.
// The error is ErrShort.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < HeaderSize {
		return Header{}, fmt.Errorf("parse batch header: %d of %d bytes: %w", len(b), HeaderSize, ErrShort)
	}
	return parseHeader((*[HeaderSize]byte)(b)), nil
}

func parseHeader(b *[HeaderSize]byte) Header {
	be := binary.BigEndian
	return Header{
		BaseOffset:      int64(be.Uint64(b[0:])),
		Length:          int32(be.Uint32(b[offLength:])),
		LeaderEpoch:     int32(be.Uint32(b[offLeaderEpoch:])),
		Magic:           int8(b[offMagic]),
		CRC:             be.Uint32(b[offCRC:]),
		Attributes:      int16(be.Uint16(b[offAttributes:])),
		LastOffsetDelta: int32(be.Uint32(b[offLastOffsetDelta:])),
		BaseTimestamp:   int64(be.Uint64(b[offBaseTimestamp:])),
		MaxTimestamp:    int64(be.Uint64(b[offMaxTimestamp:])),
		ProducerID:      int64(be.Uint64(b[offProducerID:])),
		ProducerEpoch:   int16(be.Uint16(b[offProducerEpoch:])),
		BaseSequence:    int32(be.Uint32(b[offBaseSequence:])),
		Count:           int32(be.Uint32(b[offCount:])),
	}
}

// put writes the header to its first 61 bytes, the CRC as it is.
func (h *Header) put(b *[HeaderSize]byte) {
	be := binary.BigEndian
	be.PutUint64(b[0:], uint64(h.BaseOffset))
	be.PutUint32(b[offLength:], uint32(h.Length))
	be.PutUint32(b[offLeaderEpoch:], uint32(h.LeaderEpoch))
	b[offMagic] = byte(h.Magic)
	be.PutUint32(b[offCRC:], h.CRC)
	be.PutUint16(b[offAttributes:], uint16(h.Attributes))
	be.PutUint32(b[offLastOffsetDelta:], uint32(h.LastOffsetDelta))
	be.PutUint64(b[offBaseTimestamp:], uint64(h.BaseTimestamp))
	be.PutUint64(b[offMaxTimestamp:], uint64(h.MaxTimestamp))
	be.PutUint64(b[offProducerID:], uint64(h.ProducerID))
	be.PutUint16(b[offProducerEpoch:], uint16(h.ProducerEpoch))
	be.PutUint32(b[offBaseSequence:], uint32(h.BaseSequence))
	be.PutUint32(b[offCount:], uint32(h.Count))
}

// Codec is the compression of the payload.
func (h Header) Codec() Codec { return Codec(h.Attributes & attrCodec) }

// LogAppendTime reports whether MaxTimestamp is a broker's clock and stands for every record's timestamp.
func (h Header) LogAppendTime() bool { return h.Attributes&attrLogAppendTime != 0 }

// Transactional reports whether the batch belongs to a transaction.
func (h Header) Transactional() bool { return h.Attributes&attrTransactional != 0 }

// Control reports whether the batch holds a broker's markers and no data.
func (h Header) Control() bool { return h.Attributes&attrControl != 0 }

// LastSequence is the sequence of the batch's last record, modulo 2^31, or NoSequence.
func (h Header) LastSequence() int32 {
	if h.BaseSequence == NoSequence {
		return NoSequence
	}
	return int32((uint32(h.BaseSequence) + uint32(h.LastOffsetDelta)) & math.MaxInt32)
}

// Size returns how many bytes the first batch in b has by its own length field. It errs when that is less than a
// header or more than b holds (ErrShort); it reads no further than the length field and checks nothing else.
func Size(b []byte) (int, error) {
	if len(b) < lengthEnd {
		return 0, fmt.Errorf("size of batch: %d of %d bytes: %w", len(b), HeaderSize, ErrShort)
	}
	n := int64(int32(binary.BigEndian.Uint32(b[offLength:]))) + lengthEnd
	if n < HeaderSize {
		return 0, fmt.Errorf("size of batch: %d bytes, less than its header of %d", n, HeaderSize)
	}
	if n > int64(len(b)) {
		return 0, fmt.Errorf("size of batch: %d bytes announced, %d present: %w", n, len(b), ErrShort)
	}
	return int(n), nil
}
