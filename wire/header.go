package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// RequestHeader is what stands before the body of a request. Correlation ids are the client's and need not be unique.
type RequestHeader struct {
	Key, Version  int16
	CorrelationID int32
	ClientID      string // a copy; "" when null
}

// ErrShort says that a frame ends within its header.
var ErrShort = errors.New("request header cut short")

// ParseRequestHeader splits a request frame. body aliases frame. For a key that kmsg does not know it assumes header
// v1, so that the request can be refused in the client's name; its body is then of no use. On error h holds what could
// be read. Neither key nor version is checked.
func ParseRequestHeader(frame []byte) (h RequestHeader, body []byte, err error) {
	if len(frame) < 8 {
		return h, nil, fmt.Errorf("parse request of %d bytes: %w", len(frame), ErrShort)
	}
	h.Key = int16(binary.BigEndian.Uint16(frame))
	h.Version = int16(binary.BigEndian.Uint16(frame[2:]))
	h.CorrelationID = int32(binary.BigEndian.Uint32(frame[4:]))
	body = frame[8:]
	version := headerVersion(h.Key, h.Version)
	if version == 0 {
		return h, body, nil
	}
	if len(body) < 2 {
		return h, nil, fmt.Errorf("parse client id: %w", ErrShort)
	}
	n := int(int16(binary.BigEndian.Uint16(body)))
	body = body[2:]
	switch {
	case n < -1:
		return h, nil, fmt.Errorf("parse client id: length %d", n)
	case n > len(body):
		return h, nil, fmt.Errorf("parse client id of %d bytes: %w", n, ErrShort)
	case n > 0:
		h.ClientID = string(body[:n])
		body = body[n:]
	}
	if version < 2 {
		return h, body, nil
	}
	if body, err = skipTags(body); err != nil {
		return h, nil, fmt.Errorf("parse header tags: %w", err)
	}
	return h, body, nil
}

// skipTags passes over tagged fields (KIP-482). Each takes two bytes at least, so the count is bounded by what is there
// before it is believed, and every step consumes bytes.
func skipTags(b []byte) ([]byte, error) {
	count, b, err := uvarint(b)
	if err != nil {
		return nil, err
	}
	if int64(count) > int64(len(b)/2) {
		return nil, fmt.Errorf("%d tags in %d bytes: %w", count, len(b), ErrShort)
	}
	for range count {
		var size uint32
		if _, b, err = uvarint(b); err != nil {
			return nil, err
		}
		if size, b, err = uvarint(b); err != nil {
			return nil, err
		}
		if int64(size) > int64(len(b)) {
			return nil, fmt.Errorf("tag of %d bytes in %d: %w", size, len(b), ErrShort)
		}
		b = b[size:]
	}
	return b, nil
}

func uvarint(b []byte) (uint32, []byte, error) {
	v, n := binary.Uvarint(b[:min(len(b), binary.MaxVarintLen32)])
	switch {
	case n > 0 && v <= math.MaxUint32:
		return uint32(v), b[n:], nil
	case n == 0 && len(b) < binary.MaxVarintLen32:
		return 0, nil, ErrShort
	}
	return 0, nil, errors.New("varint of more than 32 bits")
}

const controlledShutdown = 7

// headerVersion is the version of the header in front of a request: 2 for flexible ones, 0 for one between brokers of
// long ago, else 1.
func headerVersion(key, version int16) int {
	switch {
	case key == controlledShutdown && version == 0:
		return 0
	case key >= 0 && int(key) < len(firstFlexible) && int(version) >= firstFlexible[key]:
		return 2
	}
	return 1
}

// firstFlexible holds for each API key the first version that is flexible, or one that no request has.
var firstFlexible = func() []int {
	first := make([]int, kmsg.MaxKey+1)
	for key := range first {
		first[key] = math.MaxInt16 + 1
		r := kmsg.RequestForKey(int16(key))
		if r == nil {
			continue
		}
		for v := range r.MaxVersion() + 1 {
			if r.SetVersion(v); r.IsFlexible() {
				first[key] = int(v)
				break
			}
		}
	}
	return first
}()
