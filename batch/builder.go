package batch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

// Builder makes batches, one after the other, in buffers that it reuses. The zero value is ready. It serves tests,
// load and the HTTP door; batches of Kafka producers are never built anew. Not for concurrent use.
type Builder struct {
	records   []byte
	out       []byte
	count     int32
	first     int64 // timestamp of the first record
	last      int64 // largest timestamp
	deflaters       // kept from batch to batch
}

// Len returns the number of records appended since the last Build.
func (b *Builder) Len() int { return int(b.count) }

// Append adds a record; its bytes are copied. timestamp is in ms since 1970. A nil key or value is null.
func (b *Builder) Append(timestamp int64, key, value []byte, headers ...RecordHeader) {
	if b.count == 0 {
		b.first, b.last = timestamp, timestamp
	}
	b.last = max(b.last, timestamp)
	timeDelta, offsetDelta := timestamp-b.first, int64(b.count)

	size := 1 + sizeVarint(timeDelta) + sizeVarint(offsetDelta) + sizeField(key) + sizeField(value) + sizeVarint(int64(len(headers)))
	for _, h := range headers {
		size += sizeVarint(int64(len(h.Key))) + len(h.Key) + sizeField(h.Value)
	}

	p := binary.AppendVarint(b.records, int64(size))
	p = append(p, 0)
	p = binary.AppendVarint(p, timeDelta)
	p = binary.AppendVarint(p, offsetDelta)
	p = appendField(p, key)
	p = appendField(p, value)
	p = binary.AppendVarint(p, int64(len(headers)))
	for _, h := range headers {
		p = binary.AppendVarint(p, int64(len(h.Key)))
		p = append(p, h.Key...)
		p = appendField(p, h.Value)
	}
	b.records = p
	b.count++
}

// Build ends the batch and returns its bytes, which are the builder's and valid until the next Build. The next Append
// starts a new batch. A batch without records or of 2 GiB is an error.
func (b *Builder) Build(codec Codec, s Stamp) ([]byte, error) {
	if b.count == 0 {
		return nil, errors.New("build batch: no records")
	}
	var header [HeaderSize]byte
	out, err := b.deflate(append(b.out[:0], header[:]...), codec, b.records)
	if err != nil {
		return nil, fmt.Errorf("build batch: %v: %w", codec, err)
	}
	if len(out) > math.MaxInt32 {
		return nil, fmt.Errorf("build batch: %d bytes", len(out))
	}
	h := Header{
		Length:          int32(len(out) - lengthEnd),
		LeaderEpoch:     -1,
		Magic:           2,
		Attributes:      int16(codec),
		LastOffsetDelta: b.count - 1,
		BaseTimestamp:   b.first,
		MaxTimestamp:    b.last,
		ProducerID:      s.ProducerID,
		ProducerEpoch:   s.Epoch,
		BaseSequence:    s.BaseSequence,
		Count:           b.count,
	}
	h.put((*[HeaderSize]byte)(out))
	binary.BigEndian.PutUint32(out[offCRC:], crc32.Checksum(out[offAttributes:], castagnoli))
	b.records, b.out, b.count = b.records[:0], out, 0
	return out, nil
}

func appendField(p, field []byte) []byte {
	if field == nil {
		return binary.AppendVarint(p, -1)
	}
	return append(binary.AppendVarint(p, int64(len(field))), field...)
}

func sizeField(field []byte) int {
	if field == nil {
		return 1
	}
	return sizeVarint(int64(len(field))) + len(field)
}

func sizeVarint(v int64) int {
	n := 1
	for u := uint64(v<<1) ^ uint64(v>>63); u >= 0x80; u >>= 7 {
		n++
	}
	return n
}
