package batch

import (
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"testing"
)

func TestShiftEqualsAppendingZeros(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	zeros := make([]byte, 1<<17)
	for _, n := range []int{0, 1, 2, 40, 255, 256, 257, 65535, 65536, 65537, 1 << 17} {
		crc := r.Uint32()
		if got, want := shift(crc, uint32(n)), plain(crc, zeros[:n]); got != want {
			t.Errorf("shift by %d: %08x, want %08x", n, got, want)
		}
	}
}

// plain is division bit by bit, without the inversions.
func plain(crc uint32, b []byte) uint32 {
	for _, x := range b {
		crc ^= uint32(x)
		for range 8 {
			crc = crc>>1 ^ polynomial&-(crc&1)
		}
	}
	return crc
}

func TestPayloadCRCFollowsFromTheHeader(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		b := randomBatch(r)
		if got, want := PayloadCRC(b[:HeaderSize]), crc32.Checksum(b[HeaderSize:], castagnoli); got != want {
			t.Fatalf("payload of %d bytes: %08x, want %08x", len(b)-HeaderSize, got, want)
		}
	}
}

func TestRestampEqualsComputingAnew(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 300 {
		b := randomBatch(r)
		s := Stamp{ProducerID: r.Int64(), Epoch: int16(r.Uint32()), BaseSequence: int32(r.Uint32())}
		var h [HeaderSize]byte
		Restamp(&h, b, s)
		want := edit(append([]byte(nil), b...), func(h *Header) {
			h.BaseOffset, h.LeaderEpoch = 0, -1
			h.ProducerID, h.ProducerEpoch, h.BaseSequence = s.ProducerID, s.Epoch, s.BaseSequence
		})
		if string(h[:]) != string(want[:HeaderSize]) {
			t.Fatalf("restamped\n%x, computed anew\n%x", h, want[:HeaderSize])
		}
		if PayloadCRC(h[:]) != PayloadCRC(b) {
			t.Fatal("the payload's CRC changed with the stamp")
		}
		Restamp((*[HeaderSize]byte)(b), b, s) // in place
		if string(b[:HeaderSize]) != string(h[:]) {
			t.Fatal("in place differs")
		}
	}
}

// Every single flipped bit, wherever it is, must still be seen after the batch got a new stamp.
func TestRestampNeverMakesRotValid(t *testing.T) {
	b := build(t, None, 4, Stamp{7, 1, 100})
	var h [HeaderSize]byte
	for bit := range len(b) * 8 {
		at := bit / 8
		if at < offLength || at >= offLeaderEpoch && at < offMagic {
			continue // base offset and leader epoch: no CRC covers them and every stamp replaces them
		}
		rotten := append([]byte(nil), b...)
		rotten[at] ^= 1 << (bit % 8)
		Restamp(&h, rotten, Stamp{1 << 40, 3, 5})
		copy(rotten, h[:])
		if Verify(rotten) == nil {
			t.Fatalf("bit %d of byte %d flipped, and the stamped batch is valid", bit%8, at)
		}
	}
	// The opposite, so that this test can fail: computing anew hides the rot.
	rotten := append([]byte(nil), b...)
	rotten[len(b)-3] ^= 1
	if Verify(seal(rotten)) != nil {
		t.Fatal("a recomputed CRC should have hidden the rot")
	}
}

func TestStampingAllocatesNothing(t *testing.T) {
	b := build(t, None, 100, Stamp{7, 1, 100})
	var h [HeaderSize]byte
	var crc uint32
	if n := testing.AllocsPerRun(100, func() {
		Restamp(&h, b, Stamp{1, 2, 3})
		crc ^= PayloadCRC(b)
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func randomBatch(r *rand.Rand) []byte {
	n := r.IntN(1 << r.IntN(18))
	b := noise(r, HeaderSize+n)
	b[offMagic] = 2
	return seal(b)
}

func BenchmarkRestamp(b *testing.B) {
	var h [HeaderSize]byte
	benchSizes(b, func(batch []byte) { Restamp(&h, batch, Stamp{1, 2, 3}) })
}

func BenchmarkPayloadCRC(b *testing.B) { benchSizes(b, func(batch []byte) { PayloadCRC(batch) }) }

func BenchmarkVerify(b *testing.B) {
	benchSizes(b, func(batch []byte) {
		if err := Verify(batch); err != nil {
			b.Fatal(err)
		}
	})
}

func benchSizes(b *testing.B, f func(batch []byte)) {
	for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			batch := sized(b, None, size)
			b.SetBytes(int64(len(batch)))
			b.ReportAllocs()
			for b.Loop() {
				f(batch)
			}
		})
	}
}

// sized makes a batch of about size bytes before compression, of records with 100 bytes of half random JSON.
func sized(b testing.TB, codec Codec, size int) []byte {
	r := rand.New(rand.NewPCG(9, 10))
	var bd Builder
	for n := 0; n+120 < size; n += 112 {
		bd.Append(noon.UnixMilli()+int64(bd.Len()), []byte("a key"), fmt.Appendf(nil, `{"user":%10d,"event":"click","page":"/products/%07d","session":"%016x","ok":true}`,
			r.Uint32(), r.Uint32()%1e7, r.Uint64()))
	}
	return built(b, &bd, codec, Stamp{7, 1, 100})
}
