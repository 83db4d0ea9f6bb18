package check

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strconv"

	"github.com/streamdown/streamdown"
)

// prefix begins every record. The digit is the version of the format:
//
//	sd1 <producer> <incarnation> <seq> <target> <sent> .<filler> <crc>
//
// One line of printable ASCII, so that a value can pass through any client that reads lines. Numbers are decimal
// without leading zeros, except target (hex without leading zeros, 0 = anywhere) and crc (8 hex digits: CRC32C of
// everything before it, the space included). Filler is letters from a to p.
const prefix = "sd1 "

// crcSize is the length of the last field.
const crcSize = 8

// maxHeadSize bounds what AppendRecord writes without filler: prefix, two uint32, one uint64, 16 hex digits, one int64,
// five separators, the dot, the separator of the checksum and the checksum itself.
const maxHeadSize = len(prefix) + 10 + 10 + 20 + 16 + 19 + 5 + 1 + 1 + crcSize

// What ParseRecord says of bytes that are not a whole record.
var (
	ErrForeign  = errors.New("not a record of the checker")
	ErrChecksum = errors.New("checksum does not match")
	ErrFields   = errors.New("checksum matches, fields do not parse")
)

var space = []byte{' '}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Record is the content of one workload value.
type Record struct {
	Producer    uint32
	Incarnation uint32 // differs between runs and restarts of a producer, so that old records are told from new ones
	Seq         uint64 // dense from 0 in its Stream
	Target      uint64 // TargetOf, TargetTopic or 0 = may be anywhere
	SentMicros  int64  // unix time in microseconds; negative counts as 0
	Size        int    // bytes in all; AppendRecord fills up to it but never cuts a record short
}

// Stream returns the series that the record belongs to.
func (r Record) Stream() Stream { return Stream{Producer: r.Producer, Incarnation: r.Incarnation} }

// Stream names one ordered, dense series of records.
type Stream struct {
	Producer    uint32
	Incarnation uint32
}

func (s Stream) compare(o Stream) int {
	return cmp.Or(cmp.Compare(s.Producer, o.Producer), cmp.Compare(s.Incarnation, o.Incarnation))
}

// AppendRecord appends the record's line, without a line end, to dst. It allocates only when dst must grow.
func AppendRecord(dst []byte, r Record) []byte {
	start := len(dst)
	dst = append(dst, prefix...)
	dst = strconv.AppendUint(dst, uint64(r.Producer), 10)
	dst = append(dst, ' ')
	dst = strconv.AppendUint(dst, uint64(r.Incarnation), 10)
	dst = append(dst, ' ')
	dst = strconv.AppendUint(dst, r.Seq, 10)
	dst = append(dst, ' ')
	dst = strconv.AppendUint(dst, r.Target, 16)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, max(r.SentMicros, 0), 10)
	dst = append(dst, " ."...)
	if room := r.Size - (len(dst) - start) - 1 - crcSize; room > 0 {
		dst = appendFiller(dst, room, r)
	}
	dst = append(dst, ' ')
	return appendHex8(dst, crc32.Checksum(dst[start:], castagnoli))
}

// ParseRecord reads one line made by AppendRecord. It accepts that form only, to the byte, checks the checksum before
// it looks at a field, keeps no reference to b and does not allocate. The errors are ErrForeign, ErrChecksum, ErrFields.
func ParseRecord(b []byte) (Record, error) {
	if len(b) < len(prefix)+1+crcSize || string(b[:len(prefix)]) != prefix || b[len(b)-crcSize-1] != ' ' {
		return Record{}, ErrForeign
	}
	head, tail := b[:len(b)-crcSize], b[len(b)-crcSize:]
	want, ok := parseHex(tail, crcSize)
	if !ok || crc32.Checksum(head, castagnoli) != uint32(want) {
		return Record{}, ErrChecksum
	}
	p := fields{rest: head[len(prefix):]}
	r := Record{
		Producer:    uint32(p.decimal(1<<32 - 1)),
		Incarnation: uint32(p.decimal(1<<32 - 1)),
		Seq:         p.decimal(1<<64 - 1),
		Target:      p.hex(),
		SentMicros:  int64(p.decimal(1<<63 - 1)),
		Size:        len(b),
	}
	p.filler()
	if p.bad || len(p.rest) != 0 {
		return Record{}, ErrFields
	}
	return r, nil
}

// TargetOf returns the hash that pins a record to one partition: FNV-1a (64 bit) of topic, a zero byte and the
// partition number, big-endian. It is never 0.
func TargetOf(tp streamdown.TopicPartition) uint64 {
	h := fnvByte(fnvString(tp.Topic), 0)
	for shift := 24; shift >= 0; shift -= 8 {
		h = fnvByte(h, byte(uint32(tp.Partition)>>shift))
	}
	return max(h, 1)
}

// TargetTopic returns the hash that pins a record to one topic and leaves the partition to the client. It is never 0.
func TargetTopic(topic string) uint64 { return max(fnvString(topic), 1) }

func fnvString(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = fnvByte(h, s[i])
	}
	return h
}

func fnvByte(h uint64, b byte) uint64 { return (h ^ uint64(b)) * 1099511628211 }

// appendFiller appends n letters a to p that follow from the record's identity: no two records carry the same, and like
// real data they compress to about half. Each step of the generator gives sixteen letters.
func appendFiller(dst []byte, n int, r Record) []byte {
	x := r.Seq*0x9E3779B97F4A7C15 ^ uint64(r.Producer)<<32 ^ uint64(r.Incarnation) | 1
	for n > 0 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		var w [16]byte
		binary.LittleEndian.PutUint64(w[:8], x&0x0f0f0f0f0f0f0f0f+0x6161616161616161)
		binary.LittleEndian.PutUint64(w[8:], x>>4&0x0f0f0f0f0f0f0f0f+0x6161616161616161)
		dst = append(dst, w[:min(n, len(w))]...)
		n -= len(w)
	}
	return dst
}

const hexDigits = "0123456789abcdef"

func appendHex8(dst []byte, v uint32) []byte {
	for shift := 28; shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[v>>shift&15])
	}
	return dst
}

// parseHex reads exactly n lower-case hex digits.
func parseHex(b []byte, n int) (v uint64, ok bool) {
	if len(b) != n || n > 16 {
		return 0, false
	}
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			v = v<<4 | uint64(c-'a'+10)
		default:
			return 0, false
		}
	}
	return v, true
}

// fields takes fields that end in one space from the front of rest. After the first that does not parse it is bad.
type fields struct {
	rest []byte
	bad  bool
}

func (f *fields) next() []byte {
	field, rest, found := bytes.Cut(f.rest, space)
	if !found {
		f.bad = true
		return nil
	}
	f.rest = rest
	return field
}

func (f *fields) decimal(limit uint64) (v uint64) {
	field := f.next()
	if len(field) == 0 || len(field) > 1 && field[0] == '0' {
		f.bad = true
		return 0
	}
	for _, c := range field {
		d := uint64(c - '0')
		if c < '0' || c > '9' || v > (limit-d)/10 {
			f.bad = true
			return 0
		}
		v = v*10 + d
	}
	return v
}

func (f *fields) hex() uint64 {
	field := f.next()
	v, ok := parseHex(field, len(field))
	if !ok || len(field) == 0 || len(field) > 1 && field[0] == '0' {
		f.bad = true
	}
	return v
}

func (f *fields) filler() {
	field := f.next()
	if len(field) == 0 || field[0] != '.' {
		f.bad = true
	}
}
