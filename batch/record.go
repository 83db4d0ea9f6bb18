package batch

import (
	"encoding/binary"
	"errors"
)

// Record is one record of a batch. A nil key or value is null; an empty one is not.
type Record struct {
	OffsetDelta int32 // from the batch's base offset
	Timestamp   int64 // ms since 1970, -1 = none
	Key, Value  []byte
	Headers     []RecordHeader
}

// RecordHeader is a header of a record. Keys are UTF-8 by contract, which nobody checks; a nil value is null.
type RecordHeader struct {
	Key   []byte
	Value []byte
}

var (
	errLength   = errors.New("a length points beyond its record")
	errNegative = errors.New("negative length")
	errHeaders  = errors.New("impossible number of headers")
	errLeftOver = errors.New("record is longer than its fields")
	errMinimum  = errors.New("record too short for its fields")
)

// minRecord is the size of an empty record's body: attributes, two deltas, null key, null value, no headers.
const minRecord = 6

// fields is one record as it is written.
type fields struct {
	timestampDelta int64
	offsetDelta    int32
	key, value     []byte
	headers        []RecordHeader
}

// How next treats the bytes of keys, values and headers.
const (
	keep = true  // handed out; they stay valid until the next call
	skip = false // passed over; key and value only tell null from not null
)

var present = []byte{}

// next reads one record (DefaultRecord.readFrom in Kafka).
func (s *stream) next(f *fields, want bool) error {
	s.rest = binary.MaxVarintLen32
	n, err := s.varint()
	if err != nil {
		return err
	}
	if n < minRecord {
		return errMinimum
	}
	if s.src == nil && int(n) > len(s.hand) {
		return s.short()
	}
	if want {
		if int64(n) > MaxInflated {
			return errInflated
		}
		if err := s.need(int(n)); err != nil {
			return err
		}
	}
	s.rest = int(n)
	if err := s.discard(1); err != nil { // attributes, of which none is defined
		return err
	}
	s.rest--
	if f.timestampDelta, err = s.varlong(); err != nil {
		return err
	}
	if f.offsetDelta, err = s.varint(); err != nil {
		return err
	}
	if f.key, err = s.field(want, true); err != nil {
		return err
	}
	if f.value, err = s.field(want, true); err != nil {
		return err
	}
	if err := s.headers(f, want); err != nil {
		return err
	}
	if s.rest != 0 {
		return errLeftOver
	}
	return nil
}

func (s *stream) headers(f *fields, want bool) error {
	n, err := s.varint()
	if err != nil {
		return err
	}
	if n < 0 || int(n) > s.rest/2 { // a key's and a value's length at least
		return errHeaders
	}
	f.headers = f.headers[:0]
	for range n {
		key, err := s.field(want, false)
		if err != nil {
			return err
		}
		value, err := s.field(want, true)
		if err != nil {
			return err
		}
		if want {
			f.headers = append(f.headers, RecordHeader{Key: key, Value: value})
		}
	}
	return nil
}

// field reads a length and that many bytes.
func (s *stream) field(want, nullable bool) ([]byte, error) {
	n, err := s.varint()
	switch {
	case err != nil:
		return nil, err
	case n == -1 && nullable:
		return nil, nil
	case n < 0:
		return nil, errNegative
	case int(n) > s.rest:
		return nil, errLength
	}
	s.rest -= int(n)
	if want {
		return s.take(int(n)), nil
	}
	return present, s.discard(int(n))
}
