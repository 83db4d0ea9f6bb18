package batch

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

// noon is the tests' clock.
var noon = time.UnixMilli(1_800_000_000_000)

// build makes a batch of n small records around noon, all with keys.
func build(t testing.TB, codec Codec, n int, s Stamp) []byte {
	t.Helper()
	var b Builder
	for i := range n {
		b.Append(noon.UnixMilli()+int64(i), fmt.Append(nil, "key ", i), fmt.Append(nil, "a value of some length ", i),
			RecordHeader{Key: []byte("trace"), Value: []byte("abc")})
	}
	return built(t, &b, codec, s)
}

func built(t testing.TB, b *Builder, codec Codec, s Stamp) []byte {
	t.Helper()
	out, err := b.Build(codec, s)
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte(nil), out...)
}

// seal makes length and CRC fit the bytes again.
func seal(b []byte) []byte {
	binary.BigEndian.PutUint32(b[offLength:], uint32(len(b)-lengthEnd))
	binary.BigEndian.PutUint32(b[offCRC:], crc32.Checksum(b[offAttributes:], castagnoli))
	return b
}

// edit changes a batch's header and seals it.
func edit(b []byte, change func(h *Header)) []byte {
	h := parseHeader((*[HeaderSize]byte)(b))
	change(&h)
	h.put((*[HeaderSize]byte)(b))
	return seal(b)
}

// wrap puts a header for count records around a payload.
func wrap(codec Codec, count int32, payload []byte) []byte {
	b := append(make([]byte, HeaderSize), payload...)
	return edit(b, func(h *Header) {
		*h = Header{LeaderEpoch: -1, Magic: 2, Attributes: int16(codec), LastOffsetDelta: count - 1, Count: count,
			BaseTimestamp: noon.UnixMilli(), MaxTimestamp: noon.UnixMilli(), ProducerID: -1, ProducerEpoch: -1, BaseSequence: -1}
	})
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// allocated returns how many bytes f allocated on the heap, freed or not.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
