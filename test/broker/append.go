package broker

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
	"time"

	"github.com/streamdown/streamdown/batch"
)

// entry is one batch in a replica's log. Its bytes are shared by the replicas and never changed.
type entry struct {
	base, end int64
	header    batch.Header // as stored
	raw       []byte
}

// receipt is what an append came to.
type receipt struct {
	code    int16
	message string
	base    int64
	end     int64 // what must be committed before the answer
	time    int64 // log append time, -1 = none
}

func refused(code int16, message string) receipt {
	return receipt{code: code, message: message, base: -1, time: -1}
}

// appendLocked is the leader's append path for one partition of a Produce request, in Kafka's order:
// ProduceRequest.validateRecords, Partition.appendRecordsToLeader, UnifiedLog.analyzeAndValidateRecords, LogValidator,
// UnifiedLog.analyzeAndValidateProducerState, and then the write.
func (r *replica) appendLocked(records []byte, acks int16) receipt {
	p := r.p
	n, err := batch.Size(records)
	if err != nil {
		return refused(codeCorruptMessage, "no whole batch")
	}
	h, err := batch.ParseHeader(records)
	switch {
	case err != nil:
		return refused(codeCorruptMessage, err.Error())
	case h.Magic != 2:
		return refused(codeInvalidRecord, "records of another magic than 2")
	case n != len(records):
		return refused(codeInvalidRecord, "more than one batch")
	case acks == -1 && len(p.views[r.node].isr) < p.minISR():
		return refused(codeNotEnoughReplicas, "")
	case h.BaseOffset != 0:
		return refused(codeInvalidRecord, "a base offset other than 0")
	case int64(n) > p.topic.number("max.message.bytes"):
		return refused(codeMessageTooLarge, "")
	case batch.Verify(records) != nil:
		return refused(codeCorruptMessage, "")
	}
	if code, why := p.topic.validate(&h, records); code != 0 {
		return refused(code, why)
	}
	if int64(n) > p.topic.number("segment.bytes") {
		return refused(codeRecordListTooLarge, "")
	}
	if h.ProducerID >= 0 {
		p.c.truth.offered(p, &h, records)
		twin, code := r.admit(&h)
		switch {
		case code != 0:
			return refused(code, "")
		case twin != nil:
			p.c.truth.stats.Duplicates++
			return receipt{base: twin.base, end: twin.end, time: -1}
		}
	}
	e := p.topic.lay(records, r.end, p.views[r.node].epoch)
	r.push(e)
	p.c.truth.stored(p, &e)
	if p.forget > 0 {
		if p.forget--; p.forget == 0 {
			r.forgetAll()
		}
	}
	out := receipt{base: e.base, end: e.end, time: -1}
	if e.header.LogAppendTime() {
		out.time = e.header.MaxTimestamp
	}
	return out
}

// push is the write.
func (r *replica) push(e entry) {
	if n := len(r.epochs); n == 0 || r.epochs[n-1].epoch < e.header.LeaderEpoch {
		r.assign(e.header.LeaderEpoch, e.base)
	}
	r.log = append(r.log, e)
	r.end = e.end
	r.note(&e)
}

// validate is what LogValidator refuses and a well-meaning client may meet.
func (t *topic) validate(h *batch.Header, records []byte) (code int16, why string) {
	now := time.Now().UnixMilli()
	if h.Control() || h.Transactional() {
		return codeInvalidRecord, "control and transactional batches are not taken here"
	}
	if !t.appendTime() {
		if h.MaxTimestamp > 0 && (now-h.MaxTimestamp > t.number("message.timestamp.before.max.ms") || h.MaxTimestamp-now > t.number("message.timestamp.after.max.ms")) {
			return codeInvalidTimestamp, "a timestamp out of range"
		}
	}
	if !strings.Contains(t.setting("cleanup.policy"), "compact") {
		return 0, ""
	}
	for rec, err := range batch.Records(records) {
		if err != nil {
			return codeInvalidRecord, err.Error()
		}
		if rec.Key == nil {
			return codeInvalidRecord, "a compacted topic takes no record without a key"
		}
	}
	return 0, ""
}

// lay makes of a batch what is stored of it: offset and leader epoch always; timestamps and codec where the topic says so.
func (t *topic) lay(records []byte, base int64, epoch int32) entry {
	raw := append([]byte(nil), records...)
	h, _ := batch.ParseHeader(raw)
	codec, changed := t.codec(h.Codec())
	if changed {
		raw = recode(raw, &h, codec)
	}
	if t.appendTime() {
		now := uint64(time.Now().UnixMilli())
		binary.BigEndian.PutUint16(raw[21:], uint16(h.Attributes)|8)
		binary.BigEndian.PutUint64(raw[35:], now)
	}
	binary.BigEndian.PutUint64(raw, uint64(base))
	binary.BigEndian.PutUint32(raw[12:], uint32(epoch))
	if changed || t.appendTime() {
		binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], castagnoli))
	}
	h, _ = batch.ParseHeader(raw)
	return entry{base: base, end: base + int64(h.LastOffsetDelta) + 1, header: h, raw: raw}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// recode compresses the records of a batch anew.
func recode(raw []byte, h *batch.Header, codec batch.Codec) []byte {
	var b batch.Builder
	for rec, err := range batch.Records(raw) {
		if err != nil {
			return raw
		}
		b.Append(rec.Timestamp, rec.Key, rec.Value, rec.Headers...)
	}
	out, err := b.Build(codec, batch.Stamp{ProducerID: h.ProducerID, Epoch: h.ProducerEpoch, BaseSequence: h.BaseSequence})
	if err != nil {
		return raw
	}
	out = append([]byte(nil), out...)
	*h, _ = batch.ParseHeader(out)
	return out
}
