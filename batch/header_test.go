package batch

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

func TestHeaderReadsAsWritten(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		raw := [HeaderSize]byte(noise(r, HeaderSize))
		h, err := ParseHeader(raw[:])
		if err != nil {
			t.Fatal(err)
		}
		var again [HeaderSize]byte
		if h.put(&again); again != raw {
			t.Fatalf("%x\nreads and writes as\n%x", raw, again)
		}
	}
	if _, err := ParseHeader(make([]byte, HeaderSize-1)); !errors.Is(err, ErrShort) {
		t.Fatalf("60 bytes: %v, want ErrShort", err)
	}
}

func TestAttributesAreRead(t *testing.T) {
	for _, c := range []struct {
		attributes                 int16
		codec                      Codec
		appendTime, txn, isControl bool
	}{
		{0, None, false, false, false},
		{1, Gzip, false, false, false},
		{2 | 0x08, Snappy, true, false, false},
		{3 | 0x10, LZ4, false, true, false},
		{4 | 0x20, Zstd, false, false, true},
		{-1, 7, true, true, true},
	} {
		h := Header{Attributes: c.attributes}
		if h.Codec() != c.codec || h.LogAppendTime() != c.appendTime || h.Transactional() != c.txn || h.Control() != c.isControl {
			t.Errorf("attributes %#x: %v %v %v %v", c.attributes, h.Codec(), h.LogAppendTime(), h.Transactional(), h.Control())
		}
	}
}

func TestLastSequenceWraps(t *testing.T) {
	for _, c := range []struct{ base, delta, want int32 }{
		{0, 0, 0}, {5, 9, 14}, {NoSequence, 9, NoSequence},
		{math.MaxInt32, 0, math.MaxInt32}, {math.MaxInt32, 1, 0}, {math.MaxInt32 - 2, 9, 6}, {0, math.MaxInt32, math.MaxInt32},
	} {
		if got := (Header{BaseSequence: c.base, LastOffsetDelta: c.delta}).LastSequence(); got != c.want {
			t.Errorf("%d and %d more: %d, want %d", c.base, c.delta, got, c.want)
		}
	}
}

func TestSizeStaysWithinTheBytes(t *testing.T) {
	b := build(t, None, 3, NoStamp)
	two := append(append([]byte(nil), b...), b...)
	if n, err := Size(two); err != nil || n != len(b) {
		t.Fatalf("first of two batches: %d, %v; want %d", n, err, len(b))
	}
	for _, c := range []struct {
		length int64
		ok     bool
	}{
		{49, true}, {48, false}, {0, false}, {-1, false}, {-12, false}, {-13, false}, {math.MinInt32, false}, {math.MaxInt32, false},
		{int64(len(b)) - 12, true}, {int64(len(b)) - 11, false},
	} {
		x := append([]byte(nil), b...)
		binary.BigEndian.PutUint32(x[offLength:], uint32(c.length))
		if n, err := Size(x); (err == nil) != c.ok || err == nil && int64(n) != c.length+12 {
			t.Errorf("length %d in %d bytes: %d, %v", c.length, len(x), n, err)
		}
	}
	for n := range 61 {
		if _, err := Size(b[:n]); !errors.Is(err, ErrShort) {
			t.Errorf("%d bytes: %v, want ErrShort", n, err)
		}
	}
}
