package batch

import (
	"bytes"
	"encoding/binary"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// admission is one case of the table below, which TestKafkaAgrees also sends to a real broker.
type admission struct {
	name  string
	bytes []byte
	rules Rules
	code  int16  // ours; 0 = taken
	says  string // part of our reason
	kafka int16  // the broker's, where it is another one: Admit's comment has the reasons
}

const same = math.MinInt16

func admissions(t testing.TB) []admission {
	plain := func() []byte { return build(t, None, 3, NoStamp) }
	changed := func(f func(h *Header)) []byte { return edit(plain(), f) }
	one := func(timestamp int64, key []byte) []byte {
		var b Builder
		b.Append(timestamp, key, []byte("v"))
		return built(t, &b, None, NoStamp)
	}
	now := noon.UnixMilli()
	hour, day := Rules{AfterMax: time.Hour}, Rules{AfterMax: time.Hour, BeforeMax: 24 * time.Hour}
	compacted := Rules{Compacted: true}
	record := func(hex ...byte) []byte { return wrap(None, 1, hex) }
	ok := []byte{12, 0, 0, 0, 1, 1, 0} // an empty record

	cases := []admission{
		{"empty", []byte{}, Rules{}, 87, "hold no record batch", same},
		{"too short for a magic", plain()[:16], Rules{}, 87, "hold no record batch", same},
		{"cut within the header", plain()[:40], Rules{}, 87, "only 40 came", same},
		{"cut within the payload", plain()[:100], Rules{}, 87, "only 100 came", same},
		{"two batches", append(plain(), plain()...), Rules{}, 87, "exactly one batch", same},
		{"a byte behind", append(plain(), 0), Rules{}, 87, "1 bytes follow", 0},
		{"magic 0", message(0), Rules{}, 43, "message format 0", 87},
		{"magic 1", message(1), Rules{}, 43, "message format 1", 87},
		{"magic 3", with(plain(), offMagic, 3), Rules{}, 2, "magic 3", same},
		{"magic -1", with(plain(), offMagic, 0xff), Rules{}, 2, "magic -1", same},
		{"length 48", with(plain(), offLength, 0, 0, 0, 48), Rules{}, 2, "less than its header", same},
		{"length 13", with(plain(), offLength, 0, 0, 0, 13), Rules{}, 2, "less than its header", same},
		{"length negative", with(plain(), offLength, 0xff, 0xff, 0xff, 0xff), Rules{}, 2, "less than its header", same},
		{"length of 2 GiB", with(plain(), offLength, 0x7f, 0xff, 0xff, 0xff), Rules{}, 87, "only", -1},
		{"base offset", with(plain(), 0, 0, 0, 0, 0, 0, 0, 0, 9), Rules{}, 87, "offset 9", same},
		{"leader epoch 0", with(plain(), offLeaderEpoch, 0, 0, 0, 0), Rules{}, 0, "", same},
		{"one byte too large", plain(), Rules{MaxMessageBytes: int32(len(plain())) - 1}, 10, "max.message.bytes", same},
		{"just not too large", plain(), Rules{MaxMessageBytes: int32(len(plain()))}, 0, "", same},
		{"larger than a segment", build(t, None, 500, NoStamp), Rules{SegmentBytes: 16 << 10}, 18, "segment.bytes", same},
		{"rotten payload", with(plain(), 90, 0xff), Rules{}, 2, "CRC32C", same},
		{"rotten header", with(plain(), offMaxTimestamp, 0xff), Rules{}, 2, "CRC32C", same},
		{"codec 5", changed(func(h *Header) { h.Attributes = 5 }), Rules{}, 76, "compression 5", -1},
		{"codec 7", changed(func(h *Header) { h.Attributes = 7 }), Rules{}, 76, "compression 7", -1},
		{"no records", changed(func(h *Header) { h.Count = 0 }), Rules{}, 87, "0 records", same},
		{"no records, none before either", wrap(None, 0, nil), Rules{}, 87, "before it starts", same},
		{"records negative", changed(func(h *Header) { h.Count = -3 }), Rules{}, 87, "-3 records", same},
		{"fewer records than offsets", changed(func(h *Header) { h.Count = 2 }), Rules{}, 87, "offsets 0 to 2", same},
		{"more records than offsets", changed(func(h *Header) { h.Count = 4 }), Rules{}, 87, "offsets 0 to 2", same},
		{"offsets negative", changed(func(h *Header) { h.LastOffsetDelta = -1 }), Rules{}, 87, "before it starts", same},
		{"offsets to the brink", changed(func(h *Header) { h.LastOffsetDelta = math.MaxInt32 }), Rules{}, 87, "offsets 0 to 2147483647", same},
		{"one record announced too many", changed(func(h *Header) { h.Count, h.LastOffsetDelta = 4, 3 }), Rules{}, 87, "record 3: payload ends", same},
		{"one record announced too few", changed(func(h *Header) { h.Count, h.LastOffsetDelta = 2, 1 }), Rules{}, 87, "after the last record", same},
		{"2^31-1 records announced", changed(func(h *Header) { h.Count, h.LastOffsetDelta = math.MaxInt32, math.MaxInt32-1 }), Rules{}, 87, "payload ends", same},
		{"control batch", changed(func(h *Header) { h.Attributes = attrControl }), Rules{}, 87, "brokers only", same},
		{"transactional", changed(func(h *Header) {
			h.Attributes, h.ProducerID, h.ProducerEpoch, h.BaseSequence = attrTransactional, 9001, 0, 0
		}),
			Rules{}, 48, "transactional.id", 53},
		{"delete horizon", changed(func(h *Header) { h.Attributes = 0x40 }), Rules{}, 87, "attributes 0x0040", 0},
		{"attribute of the future", changed(func(h *Header) { h.Attributes = 0x100 }), Rules{}, 87, "attributes 0x0100", 0},
		{"sign bit of the attributes", changed(func(h *Header) { h.Attributes = -0x8000 }), Rules{}, 87, "attributes 0x8000", 0},
		{"idempotent", changed(func(h *Header) { h.ProducerID, h.ProducerEpoch, h.BaseSequence = 9002, 0, 0 }), Rules{}, 0, "", same},
		{"idempotent, no sequence", changed(func(h *Header) { h.ProducerID, h.ProducerEpoch = 9003, 0 }), Rules{}, 87, "sequence -1", same},
		{"idempotent, no epoch", changed(func(h *Header) { h.ProducerID, h.BaseSequence = 9004, 0 }), Rules{}, 87, "epoch -1", 0},
		{"producer id -2", changed(func(h *Header) { h.ProducerID = -2 }), Rules{}, 87, "producer id -2", 0},
		{"no producer id but epoch and sequence 0, as Sarama and kafkajs send", changed(func(h *Header) { h.ProducerEpoch, h.BaseSequence = 0, 0 }), Rules{}, 0, "", same},

		{"append time claimed, create-time topic", changed(func(h *Header) { h.Attributes = attrLogAppendTime }), Rules{}, 32, "LogAppendTime", 0},
		{"append time claimed, append-time topic", changed(func(h *Header) { h.Attributes = attrLogAppendTime }), Rules{LogAppendTime: true}, 32, "LogAppendTime", same},
		{"an hour ahead", one(now+3_500_000, nil), hour, 0, "", same},
		{"more than an hour ahead", one(now+3_700_000, nil), hour, 32, "producer's clock", same},
		{"a day old", one(now-86_000_000, nil), day, 0, "", same},
		{"more than a day old", one(now-86_500_000, nil), day, 32, "producer's clock", same},
		{"any age", one(1, nil), hour, 0, "", same},
		{"no timestamp", one(-1, nil), day, 0, "", same},
		{"timestamp before 1970", one(-5, nil), hour, 0, "", same},
		{"timestamp -2^63", one(math.MinInt64, nil), hour, 32, "timestamp", same},
		{"timestamp 2^63-1", one(math.MaxInt64, nil), hour, 32, "timestamp", same},
		{"any timestamp where the broker's counts", one(now+1e12, nil), Rules{LogAppendTime: true, AfterMax: time.Hour, BeforeMax: time.Hour}, 0, "", same},
		{"key", one(now, []byte("k")), compacted, 0, "", same},
		{"empty key", one(now, []byte{}), compacted, 0, "", same},
		{"no key", one(now, nil), compacted, 87, "has no key", same},
		{"no key, compaction off", one(now, nil), Rules{}, 0, "", same},
		{"no key, and another record's time is wrong", keyAndTime(t, now), Rules{Compacted: true, AfterMax: time.Hour}, 32, "record 1", same},

		{"empty record", record(ok...), Rules{}, 0, "", same},
		{"record of attributes only", record(2, 0), Rules{}, 87, "too short", same},
		{"record of no bytes", record(0), Rules{}, 87, "too short", same},
		{"record of -1 bytes", record(1), Rules{}, 87, "too short", same},
		{"record beyond the end", record(14, 0, 0, 0, 1, 1, 0), Rules{}, 87, "payload ends", same},
		{"record longer than its fields", record(14, 0, 0, 0, 1, 1, 0, 0), Rules{}, 87, "longer than its fields", same},
		{"record shorter than its fields", wrap(None, 1, []byte{12, 0, 0, 0, 1, 1, 2, 1, 1}), Rules{}, 87, "impossible number", same},
		{"bytes after the last record", record(append(ok, 0)...), Rules{}, 87, "after the last record", same},
		{"offset delta 1 first", record(12, 0, 0, 2, 1, 1, 0), Rules{}, 87, "has offset 1", 0},
		{"all offset deltas 0", wrap(None, 2, append(ok, ok...)), Rules{}, 87, "record 1 of the batch has offset 0", 0},
		{"offset delta negative", record(12, 0, 0, 1, 1, 1, 0), Rules{}, 87, "has offset -1", 0},
		{"record attributes set", record(12, 0xff, 0, 0, 1, 1, 0), Rules{}, 0, "", same},
		{"key length -2", record(12, 0, 0, 0, 3, 1, 0), Rules{}, 87, "negative", 0},
		{"key beyond the record", record(12, 0, 0, 0, 8, 1, 0), Rules{}, 87, "beyond its record", same},
		{"value beyond the record", record(12, 0, 0, 0, 1, 8, 0), Rules{}, 87, "beyond its record", same},
		{"value of 2^31-1 bytes", record(20, 0, 0, 0, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0), Rules{}, 87, "beyond its record", same},
		{"headers negative", record(12, 0, 0, 0, 1, 1, 1), Rules{}, 87, "impossible number", same},
		{"more headers than bytes", record(14, 0, 0, 0, 1, 1, 4, 0), Rules{}, 87, "impossible number", same},
		{"2^31-1 headers", record(20, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f), Rules{}, 87, "impossible number", same},
		{"header without a key", record(16, 0, 0, 0, 1, 1, 2, 1, 1), Rules{}, 87, "negative", same},
		{"header with empty key and null value", record(16, 0, 0, 0, 1, 1, 2, 0, 1), Rules{}, 0, "", same},
		{"varint of two bytes where one would do", record(14, 0, 0x80, 0, 0, 1, 1, 0), Rules{}, 0, "", same},
		{"varint of six bytes", record(22, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 1, 1, 0), Rules{}, 87, "varint", same},
		{"varint of 33 bits", record(20, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x10, 1, 1, 0), Rules{}, 87, "varint", 0},
		{"varlong of eleven bytes", record(34, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 0, 1, 1, 0, 0), Rules{}, 87, "varint", same},

		{"not gzip", wrap(Gzip, 1, ok), Rules{}, 87, "inflate gzip", -1},
		{"not snappy", wrap(Snappy, 1, []byte{9, 9, 9}), Rules{}, 87, "snappy", -1},
		{"not lz4", wrap(LZ4, 1, ok), Rules{}, 87, "inflate lz4", -1},
		{"not zstd", wrap(Zstd, 1, ok), Rules{}, 87, "inflate zstd", -1},
		{"gzip of nothing", wrap(Gzip, 1, deflated(t, Gzip, nil)), Rules{}, 87, "payload ends", same},
		{"gzip cut short", wrap(Gzip, 1, deflated(t, Gzip, ok)[:20]), Rules{}, 87, "gzip", -1},
		{"gzip with a wrong trailer", wrap(Gzip, 1, tail(deflated(t, Gzip, ok), 0xff)), Rules{}, 87, "gzip", -1},
		{"lz4 of linked blocks", wrap(LZ4, 1, linkedLZ4(ok)), Rules{}, 87, "independent blocks", -1},
		{"zstd cut short", wrap(Zstd, 1, deflated(t, Zstd, ok)[:10]), Rules{}, 87, "zstd", -1},
		{"snappy that is S2", wrap(Snappy, 100, s2Only(bytes.Repeat(ok, 100))), Rules{}, 87, "malformed block", -1},
		{"snappy framed", wrap(Snappy, 1, xerial(ok[:3], ok[3:])), Rules{}, 0, "", same},
		{"snappy framed, chunk too long", wrap(Snappy, 1, append(xerial(ok[:3]), 0, 0, 0, 200, 1)), Rules{}, 87, "snappy", -1},
		{"snappy framed, cut", wrap(Snappy, 1, append(xerial(ok[:3]), 0, 0)), Rules{}, 87, "snappy", same},
		{"compressed, inflates beyond the limit of a topic that stores it so", build(t, Gzip, 500, NoStamp),
			Rules{MaxMessageBytes: 10_000, Uncompressed: true}, 10, "inflates to", same},
		{"compressed, inflates beyond the limit of a topic that keeps it", build(t, Gzip, 500, NoStamp), Rules{MaxMessageBytes: 10_000}, 0, "", same},
		{"zstd of the highest level", wrap(Zstd, 1, wideZstd(t, ok)), Rules{}, 0, "", same},
	}
	for c := Gzip; c <= Zstd; c++ {
		c := c
		cases = append(cases,
			admission{c.String() + ", sound", build(t, c, 100, NoStamp), Rules{Compacted: true, AfterMax: time.Hour, BeforeMax: time.Hour}, 0, "", same},
			admission{c.String() + ", no key", wrap(c, 1, deflated(t, c, ok)), compacted, 87, "has no key", same},
			admission{c.String() + ", too old", edit(build(t, c, 2, NoStamp), func(h *Header) { h.BaseTimestamp -= 90_000_000 }), day, 32, "record 0", same},
			admission{c.String() + ", a record more", wrap(c, 1, deflated(t, c, append(append([]byte(nil), ok...), ok...))), Rules{}, 87, "after the last record", same},
			admission{c.String() + ", a record less", wrap(c, 2, deflated(t, c, ok)), Rules{}, 87, "record 1: payload ends", same},
			admission{c.String() + ", field beyond its record", wrap(c, 1, deflated(t, c, []byte{12, 0, 0, 0, 1, 8, 0})), Rules{}, 87, "beyond its record", same},
			admission{c.String() + ", gaps between offsets", wrap(c, 1, deflated(t, c, []byte{12, 0, 0, 4, 1, 1, 0})), Rules{}, 87, "has offset 2", -1},
		)
	}
	return cases
}

func TestAdmitRefusesWhatKafkaRefuses(t *testing.T) {
	for _, c := range admissions(t) {
		t.Run(c.name, func(t *testing.T) {
			before := string(c.bytes)
			_, no := Admit(c.bytes, &c.rules, noon)
			switch {
			case no == nil && c.code != 0:
				t.Fatalf("taken, want %d", c.code)
			case no != nil && (no.Code != c.code || !strings.Contains(no.Reason, c.says)):
				t.Fatalf("code %d, %q; want %d, %q", no.Code, no.Reason, c.code, c.says)
			case string(c.bytes) != before:
				t.Fatal("the bytes were changed")
			}
		})
	}
}

func TestAdmitReturnsTheHeader(t *testing.T) {
	b := build(t, Zstd, 5, Stamp{7, 3, 40})
	h, no := Admit(b, &Rules{}, noon)
	if want, _ := ParseHeader(b); no != nil || h != want {
		t.Fatalf("%+v, %v; want %+v", h, no, want)
	}
}

func with(b []byte, at int, x ...byte) []byte { copy(b[at:], x); return b }

func tail(b []byte, x byte) []byte { b[len(b)-1] ^= x; return b }

// message is a message of the formats before record batches (KIP-32); its own CRC is not looked at.
func message(magic byte) []byte {
	b := binary.BigEndian.AppendUint64(nil, 0)
	body := []byte{1, 2, 3, 4, magic, 0}
	if magic > 0 {
		body = append(body, 0, 0, 0, 0, 0, 0, 0, 1)
	}
	body = append(body, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 'v')
	return append(binary.BigEndian.AppendUint32(b, uint32(len(body))), body...)
}

func keyAndTime(t testing.TB, now int64) []byte {
	var b Builder
	b.Append(now, nil, []byte("v"))
	b.Append(now+1e9, []byte("k"), []byte("v"))
	return built(t, &b, None, NoStamp)
}

func deflated(t testing.TB, c Codec, records []byte) []byte {
	t.Helper()
	var d deflaters
	out, err := d.deflate(nil, c, records)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func linkedLZ4(records []byte) []byte {
	var buf bytes.Buffer
	w := lz4.NewWriter(&buf)
	_, _ = w.Write(records)
	_ = w.Close()
	b := buf.Bytes()
	b[4] &^= 0x20 // checked before the descriptor's checksum, here and in Kafka
	return b
}

func s2Only(records []byte) []byte {
	b := s2.Encode(nil, records)
	if plainSnappy(b) {
		panic("the encoder made plain Snappy")
	}
	return b
}

func xerial(chunks ...[]byte) []byte {
	b := append([]byte(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1)
	for _, c := range chunks {
		block := snappy.Encode(nil, c)
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(block))), block...)
	}
	return b
}

// wideZstd compresses with a window of 128 MiB announced, as streaming encoders do from level 22 on.
func wideZstd(t testing.TB, records []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := zstd.NewWriter(&buf, zstd.WithWindowSize(zstdMaxWindow), zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(records)
	_ = w.Flush() // so that the encoder does not know the size when it writes the header
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var h zstd.Header
	if err := h.Decode(buf.Bytes()); err != nil || h.WindowSize != zstdMaxWindow {
		t.Fatalf("window of %d, %v", h.WindowSize, err)
	}
	return buf.Bytes()
}

// bombs inflate to half as much again as MaxInflated, or say so.
func bombs(t testing.TB) map[Codec][]byte {
	const value = MaxInflated * 3 / 2
	head := binary.AppendVarint([]byte{0, 0, 0, 1}, value) // attributes, deltas, no key
	head = append(binary.AppendVarint(nil, int64(len(head)+value+1)), head...)
	records := append(head, make([]byte, value+1)...)
	out := map[Codec][]byte{Snappy: binary.AppendUvarint(nil, MaxInflated/2)} // the claim alone: Snappy itself grows by 22 at most
	for _, c := range []Codec{Gzip, LZ4, Zstd} {
		out[c] = deflated(t, c, records)
	}
	return out
}
