package delivery

import (
	"encoding/binary"
	"errors"

	"github.com/streamdown/streamdown"
)

// Binding is a lane's identity at the target: under it the sequence of a record is (ordinal - Base) mod 2^31 (rule
// C1). It is durable in the log before the first byte is sent under it.
type Binding struct {
	Lane    streamdown.LaneID
	Cluster string        // the target's cluster id
	Topic   streamdown.ID // the topic's id there, zero if it has none
	PID     int64
	Epoch   int16
	Base    streamdown.Ordinal
	// End is the partition's end offset before the first send: no record of this binding lies below it.
	End streamdown.Offset
}

const seqMask = 1<<31 - 1

// Sequence is the sequence number of the record.
func (b *Binding) Sequence(o streamdown.Ordinal) int32 { return int32((o - b.Base) & seqMask) }

// Ordinal is the inverse of Sequence for a record within 2^30 of near.
func (b *Binding) Ordinal(seq int32, near streamdown.Ordinal) streamdown.Ordinal {
	d := (int64(seq) - int64(b.Sequence(near))) & seqMask
	if d > seqMask/2 {
		d -= seqMask + 1
	}
	return near + streamdown.Ordinal(d)
}

var errMalformed = errors.New("malformed")

func (b *Binding) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(b.Lane))
	dst = binary.AppendUvarint(dst, uint64(len(b.Cluster)))
	dst = append(dst, b.Cluster...)
	dst = append(dst, b.Topic[:]...)
	dst = binary.AppendVarint(dst, b.PID)
	dst = binary.AppendVarint(dst, int64(b.Epoch))
	dst = binary.AppendVarint(dst, int64(b.Base))
	return binary.AppendVarint(dst, int64(b.End))
}

// decoder reads varints and remembers the first failure.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	d.skip(n)
	return v
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	d.skip(n)
	return v
}

func (d *decoder) skip(n int) {
	if n <= 0 || n > len(d.b) {
		d.b, d.bad = nil, true
		return
	}
	d.b = d.b[n:]
}

func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.b, d.bad = nil, true
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) binding() Binding {
	var b Binding
	b.Lane = streamdown.LaneID(d.uvarint())
	b.Cluster = string(d.bytes(d.uvarint()))
	copy(b.Topic[:], d.bytes(16))
	b.PID = d.varint()
	b.Epoch = int16(d.varint())
	b.Base = streamdown.Ordinal(d.varint())
	b.End = streamdown.Offset(d.varint())
	return b
}
