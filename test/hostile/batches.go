package hostile

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Places in a record batch, by its format (KIP-98).
const (
	offLength     = 8
	offMagic      = 16
	offCRC        = 17
	offAttributes = 21
	offLastDelta  = 23
	offBaseTime   = 27
	offPID        = 43
	offEpoch      = 51
	offSequence   = 53
	offCount      = 57
	offRecords    = 61
)

// record is one of a batch, of its parts as they are to be written; the length is put before it.
func record(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = binary.AppendVarint(b, int64(p))
		case byte:
			b = append(b, p)
		case string:
			b = append(b, p...)
		}
	}
	return append(binary.AppendVarint(nil, int64(len(b))), b...)
}

var attributes = byte(0) // of a record: none are in use

// Batch is a good batch of two records, as producers send it.
func Batch() []byte {
	return batchOf(2, bytes.Join([][]byte{record(attributes, 0, 0, 1, "k", 5, "value", 1, 1, "h", 1, "x"), record(attributes, 0, 1, -1, 3, "abc", 0)}, nil))
}

func batchOf(n int32, payload []byte) []byte {
	b := append(make([]byte, offRecords), payload...)
	binary.BigEndian.PutUint32(b[offLength:], uint32(len(b)-12))
	b[offMagic] = 2
	binary.BigEndian.PutUint32(b[offLastDelta:], uint32(n-1))
	binary.BigEndian.PutUint64(b[offBaseTime:], 1_700_000_000_000)
	binary.BigEndian.PutUint64(b[offBaseTime+8:], 1_700_000_000_000)
	for i := offPID; i < offCount; i++ {
		b[i] = 0xff
	}
	binary.BigEndian.PutUint32(b[offCount:], uint32(n))
	return seal(b)
}

// seal makes the CRC right.
func seal(b []byte) []byte {
	binary.BigEndian.PutUint32(b[offCRC:], crc32.Checksum(b[offAttributes:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// Produce is a good request with whatever records.
func Produce(records []byte) []byte {
	s := &shape{name: "Produce", key: 0, version: 9, flexible: true}
	s.length("", -1, '2').i16(-1).i32(1000).count("", 1).text("", Topic).count("", 1).i32(0).bytes("", records).tags("").tags("").tags("")
	return s.frame(s.body)
}

// RecordsOf is the inverse of Produce.
func RecordsOf(frame []byte) []byte {
	empty := Produce(nil)
	body := frame[len(empty)-4:] // three bytes of tags are behind the records, and one of their length before them
	_, n := binary.Uvarint(body)
	return body[n : len(body)-3]
}

// Batches are records that are wrong in requests that are good.
func Batches() []Item {
	var items []Item
	add := func(name string, records []byte) {
		items = append(items, Item{Kind: "record batches", Name: name, Door: Plain, Data: Produce(records), Records: true})
	}
	number := func(what string, at, size int, sealed bool, values ...int64) {
		for _, v := range values {
			b := Batch()
			switch size {
			case 1:
				b[at] = byte(v)
			case 2:
				binary.BigEndian.PutUint16(b[at:], uint16(v))
			case 4:
				binary.BigEndian.PutUint32(b[at:], uint32(v))
			default:
				binary.BigEndian.PutUint64(b[at:], uint64(v))
			}
			if sealed {
				b = seal(b)
			}
			add(fmt.Sprintf("%s is %d", what, v), b)
		}
	}
	number("the base offset", 0, 8, true, 1, -1, 1<<40, math.MinInt64, math.MaxInt64)
	number("the batch's length", offLength, 4, true, 0, 1, -1, -12, 48, 49, int64(len(Batch())-13), int64(len(Batch())-11), 1<<20, math.MaxInt32, math.MinInt32)
	number("the magic", offMagic, 1, true, 0, 1, 3, 4, 127, -1, -128)
	number("the CRC", offCRC, 4, false, 0, 1, -1, math.MaxInt32, math.MinInt32)
	number("the attributes", offAttributes, 2, true, 5, 6, 7, 8, 9, 16, 17, 32, 33, 48, 64, 128, 256, 512, 1<<14, -1, math.MinInt16)
	number("the last offset delta", offLastDelta, 4, true, -1, 0, 2, 100, math.MaxInt32, math.MinInt32)
	number("the producer id without an epoch", offPID, 8, true, 0, 1, 1<<40, -2, math.MinInt64, math.MaxInt64)
	number("the number of records", offCount, 4, true, -1, 0, 1, 3, 100, 1<<20, math.MaxInt32, math.MinInt32)
	for at := range offRecords + 1 {
		add(fmt.Sprintf("cut at byte %d of the header", at), Batch()[:at])
	}
	for at := offRecords + 1; at < len(Batch()); at++ {
		b := Batch()[:at]
		binary.BigEndian.PutUint32(b[offLength:], uint32(len(b)-12))
		add(fmt.Sprintf("records cut at byte %d, in a batch of that length", at), seal(b))
	}
	for at := range Batch()[offAttributes:] {
		b := Batch()
		b[offAttributes+at] ^= 0x10
		add(fmt.Sprintf("a bit that flipped in byte %d", offAttributes+at), b)
	}
	add("two batches", append(Batch(), Batch()...))
	add("a byte behind the batch", append(Batch(), 0))
	add("a message set of Kafka 0.8", append(make([]byte, 8), "\x00\x00\x00\x13\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\x00\x00\x00\x05hello"...))
	add("text", []byte(strings.Repeat("no batch ", 20)))
	add("JSON", []byte(`{"records":[{"value":"`+strings.Repeat("x", 100)+`"}]}`))
	add("zeros", make([]byte, 1000))
	add("ones", bytes.Repeat([]byte{0xff}, 1000))
	for name, r := range wrongRecords() {
		add("a record with "+name, batchOf(1, r))
	}
	for name, b := range wrongCompressed() {
		add(name, b)
	}
	return items
}

// wrongRecords are one record each.
func wrongRecords() map[string][]byte {
	out := map[string][]byte{
		"no bytes":                       record(),
		"attributes alone":               record(attributes),
		"an offset delta of 1":           record(attributes, 0, 1, -1, -1, 0),
		"an offset delta of -1":          record(attributes, 0, -1, -1, -1, 0),
		"an offset delta of 2^31-1":      record(attributes, 0, math.MaxInt32, -1, -1, 0),
		"a byte left over":               record(attributes, 0, 0, -1, -1, 0, attributes),
		"a header without a name":        record(attributes, 0, 0, -1, -1, 1, -1, -1),
		"a header beyond the end":        record(attributes, 0, 0, -1, -1, 1, 100, "x"),
		"a header's value beyond it":     record(attributes, 0, 0, -1, -1, 1, 1, "x", 100),
		"one header fewer than it says":  record(attributes, 0, 0, -1, -1, 2, 1, "x", 1, "y"),
		"a varint without an end":        append([]byte{20, 0}, bytes.Repeat([]byte{0xff}, 9)...),
		"a length without an end":        bytes.Repeat([]byte{0xff}, 12),
		"a time delta without an end":    append([]byte{24, 0}, bytes.Repeat([]byte{0xff}, 11)...),
		"a length of 5 bytes too large":  {0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0},
		"an offset delta of 33 bits":     append([]byte{20, 0, 0}, 0x80, 0x80, 0x80, 0x80, 0x40, 1, 1, 0),
		"a key of 2^31-1 and 3 bytes":    record(attributes, 0, 0, math.MaxInt32, "abc"),
		"nothing behind a key's length":  record(attributes, 0, 0, 5),
		"nothing behind an offset delta": record(attributes, 0, 0),
	}
	for _, n := range []int{-2, -3, -1000, math.MinInt32, 100, 65_536, math.MaxInt32} {
		out[fmt.Sprintf("a key of %d bytes", n)] = record(attributes, 0, 0, n, "k", -1, 0)
		out[fmt.Sprintf("a value of %d bytes", n)] = record(attributes, 0, 0, -1, n, "v", 0)
		out[fmt.Sprintf("%d headers", n)] = record(attributes, 0, 0, -1, -1, n)
		out[fmt.Sprintf("a header's name of %d bytes", n)] = record(attributes, 0, 0, -1, -1, 1, n, "h", -1)
		out[fmt.Sprintf("a length of %d", n)] = append(binary.AppendVarint(nil, int64(n)), 0, 0, 0, 1, 1, 0)
	}
	return out
}

// wrongCompressed are batches of each codec that cannot be inflated, or not within bounds.
func wrongCompressed() map[string][]byte {
	out := map[string][]byte{}
	one := record(attributes, 0, 0, -1, 3, "abc", 0)
	coded := func(codec byte, n int32, payload []byte) []byte {
		b := batchOf(n, payload)
		b[offAttributes+1] = codec
		return seal(b)
	}
	press := map[byte]func([]byte) []byte{1: gzipped, 3: framed, 4: zstandard}
	names := map[byte]string{1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
	bomb := append(binary.AppendVarint(nil, 64<<20), make([]byte, 64<<20)...)
	for codec, name := range names {
		for what, payload := range map[string][]byte{
			"nothing": nil, "one byte": {1}, "zeros": make([]byte, 100), "ones": bytes.Repeat([]byte{0xff}, 100), "a record that is not compressed": one,
			"text": []byte("this was never compressed by anything"), "a gzip head": {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3},
			"an lz4 head": {4, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82}, "a zstd head": {0x28, 0xb5, 0x2f, 0xfd, 0, 0x58}, "a snappy-java head": []byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01"),
		} {
			out[name+": "+what] = coded(codec, 1, payload)
		}
		if f := press[codec]; f != nil {
			whole := f(one)
			for at := 1; at < len(whole); at += 3 {
				out[fmt.Sprintf("%s: cut at byte %d", name, at)] = coded(codec, 1, whole[:at])
			}
			out[name+": fewer records than it says"] = coded(codec, 5, whole)
			out[name+": more records than it says"] = coded(codec, 1, f(append(bytes.Clone(one), one...)))
			small := f(bomb)
			out[name+": a record of 64 MiB of zeros"] = coded(codec, 1, small)
			out[name+": a bomb in a bomb"] = coded(codec, 1, f(small))
			out[name+": a million empty records"] = coded(codec, 1_000_000, f(make([]byte, 1_000_000)))
			out[name+": rubbish behind"] = coded(codec, 1, append(bytes.Clone(whole), "rubbish"...))
		}
	}
	out["snappy: 4 GiB announced"] = coded(2, 1, []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0, 'a'})
	out["snappy: a length without an end"] = coded(2, 1, bytes.Repeat([]byte{0xff}, 11))
	out["snappy: a copy from before the beginning"] = coded(2, 1, []byte{10, 0x01, 0x40, 0, 0, 0})
	out["snappy: a literal beyond the end"] = coded(2, 1, []byte{100, 0xf0, 99, 'a'})
	out["snappy-java: a block of 2 GiB"] = coded(2, 1, []byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01\x7f\xff\xff\xffa"))
	out["snappy-java: a block of -1"] = coded(2, 1, []byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01\xff\xff\xff\xffa"))
	out["zstd: a window of 2 GiB"] = coded(4, 1, []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 1, 0, 0})
	out["zstd: a frame of 2^63 bytes"] = coded(4, 1, []byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1, 0, 0})
	out["zstd: a dictionary"] = coded(4, 1, []byte{0x28, 0xb5, 0x2f, 0xfd, 0x23, 1, 2, 3, 4, 1, 1, 0, 0})
	out["zstd: skippable frames"] = coded(4, 1, bytes.Repeat([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}, 10_000))
	out["zstd: a skippable frame of 4 GiB"] = coded(4, 1, []byte{0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff})
	out["gzip: 20,000 empty members"] = coded(1, 1, bytes.Repeat(gzipped(nil), 20_000))
	out["gzip: a name without an end"] = coded(1, 1, append([]byte{0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 0}, bytes.Repeat([]byte("x"), 100_000)...))
	out["gzip: reserved bits"] = coded(1, 1, []byte{0x1f, 0x8b, 8, 0xe0, 0, 0, 0, 0, 0, 0})
	out["lz4: blocks that depend on each other"] = coded(3, 1, []byte{4, 0x22, 0x4d, 0x18, 0x40, 0x40, 0xc0, 3, 0, 0, 0x80, 'a', 'b', 'c', 0, 0, 0, 0})
	out["lz4: a block of 2 GiB"] = coded(3, 1, []byte{4, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82, 0xff, 0xff, 0xff, 0x7f})
	out["lz4: the frame of Kafka 0.8, with its wrong checksum"] = coded(3, 1, []byte{4, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x00, 0, 0, 0, 0})
	return out
}

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	return finish(&out, w, b)
}

func framed(b []byte) []byte {
	var out bytes.Buffer
	return finish(&out, lz4.NewWriter(&out), b)
}

// finish writes to memory, where nothing can fail.
func finish(out *bytes.Buffer, w io.WriteCloser, b []byte) []byte {
	_, err := w.Write(b)
	if closed := w.Close(); err != nil || closed != nil {
		panic(fmt.Sprintf("compress in memory: %v, %v", err, closed))
	}
	return out.Bytes()
}

func zstandard(b []byte) []byte {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(fmt.Sprintf("compress in memory: %v", err))
	}
	return w.EncodeAll(b, nil)
}
