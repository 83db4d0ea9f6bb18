package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
)

const (
	window  = 32 << 10 // how much of an inflated payload is held at a time
	keepMax = 4 << 20  // larger buffers are left to the collector
)

var (
	errEnds     = errors.New("payload ends within a record")
	errRemains  = errors.New("payload goes on after the last record")
	errInflated = fmt.Errorf("payload inflates to more than %d bytes", MaxInflated)
	errVarint   = errors.New("varint does not end where it must")
)

// stream hands out a payload from its start to its end, inflated if need be. A payload that is not compressed is read
// in place. Streams are pooled, one kind per codec: open, then close.
type stream struct {
	hand  []byte    // bytes at hand and not yet taken: the payload itself or a part of own
	src   io.Reader // gives what follows them; nil when there is nothing or when it failed
	err   error     // why src failed
	given int64     // bytes at hand so far, in total
	rest  int       // bytes left of the record being read

	own   []byte // buffer for what src gives
	codec Codec
	in    bytes.Reader
	inflaters
}

var streams [Zstd + 1]sync.Pool

// open starts to read a payload. On error nothing is to be closed.
func open(c Codec, payload []byte) (*stream, error) {
	if c < None || c > Zstd {
		return nil, fmt.Errorf("unknown compression %d", c)
	}
	s, _ := streams[c].Get().(*stream)
	if s == nil {
		s = &stream{codec: c}
	}
	s.hand, s.src, s.err, s.given = nil, nil, nil, 0
	if c == None {
		s.hand, s.given = payload, int64(len(payload))
		return s, nil
	}
	if err := s.inflate(payload); err != nil {
		s.close()
		return nil, fmt.Errorf("inflate %v: %w", c, err)
	}
	return s, nil
}

// close gives the stream back. What it handed out is invalid from here on, except for what aliases the payload.
func (s *stream) close() {
	s.hand, s.src, s.err = nil, nil, nil
	s.release()
	if cap(s.own) > keepMax {
		s.own = nil
	}
	streams[s.codec].Put(s)
}

// need makes sure that n bytes are at hand. The buffer doubles at most each time it has been filled, so that it grows
// with what came and not with what was announced.
func (s *stream) need(n int) error {
	for len(s.hand) < n {
		if s.src == nil {
			return s.short()
		}
		switch {
		case len(s.hand) < cap(s.own): // room is left, perhaps at the front
			kept := copy(s.own[:cap(s.own)], s.hand)
			s.hand = s.own[:kept]
		default:
			grown := make([]byte, max(window, 2*cap(s.own)))
			kept := copy(grown, s.hand)
			s.own, s.hand = grown, grown[:kept]
		}
		s.read()
	}
	return nil
}

// read appends to hand what src gives; hand starts at own's start.
func (s *stream) read() {
	kept := len(s.hand)
	for range 100 {
		n, err := s.src.Read(s.own[kept:cap(s.own)])
		s.hand = s.own[:kept+n]
		s.given += int64(n)
		switch {
		case s.given > MaxInflated:
			s.src, s.err = nil, errInflated
			s.hand = s.hand[:0]
		case err == io.EOF:
			s.src = nil
		case err != nil:
			s.src, s.err = nil, fmt.Errorf("inflate %v: %w", s.codec, err)
		}
		if n > 0 || s.src == nil {
			return
		}
	}
	s.src, s.err = nil, io.ErrNoProgress
}

// short is the reason why there are fewer bytes than needed.
func (s *stream) short() error {
	if s.err != nil {
		return s.err
	}
	return errEnds
}

// take hands out n bytes, which are at hand.
func (s *stream) take(n int) []byte {
	b := s.hand[:n:n]
	s.hand = s.hand[n:]
	return b
}

// discard passes over n bytes.
func (s *stream) discard(n int) error {
	for n > len(s.hand) {
		n -= len(s.hand)
		s.hand = s.hand[len(s.hand):]
		if err := s.need(1); err != nil {
			return err
		}
	}
	s.hand = s.hand[n:]
	return nil
}

// end checks that nothing follows. For a compressed payload this also lets the codec check its own trailer.
func (s *stream) end() error {
	if len(s.hand) == 0 {
		if s.src == nil {
			return s.err
		}
		if err := s.need(1); errors.Is(err, errEnds) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return errRemains
}

// varlong reads a zigzag varint of up to ten bytes and takes its bytes from rest.
func (s *stream) varlong() (int64, error) {
	u, _, err := s.uvarint()
	return int64(u>>1) ^ -int64(u&1), err
}

// varint reads a zigzag varint of up to five bytes and takes its bytes from rest.
func (s *stream) varint() (int32, error) {
	u, n, err := s.uvarint()
	if err == nil && (n > binary.MaxVarintLen32 || u > math.MaxUint32) {
		err = errVarint
	}
	return int32(uint32(u)>>1) ^ -int32(u&1), err
}

// uvarint looks no further than rest: within a record that is kept, nothing at hand may move.
func (s *stream) uvarint() (u uint64, n int, err error) {
	if len(s.hand) > 0 && s.hand[0] < 0x80 && s.rest > 0 {
		u, n = uint64(s.hand[0]), 1
	} else {
		most := min(s.rest, binary.MaxVarintLen64)
		if len(s.hand) < most {
			_ = s.need(most) // fewer may do
		}
		b := s.hand[:min(len(s.hand), most)]
		if u, n = binary.Uvarint(b); n < 0 || n == 0 && len(b) == most {
			return 0, 0, errVarint
		} else if n == 0 {
			return 0, 0, s.short()
		}
	}
	s.hand = s.hand[n:]
	s.rest -= n
	return u, n, nil
}
