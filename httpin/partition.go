package httpin

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
)

// murmur2 is the hash of Kafka's default partitioner (org.apache.kafka.common.utils.Utils.murmur2), after Austin
// Appleby's MurmurHash2 with Kafka's seed.
func murmur2(b []byte) uint32 {
	const m = 0x5bd1e995
	h := 0x9747b28c ^ uint32(len(b)) //nolint:gosec // as in Kafka
	for ; len(b) >= 4; b = b[4:] {
		k := binary.LittleEndian.Uint32(b) * m
		k = (k ^ k>>24) * m
		h = h*m ^ k
	}
	switch len(b) {
	case 3:
		h ^= uint32(b[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(b[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(b[0])) * m
	}
	h = (h ^ h>>13) * m
	return h ^ h>>15
}

// byKey is the partition of a key among n, as Kafka's producers choose it.
func byKey(key []byte, n int) int32 {
	return int32(murmur2(key)&0x7fffffff) % int32(n) //nolint:gosec // 31 bits; partitions are few
}

// stickyBytes is how much goes to one partition before records without a key move on: batch.size of Kafka's producers,
// whose default partitioner does so (KIP-480, KIP-794).
const stickyBytes = 16 << 10

// sticky chooses partitions for records without a key.
type sticky struct {
	at    int32
	bytes int
	next  func(at int32, n int) int32
}

// take returns the partition of the next record, of so many bytes, among n.
func (s *sticky) take(bytes, n int) int32 {
	if s.at < 0 || int(s.at) >= n || s.bytes >= stickyBytes {
		s.at, s.bytes = s.next(s.at, n), 0
	}
	s.bytes += bytes
	return s.at
}

// elsewhere is another partition, at random.
func elsewhere(at int32, n int) int32 {
	if at < 0 || n < 2 || int(at) >= n {
		return rand.Int32N(int32(n)) //nolint:gosec // partitions are few
	}
	return (at + 1 + rand.Int32N(int32(n)-1)) % int32(n) //nolint:gosec // partitions are few
}

// following goes round from a first partition: the same request goes the same way again.
func following(first uint64) func(at int32, n int) int32 {
	return func(at int32, n int) int32 {
		if at < 0 {
			return int32(first % uint64(n)) //nolint:gosec // below n
		}
		return (at + 1) % int32(n) //nolint:gosec // partitions are few
	}
}

// stickies keeps the partition of each topic from request to request: small requests share batches at the target no
// worse than a producer's would.
type stickies struct {
	mu sync.Mutex // guards the following
	of map[string]sticky
}

// get returns where the topic stands; put says where it stands now. Two requests at a time may both go on from one
// place.
func (s *stickies) get(topic string) sticky {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.of[topic]
	if !ok {
		at.at = -1
	}
	at.next = elsewhere
	return at
}

func (s *stickies) put(topic string, at sticky) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil || len(s.of) >= 10_000 { // topics exist, so they are few
		s.of = map[string]sticky{}
	}
	s.of[topic] = at
}
