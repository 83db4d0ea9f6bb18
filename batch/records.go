package batch

import (
	"fmt"
	"iter"
)

// Records iterates over the records of the batch b, whatever its codec, in the order in which they stand. It trusts no
// length and stops after the first error; it does not check the CRC (Verify does) nor that offset deltas are dense
// (they are not once a broker compacted the batch). It ends with an error if bytes remain after the last record, or
// if a compressed payload inflates to more than MaxInflated.
//
// A record's bytes alias b, or a buffer if b is compressed, and Headers is reused: all of it is valid until the next
// step only. b must not change meanwhile. Iterators over the same bytes may run concurrently.
func Records(b []byte) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		n, err := Size(b)
		if err != nil {
			yield(Record{}, fmt.Errorf("read records: %w", err))
			return
		}
		h := parseHeader((*[HeaderSize]byte)(b))
		if h.Magic != 2 || h.Count < 0 {
			yield(Record{}, fmt.Errorf("read records: batch of magic %d with %d records", h.Magic, h.Count))
			return
		}
		s, err := open(h.Codec(), b[HeaderSize:n])
		if err != nil {
			yield(Record{}, fmt.Errorf("read records: %w", err))
			return
		}
		defer s.close()
		var f fields
		for i := range h.Count {
			if err := s.next(&f, keep); err != nil {
				yield(Record{}, fmt.Errorf("read record %d of %d: %w", i, h.Count, err))
				return
			}
			r := Record{OffsetDelta: f.offsetDelta, Timestamp: h.BaseTimestamp + f.timestampDelta, Key: f.key, Value: f.value, Headers: f.headers}
			if h.LogAppendTime() {
				r.Timestamp = h.MaxTimestamp
			}
			if !yield(r, nil) {
				return
			}
		}
		if err := s.end(); err != nil {
			yield(Record{}, fmt.Errorf("read records: %w", err))
		}
	}
}
