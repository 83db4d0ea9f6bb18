package check

import "math/bits"

// blockRecords is how many records share one block of bits.
const blockRecords = 1024

// block holds two bits for each of its records. A block whose bits are all set says nothing that a counter does not:
// it is folded away.
type block struct {
	acked, seen [blockRecords / 64]uint64
	both        int // records with both bits set
}

// Promise is what a stream's records are held to.
type Promise uint8

const (
	// ExactlyOnce: each acknowledged record once, in order. For idempotent clients.
	ExactlyOnce Promise = iota
	// AtLeastOnce: repeats are the client's retries; what was not there before keeps its order. For clients without
	// idempotence that keep one request in flight.
	AtLeastOnce
	// Unordered: as AtLeastOnce, and a retry may overtake. For clients without idempotence that keep several requests
	// in flight: Kafka itself promises them no order.
	Unordered
)

// series is the state of one Stream.
type series struct {
	id      Stream
	promise Promise
	sent    uint64              // sequences below it were sent
	acked   uint64              // how many
	seen    uint64              // how many different ones, without those that failed
	both    uint64              // how many are acknowledged and seen
	failed  map[uint64]struct{} // definitely failed
	folded  uint64              // blocks below it are folded
	blocks  map[uint64]*block   // by seq / blockRecords; nil = folded ahead of its turn
	lastNo  uint64              // number of last
	last    *block              // the block used last, nil if folded or none
	low     uint64              // lowest sequence seen, if seen > 0
	high    uint64              // highest sequence seen, if seen > 0
	places  []place             // partitions it was seen in, most recent first
}

// place is the order of one stream in one partition.
type place struct {
	part *partition
	high uint64 // highest sequence seen there
}

// at returns the block of seq, or nil if it is folded.
func (s *series) at(seq uint64, pool *[]*block) *block {
	no := seq / blockRecords
	if s.last != nil && s.lastNo == no {
		return s.last
	}
	if no < s.folded {
		return nil
	}
	b, ok := s.blocks[no]
	if ok && b == nil {
		return nil
	}
	if !ok {
		if n := len(*pool); n > 0 {
			b, *pool = (*pool)[n-1], (*pool)[:n-1]
			*b = block{}
		} else {
			b = new(block)
		}
		if s.blocks == nil {
			s.blocks = make(map[uint64]*block)
		}
		s.blocks[no] = b
	}
	s.last, s.lastNo = b, no
	return b
}

// has reports the two bits of seq.
func (s *series) has(seq uint64) (acked, seen bool) {
	no := seq / blockRecords
	if no < s.folded {
		return true, true
	}
	b, ok := s.blocks[no]
	if !ok {
		return false, false
	}
	if b == nil {
		return true, true
	}
	w, bit := seq%blockRecords/64, uint64(1)<<(seq%64)
	return b.acked[w]&bit != 0, b.seen[w]&bit != 0
}

// setAcked sets the bit and reports whether it was clear.
func (s *series) setAcked(seq uint64, pool *[]*block) bool {
	b := s.at(seq, pool)
	if b == nil {
		return false
	}
	w, bit := seq%blockRecords/64, uint64(1)<<(seq%64)
	if b.acked[w]&bit != 0 {
		return false
	}
	b.acked[w] |= bit
	s.acked++
	if b.seen[w]&bit != 0 {
		s.pair(b, seq, pool)
	}
	return true
}

// setSeen sets the bit and reports whether it was clear.
func (s *series) setSeen(seq uint64, pool *[]*block) bool {
	b := s.at(seq, pool)
	if b == nil {
		return false
	}
	w, bit := seq%blockRecords/64, uint64(1)<<(seq%64)
	if b.seen[w]&bit != 0 {
		return false
	}
	b.seen[w] |= bit
	s.seen++
	if b.acked[w]&bit != 0 {
		s.pair(b, seq, pool)
	}
	return true
}

// clearSeen takes back a sighting of a record that was not acknowledged.
func (s *series) clearSeen(seq uint64) {
	b := s.blocks[seq/blockRecords]
	b.seen[seq%blockRecords/64] &^= 1 << (seq % 64)
	s.seen--
}

// pair notes that both bits of seq are set now and folds the block when it was the last.
func (s *series) pair(b *block, seq uint64, pool *[]*block) {
	s.both++
	b.both++
	if b.both < blockRecords {
		return
	}
	no := seq / blockRecords
	s.blocks[no], s.last = nil, nil
	*pool = append(*pool, b)
	for {
		b, ok := s.blocks[s.folded]
		if !ok || b != nil {
			return
		}
		delete(s.blocks, s.folded)
		s.folded++
	}
}

// missing calls f with every sequence that is acknowledged and not seen, block by block, until f returns false.
func (s *series) missing(numbers []uint64, f func(seq uint64) bool) {
	for _, no := range numbers {
		b := s.blocks[no]
		if b == nil {
			continue
		}
		for w := range b.acked {
			for left := b.acked[w] &^ b.seen[w]; left != 0; left &= left - 1 {
				if !f(no*blockRecords + uint64(w)*64 + uint64(bits.TrailingZeros64(left))) {
					return
				}
			}
		}
	}
}

// late reports how far seq lies behind the highest sequence seen in the partition, 0 if it does not, and moves the
// highest on.
func (s *series) late(part *partition, seq uint64) (distance uint64) {
	for i := range s.places {
		if s.places[i].part != part {
			continue
		}
		if i > 0 {
			s.places[0], s.places[i] = s.places[i], s.places[0]
		}
		p := &s.places[0]
		if seq < p.high {
			return p.high - seq
		}
		p.high = seq
		return 0
	}
	s.places = append(s.places, place{part: part, high: seq})
	last := len(s.places) - 1
	s.places[0], s.places[last] = s.places[last], s.places[0]
	return 0
}
