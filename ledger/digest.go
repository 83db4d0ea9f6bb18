package ledger

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/streamdown/streamdown/batch"
)

// Digest stands for a run of records, whatever batches they are cut into and however those are compressed. Digests of
// runs that follow each other make the digest of both ([Digest.Then]).
//
// It is an ordered fold over the xxh64 of each record: with K odd, one altered record changes it for certain, and so does an
// exchange of two unless their hashes differ by half of 2^64; loss and doubling show in Records or in the fold. It finds
// faults; against somebody who looks for collisions it proves nothing.
type Digest struct {
	Records int64
	Content uint64 // of keys, values and headers
	Times   uint64 // of timestamps, apart, for topics that stamp their own
}

// foldK is 3 modulo 4, so that an exchange of neighbours shows in all bits of the difference of their hashes but one.
const foldK = 0x9e3779b97f4a7c17

// Then returns the digest of d's records followed by those of next.
func (d Digest) Then(next Digest) Digest {
	k := power(next.Records)
	return Digest{d.Records + next.Records, d.Content*k + next.Content, d.Times*k + next.Times}
}

// power is foldK to the n-th.
func power(n int64) uint64 {
	k, p := uint64(1), uint64(foldK)
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			k *= p
		}
		p *= p
	}
	return k
}

// Hasher makes digests of records. The zero value is ready. It is not for concurrent use.
type Hasher struct {
	h xxhash.Digest
	b [12]byte
}

// Add appends a record to a digest.
func (s *Hasher) Add(d Digest, r *batch.Record) Digest {
	s.h.Reset()
	s.field(r.Key)
	s.field(r.Value)
	for i := range r.Headers {
		s.field(r.Headers[i].Key)
		s.field(r.Headers[i].Value)
	}
	content := s.h.Sum64()
	binary.LittleEndian.PutUint64(s.b[:], uint64(r.Timestamp)) //nolint:gosec // round trip
	return Digest{d.Records + 1, d.Content*foldK + content, d.Times*foldK + xxhash.Sum64(s.b[:8])}
}

// field takes a length before the bytes, so that no two records that differ look the same, and null is not empty.
func (s *Hasher) field(f []byte) {
	n := uint32(len(f)) //nolint:gosec // a batch is smaller
	if f == nil {
		n = 1<<32 - 1
	}
	binary.LittleEndian.PutUint32(s.b[:], n)
	_, _ = s.h.Write(s.b[:4]) // never fails
	_, _ = s.h.Write(f)
}

// Batch digests the records of a whole batch.
func (s *Hasher) Batch(raw []byte) (d Digest, err error) {
	for r, err := range batch.Records(raw) {
		if err != nil {
			return d, fmt.Errorf("digest a batch: %w", err)
		}
		d = s.Add(d, &r)
	}
	return d, nil
}
