package gateway

import (
	"encoding/binary"
	"fmt"

	"github.com/streamdown/streamdown"
)

// maxItems bounds the topics and the partitions of one request: what is kept for each is larger than the few bytes it
// takes to ask for it.
const maxItems = 1 << 16

// fields reads the body of a request. Every length and count is checked against the bytes that are left before it is
// used. After the first error all further reads give zero values and nothing loops, so one look at err at the end is
// enough. What it returns points into the body.
type fields struct {
	rest []byte
	size int
	flex bool // KIP-482: compact lengths and tagged fields
	bad  *malformedError
}

// malformedError says where a body stopped to make sense.
type malformedError struct {
	Pos  int
	What string
}

func (e *malformedError) Error() string {
	return fmt.Sprintf("%s at byte %d of the request's body", e.What, e.Pos)
}

func newFields(body []byte, flexible bool) fields {
	return fields{rest: body, size: len(body), flex: flexible}
}

// end reports the first error; bytes left over are one, because a body that was not understood to its end was not
// understood.
func (f *fields) end() error {
	if f.bad == nil && len(f.rest) > 0 {
		f.fail("bytes left over")
	}
	if f.bad != nil {
		return f.bad
	}
	return nil
}

func (f *fields) fail(what string) {
	if f.bad == nil {
		f.bad = &malformedError{Pos: f.size - len(f.rest), What: what}
	}
	f.rest = nil
}

func (f *fields) take(n int) []byte {
	if n < 0 || n > len(f.rest) {
		f.fail("too few bytes")
		return nil
	}
	b := f.rest[:n:n]
	f.rest = f.rest[n:]
	return b
}

func (f *fields) int8() int8 {
	if b := f.take(1); b != nil {
		return int8(b[0])
	}
	return 0
}

func (f *fields) bool() bool { return f.int8() != 0 }

func (f *fields) int16() int16 {
	if b := f.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (f *fields) int32() int32 {
	if b := f.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

// skip64 passes over a number of 8 bytes.
func (f *fields) skip64() { f.take(8) }

func (f *fields) uuid() (id streamdown.ID) {
	copy(id[:], f.take(16))
	return id
}

func (f *fields) uvarint() uint32 {
	v, n := binary.Uvarint(f.rest)
	if n <= 0 || n > 5 || v > 1<<32-1 {
		f.fail("an unsigned varint that is none")
		return 0
	}
	f.rest = f.rest[n:]
	return uint32(v)
}

// length reads the length of what follows: -1 is null.
func (f *fields) length(short bool) int {
	var n int
	switch {
	case f.flex:
		n = int(int64(f.uvarint()) - 1)
	case short:
		n = int(f.int16())
	default:
		n = int(f.int32())
	}
	if f.bad == nil && (n < -1 || n > len(f.rest)) {
		f.fail("a length beyond the end")
	}
	if f.bad != nil {
		return 0
	}
	return n
}

// span reads n bytes, nil for -1.
func (f *fields) span(n int) []byte {
	if n < 0 {
		return nil
	}
	return f.take(n)
}

// nullable reads a string that may be null, which is nil; an empty one is not.
func (f *fields) nullable() []byte { return f.span(f.length(true)) }

// string reads a string.
func (f *fields) string() []byte {
	b := f.nullable()
	if b == nil && f.bad == nil {
		f.fail("null where a string must be")
	}
	return b
}

// bytes reads a byte field that may be null.
func (f *fields) bytes() []byte { return f.span(f.length(false)) }

// count reads the number of elements of an array, -1 for null. min is the size of the smallest element.
func (f *fields) count(min int) int {
	n := f.length(false)
	if n > len(f.rest)/min {
		f.fail("more elements than can follow")
		return 0
	}
	if n > maxItems {
		f.fail(fmt.Sprintf("more than %d elements", maxItems))
		return 0
	}
	return n
}

// tags skips the tagged fields at the end of a structure; none of those that exist today matters to us. In versions
// that are not flexible it does nothing.
func (f *fields) tags() {
	if !f.flex {
		return
	}
	n := int64(f.uvarint())
	if n > int64(len(f.rest)/2) {
		f.fail("more tagged fields than can follow")
		return
	}
	for ; n > 0 && f.bad == nil; n-- {
		f.uvarint()
		size := f.uvarint()
		if int64(size) > int64(len(f.rest)) {
			f.fail("a tagged field beyond the end")
			return
		}
		f.take(int(size))
	}
}
