package batch

import (
	"errors"
	"fmt"
	"hash/crc32"
)

// ErrChecksum says that the CRC of a batch does not match its bytes.
var ErrChecksum = errors.New("checksum mismatch")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Verify checks that b is exactly one batch of magic 2 whose CRC32C matches its bytes (ErrChecksum otherwise). The
// base offset and the leader epoch stand outside the CRC; nothing can be said of them.
func Verify(b []byte) error {
	n, err := Size(b)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if n != len(b) {
		return fmt.Errorf("verify: %d bytes follow the end of the batch", len(b)-n)
	}
	h := parseHeader((*[HeaderSize]byte)(b))
	if h.Magic != 2 {
		return fmt.Errorf("verify: batch of magic %d, want 2", h.Magic)
	}
	if crc := crc32.Checksum(b[offAttributes:], castagnoli); crc != h.CRC {
		return fmt.Errorf("verify: %w: stored %08x, computed %08x", ErrChecksum, h.CRC, crc)
	}
	return nil
}

// PayloadCRC returns the CRC32C of a batch's payload as its producer computed it, from the 61 header bytes alone: the
// stored CRC covers 40 bytes of header and the payload, and the header's part can be taken out again. It says what the
// payload should be, not what it is. It panics when header is shorter than HeaderSize.
func PayloadCRC(header []byte) uint32 {
	h := (*[HeaderSize]byte)(header)
	return storedCRC(h) ^ shift(crc32.Checksum(h[offAttributes:], castagnoli), payloadSize(h))
}

// CRC32C is a polynomial over GF(2) reduced modulo P, so it is linear: for the concatenation of A and B,
//
//	crc(A‖B) = crc(A)·x^(8·len(B)) mod P  xor  crc(B)
//
// (the inversions before and after cancel out). Bits are reflected as in hash/crc32: bit 31 stands for x^0.

const polynomial = crc32.Castagnoli // P without its x^32, reflected

// powers[i][v] is x^(8·v·256^i) mod P: the factor for digit v of a length in bytes, written in base 256.
var powers = func() (t [4][256]uint32) {
	step := uint32(1) << (31 - 8) // x^8: one byte
	for i := range t {
		t[i][0] = 1 << 31 // x^0
		for v := 1; v < 256; v++ {
			t[i][v] = multiply(t[i][v-1], step)
		}
		step = multiply(t[i][255], step)
	}
	return t
}()

// multiply returns a·b mod P.
func multiply(a, b uint32) uint32 {
	var p uint32
	for range 32 {
		p ^= b & -(a >> 31)
		a <<= 1
		b = b>>1 ^ polynomial&-(b&1)
	}
	return p
}

// shift returns crc·x^(8·n) mod P: what crc contributes when n bytes follow.
func shift(crc, n uint32) uint32 {
	for i := 0; n != 0; i, n = i+1, n>>8 {
		if v := n & 0xff; v != 0 {
			crc = multiply(powers[i][v], crc)
		}
	}
	return crc
}
