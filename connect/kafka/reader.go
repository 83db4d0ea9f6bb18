package kafka

import "encoding/binary"

// reader takes the primitive types of the Kafka protocol off a buffer. Past the end, or at a length that does not fit,
// it becomes bad and returns zeros from then on; the caller checks once at the end. It copies nothing.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) span(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	s := r.b[:n:n]
	r.b = r.b[n:]
	return s
}

func (r *reader) int16() int16 {
	if s := r.span(2); s != nil {
		return int16(binary.BigEndian.Uint16(s))
	}
	return 0
}

func (r *reader) int32() int32 {
	if s := r.span(4); s != nil {
		return int32(binary.BigEndian.Uint32(s))
	}
	return 0
}

func (r *reader) int64() int64 {
	if s := r.span(8); s != nil {
		return int64(binary.BigEndian.Uint64(s))
	}
	return 0
}

// uvarint reads an unsigned varint of at most 32 bits (KIP-482).
func (r *reader) uvarint() uint32 {
	v, n := binary.Uvarint(r.b)
	if r.bad || n <= 0 || n > 5 || v > 1<<32-1 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return uint32(v)
}

// length reads the length of an array, string or bytes: -1 is null. Compact ones stand one higher, so that 0 is null.
// Whatever it counts takes a byte at least, so a length beyond the buffer is bad.
func (r *reader) length(compact bool, wide bool) int {
	var n int
	switch {
	case compact:
		n = int(r.uvarint()) - 1
	case wide:
		n = int(r.int32())
	default:
		n = int(r.int16())
	}
	if r.bad || n < -1 || n > len(r.b) {
		r.bad, r.b = true, nil
		return 0
	}
	return n
}

func (r *reader) array(compact bool) int { return max(0, r.length(compact, true)) }

// str reads a string, null as empty. The bytes belong to the buffer.
func (r *reader) str(compact bool) []byte { return r.span(max(0, r.length(compact, false))) }

// tags skips a section of tagged fields (KIP-482).
func (r *reader) tags() {
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		r.uvarint()
		r.span(int(r.uvarint()))
	}
}
