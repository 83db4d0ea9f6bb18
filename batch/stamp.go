package batch

import (
	"encoding/binary"
	"hash/crc32"
)

// Stamp is the identity under which a batch is sent: the producer's id and epoch and the sequence of the first record.
type Stamp struct {
	ProducerID   int64
	Epoch        int16
	BaseSequence int32
}

// NoStamp is the stamp of producers without idempotence.
var NoStamp = Stamp{ProducerID: NoProducerID, Epoch: NoEpoch, BaseSequence: NoSequence}

// Restamp writes to dst the header of the batch src under another identity, with base offset 0 and leader epoch -1 as
// producers send them. Only the first 61 bytes of src are read; the payload goes out as it is, behind dst. dst may
// be src's own header.
//
// The new CRC follows from the stored one and from what changed; it is never computed from the payload. So a batch
// that rotted in the log, in its payload or its header, fails every later check, the broker's too, instead of getting
// a CRC that makes the rot valid. It panics when src is shorter than HeaderSize.
func Restamp(dst *[HeaderSize]byte, src []byte, s Stamp) {
	old := (*[HeaderSize]byte)(src)
	crc := storedCRC(old)
	before := crc32.Checksum(old[offAttributes:], castagnoli)

	*dst = *old
	be := binary.BigEndian
	be.PutUint64(dst[0:], 0)
	be.PutUint32(dst[offLeaderEpoch:], ^uint32(0))
	be.PutUint64(dst[offProducerID:], uint64(s.ProducerID))
	be.PutUint16(dst[offProducerEpoch:], uint16(s.Epoch))
	be.PutUint32(dst[offBaseSequence:], uint32(s.BaseSequence))

	after := crc32.Checksum(dst[offAttributes:], castagnoli)
	be.PutUint32(dst[offCRC:], crc^shift(before^after, payloadSize(dst)))
}

func storedCRC(h *[HeaderSize]byte) uint32 { return binary.BigEndian.Uint32(h[offCRC:]) }

// payloadSize is what the length field says of the payload; for a length that is too small it is a large number,
// which makes a CRC wrong and breaks nothing else.
func payloadSize(h *[HeaderSize]byte) uint32 {
	return binary.BigEndian.Uint32(h[offLength:]) - (HeaderSize - lengthEnd)
}
