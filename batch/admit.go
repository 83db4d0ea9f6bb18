package batch

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Admit decides whether the records field of one partition in a Produce request (v3 or later) may be acked: it refuses
// what a broker would refuse once it is too late to tell the producer. r is required, now is the gateway's clock. The
// bytes are read in place and never changed or kept. A batch that is not compressed costs no allocation, a compressed one no
// allocation per record; it is inflated through a small window, up to MaxInflated.
//
// It follows ProduceRequest.validateRecords, ByteBufferLogInputStream, UnifiedLog.analyzeAndValidateRecords and
// LogValidator with DefaultRecord, as read in Kafka 4.0's sources and seen on Kafka 4.4.0, in that order, with their
// error codes, and is stricter or clearer where
//
//   - magic 0 and 1 get UNSUPPORTED_FOR_MESSAGE_FORMAT, an unknown codec UNSUPPORTED_COMPRESSION_TYPE, and bytes that
//     cannot be inflated INVALID_RECORD, where brokers say INVALID_RECORD, UNKNOWN_SERVER_ERROR and UNKNOWN_SERVER_ERROR:
//     the last one is retried for ever by some clients;
//   - bytes after the batch are refused even where brokers cut them off, because they are no batch;
//   - unknown attribute bits, LogAppendTime claimed by the producer, a producer id without an epoch or less than -1,
//     key and value lengths below -1, and varints of more than 32 bits are refused;
//   - offset deltas must be 0, 1, 2, …: brokers store other ones as they are, or answer UNKNOWN_SERVER_ERROR if the
//     batch is compressed, and our ordinals count records;
//   - more than MaxInflated bytes get MESSAGE_TOO_LARGE, upon which clients that can will split the batch;
//   - transactional batches get INVALID_TXN_STATE, the broker's answer to one outside a transaction, as we open none.
//
// Not covered, as it depends on more than the batch: zstd before Produce v7, sequences (dedup), and topics whose
// compression.type names another codec than the batch's, where a broker checks the size of what it compressed anew.
func Admit(records []byte, r *Rules, now time.Time) (Header, *Refusal) {
	if no := bounds(records); no != nil {
		return Header{}, no
	}
	h := parseHeader((*[HeaderSize]byte)(records))
	if h.BaseOffset != 0 {
		return h, refuse(kerr.InvalidRecord.Code, "batch starts at offset %d; producers send 0", h.BaseOffset)
	}
	if r.MaxMessageBytes > 0 && len(records) > int(r.MaxMessageBytes) {
		return h, refuse(kerr.MessageTooLarge.Code, "batch has %d bytes, the topic takes up to %d; "+
			"lower the producer's batch and request size or raise the topic's max.message.bytes", len(records), r.MaxMessageBytes)
	}
	if crc := crc32.Checksum(records[offAttributes:], castagnoli); crc != h.CRC {
		return h, refuse(kerr.CorruptMessage.Code, "batch is corrupt: its CRC32C is %08x, its bytes give %08x", h.CRC, crc)
	}
	if no := h.admit(r, len(records)); no != nil {
		return h, no
	}
	return h, admitRecords(&h, records[HeaderSize:], r, now.UnixMilli())
}

// bounds makes sure that records is one whole batch of magic 2.
func bounds(records []byte) *Refusal {
	if len(records) <= offMagic {
		return refuse(kerr.InvalidRecord.Code, "%d bytes hold no record batch", len(records))
	}
	switch magic := int8(records[offMagic]); {
	case magic == 0 || magic == 1:
		return refuse(kerr.UnsupportedForMessageFormat.Code, "message format %d (before Kafka 0.11) cannot be stored; "+
			"update the client or let it negotiate versions (librdkafka: api.version.request=true)", magic)
	case magic != 2:
		return refuse(kerr.CorruptMessage.Code, "record batch of unknown magic %d", magic)
	}
	size := int64(int32(binary.BigEndian.Uint32(records[offLength:]))) + lengthEnd
	switch {
	case size < HeaderSize:
		return refuse(kerr.CorruptMessage.Code, "record batch announces %d bytes, less than its header", size)
	case size > int64(len(records)):
		return refuse(kerr.InvalidRecord.Code, "record batch announces %d bytes, only %d came", size, len(records))
	case size < int64(len(records)):
		return refuse(kerr.InvalidRecord.Code, "%d bytes follow the batch; a partition takes exactly one batch in a request",
			int64(len(records))-size)
	}
	return nil
}

// admit checks the header's fields against each other and the topic.
func (h *Header) admit(r *Rules, size int) *Refusal {
	invalid := kerr.InvalidRecord.Code
	switch {
	case h.Codec() > Zstd:
		return refuse(kerr.UnsupportedCompressionType.Code, "unknown compression %d", h.Codec())
	case h.LastOffsetDelta < 0:
		return refuse(invalid, "batch ends at offset %d, before it starts", h.LastOffsetDelta)
	case h.Count <= 0:
		return refuse(invalid, "batch of %d records", h.Count)
	case int64(h.LastOffsetDelta)+1 != int64(h.Count):
		return refuse(invalid, "batch of %d records has offsets 0 to %d", h.Count, h.LastOffsetDelta)
	case h.Control():
		return refuse(invalid, "control records come from brokers only")
	case h.ProducerID < NoProducerID:
		return refuse(invalid, "producer id %d", h.ProducerID)
	case h.ProducerID >= 0 && h.BaseSequence < 0:
		return refuse(invalid, "producer id %d with sequence %d", h.ProducerID, h.BaseSequence)
	case h.ProducerID >= 0 && h.ProducerEpoch < 0:
		return refuse(invalid, "producer id %d with epoch %d", h.ProducerID, h.ProducerEpoch)
	case h.Transactional():
		return refuse(kerr.InvalidTxnState.Code, "transactions cannot be stored and forwarded; "+
			"point this producer's bootstrap.servers at Kafka itself, or remove its transactional.id")
	case h.LogAppendTime():
		return refuse(kerr.InvalidTimestamp.Code, "producers must not set the timestamp type to LogAppendTime")
	case h.Attributes&^attrKnown != 0:
		return refuse(invalid, "unknown attributes %#04x; update the gateway if the client is newer", uint16(h.Attributes&^attrKnown))
	case r.SegmentBytes > 0 && size > int(r.SegmentBytes):
		return refuse(kerr.RecordListTooLarge.Code, "batch has %d bytes, the topic's segments up to %d; "+
			"lower the producer's batch size or raise the topic's segment.bytes", size, r.SegmentBytes)
	}
	return nil
}

// admitRecords walks through the records. A structural error ends it at once. As in Kafka, a timestamp out of range
// anywhere in the batch outweighs a missing key.
func admitRecords(h *Header, payload []byte, r *Rules, now int64) *Refusal {
	s, err := open(h.Codec(), payload)
	if err != nil {
		return refuseStream(err, 0)
	}
	defer s.close()
	checkTime := !r.LogAppendTime && (r.BeforeMax > 0 || r.AfterMax > 0)
	before, after := r.BeforeMax.Milliseconds(), r.AfterMax.Milliseconds()
	keyless := int32(-1)

	var f fields
	for i := range h.Count {
		if err := s.next(&f, skip); err != nil {
			return refuseStream(err, i)
		}
		if f.offsetDelta != i {
			return refuse(kerr.InvalidRecord.Code, "record %d of the batch has offset %d", i, f.offsetDelta)
		}
		if r.Compacted && f.key == nil && keyless < 0 {
			keyless = i
		}
		if !checkTime {
			continue
		}
		ts := h.BaseTimestamp + f.timestampDelta // may wrap around, as it does in Kafka
		if ts == noTimestamp {
			continue
		}
		if age := now - ts; r.BeforeMax > 0 && age > before || r.AfterMax > 0 && -age > after {
			return refuse(kerr.InvalidTimestamp.Code, "record %d has timestamp %d ms, %d ms before now; the topic takes "+
				"from %d before to %d after (0 = any); check the producer's clock", i, ts, age, before, after)
		}
	}
	if err := s.end(); err != nil {
		return refuseStream(err, h.Count)
	}
	if keyless >= 0 {
		return refuse(kerr.InvalidRecord.Code, "record %d has no key, which a compacted topic needs", keyless)
	}
	if size := HeaderSize + s.given; r.Uncompressed && r.MaxMessageBytes > 0 && size > int64(r.MaxMessageBytes) {
		return refuse(kerr.MessageTooLarge.Code, "batch inflates to %d bytes and the topic stores it so, taking up to %d; "+
			"lower the producer's batch size or raise the topic's max.message.bytes", size, r.MaxMessageBytes)
	}
	return nil
}

func refuseStream(err error, record int32) *Refusal {
	if errors.Is(err, errInflated) {
		return refuse(kerr.MessageTooLarge.Code, "batch inflates to more than %d bytes; lower the producer's batch size", MaxInflated)
	}
	return refuse(kerr.InvalidRecord.Code, "record %d: %v", record, err)
}
