package batch

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/klauspost/compress/snappy"
)

var errSnappy = errors.New("malformed block")

// xerialMagic starts the framing of snappy-java, which the Java client and kafkajs use: the magic, two versions, then
// chunks of a big-endian length and a snappy block. Other clients send one bare block. Brokers read both.
const (
	xerialMagic  = "\x82SNAPPY\x00"
	xerialHeader = len(xerialMagic) + 8
)

// snappyReader inflates either form, block by block.
type snappyReader struct {
	rest   []byte // blocks to come
	xerial bool
	out    []byte // what is left of the current block
	buf    []byte // its memory
}

func (r *snappyReader) reset(payload []byte) error {
	r.rest, r.out = payload, nil
	r.xerial = len(payload) >= xerialHeader && string(payload[:len(xerialMagic)]) == xerialMagic
	if r.xerial {
		r.rest = payload[xerialHeader:]
	}
	return nil
}

func (r *snappyReader) release() {
	r.rest, r.out = nil, nil
	if cap(r.buf) > keepMax {
		r.buf = nil
	}
}

// Read implements io.Reader.
func (r *snappyReader) Read(p []byte) (int, error) {
	for len(r.out) == 0 {
		if len(r.rest) == 0 {
			return 0, io.EOF
		}
		if err := r.block(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

func (r *snappyReader) block() error {
	block := r.rest
	if r.xerial {
		if len(r.rest) < 4 {
			return errSnappy
		}
		n := binary.BigEndian.Uint32(r.rest)
		r.rest = r.rest[4:]
		if uint64(n) > uint64(len(r.rest)) {
			return errSnappy
		}
		block, r.rest = r.rest[:n], r.rest[n:]
	} else {
		r.rest = nil
	}
	size, err := snappy.DecodedLen(block)
	if err != nil {
		return err
	}
	if size > MaxInflated {
		return errInflated
	}
	// A block cannot grow by more than 64 bytes for 3: a larger claim is false, and no memory is given on it.
	if size > 22*len(block) || !plainSnappy(block) {
		return errSnappy
	}
	if cap(r.buf) < size {
		r.buf = make([]byte, size)
	}
	r.out, err = snappy.Decode(r.buf[:size], block)
	return err
}

// plainSnappy reports whether a block keeps to Snappy. Our library also reads S2, its own extension, which marks
// repeats by a copy from offset 0; a broker would refuse that after we acked it.
func plainSnappy(block []byte) bool {
	_, n := binary.Uvarint(block)
	if n <= 0 {
		return false
	}
	for b := block[n:]; len(b) > 0; {
		tag := b[0]
		size := 1
		switch tag & 3 {
		case 0: // literal
			length := uint64(tag >> 2)
			if length >= 60 {
				extra := int(length) - 59
				if len(b) < 1+extra {
					return false
				}
				var le [8]byte
				copy(le[:], b[1:1+extra])
				length = binary.LittleEndian.Uint64(le[:])
				size += extra
			}
			if length+1 > uint64(len(b)-size) {
				return false
			}
			size += int(length) + 1
		case 1:
			size = 2
			if len(b) < size || tag&0xe0 == 0 && b[1] == 0 {
				return false
			}
		case 2:
			size = 3
			if len(b) < size || binary.LittleEndian.Uint16(b[1:]) == 0 {
				return false
			}
		case 3:
			size = 5
			if len(b) < size || binary.LittleEndian.Uint32(b[1:]) == 0 {
				return false
			}
		}
		b = b[size:]
	}
	return true
}
