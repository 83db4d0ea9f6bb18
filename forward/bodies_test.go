package forward

import (
	"math/rand/v2"
	"testing"
)

func TestBodiesWasteAtMostAQuarter(t *testing.T) {
	was, largest := -1, 0
	for n := 1; n < 1<<27; n += 1 + n/97 {
		class, size := bodyClass(n)
		again, same := bodyClass(size)
		switch {
		case size < n || n > bodyLeast && float64(size-n) > 0.25*float64(size):
			t.Fatalf("%d bytes get a buffer of %d", n, size)
		case again != class || same != size:
			t.Fatalf("a buffer of %d is lent from class %d and given back to class %d", size, class, again)
		case class < was || class > was+1 || class >= bodyClasses:
			t.Fatalf("%d bytes: class %d after %d", n, class, was)
		case class == was && size != largest:
			t.Fatalf("class %d has buffers of %d and of %d", class, largest, size)
		}
		was, largest = class, size
	}
	if class, _ := bodyClass(1 << 27); class >= bodyClasses {
		t.Errorf("the largest entry has class %d of %d", class, bodyClasses)
	}
}

// TestBodiesAreBounded plays random lending: what is kept never comes on top of what may be lent, and no buffer is lent
// twice at a time.
func TestBodiesAreBounded(t *testing.T) {
	const most = 1 << 20
	b := bodies{most: most}
	rng := rand.New(rand.NewPCG(1, 1))
	var out [][]byte
	owner := map[*byte]bool{}
	lent := 0
	for range 200_000 {
		if rng.IntN(20_000) == 0 {
			b.trim()
		}
		if n := 1 + rng.IntN(20_000); rng.IntN(2) == 0 && lent+n < most {
			body := b.lend(n)
			if len(body) != n || owner[&body[:1][0]] {
				t.Fatalf("asked for %d bytes: %d, lent already %v", n, len(body), owner[&body[:1][0]])
			}
			owner[&body[:1][0]] = true
			lent += cap(body)
			out = append(out, body)
		} else if len(out) > 0 {
			i := rng.IntN(len(out))
			body := out[i]
			out[i] = out[len(out)-1]
			out = out[:len(out)-1]
			lent -= cap(body)
			delete(owner, &body[:1][0])
			if rng.IntN(100) == 0 {
				b.leave(body)
			} else {
				b.back(body)
			}
		}
		kept := 0
		for _, free := range b.free {
			for _, body := range free {
				kept += cap(body)
			}
		}
		if b.lent != lent || b.kept != kept || b.idle > b.kept || kept > 0 && lent+kept > most+24<<10 {
			t.Fatalf("lent %d (%d), kept %d (%d), idle %d", lent, b.lent, kept, b.kept, b.idle)
		}
	}
}

func TestTrimGivesBackWhatNobodyNeeds(t *testing.T) {
	b := bodies{most: 1 << 20}
	var out [][]byte
	for range 100 {
		out = append(out, b.lend(4096))
	}
	for _, body := range out {
		b.back(body)
	}
	b.trim()
	for range 30 {
		b.back(b.lend(4096))
	}
	if b.trim(); b.kept != 4096 {
		t.Errorf("%d bytes are kept, 4096 were needed", b.kept)
	}
	if allocs := testing.AllocsPerRun(100, func() { b.back(b.lend(4000)) }); allocs != 0 {
		t.Errorf("%v allocations for a buffer that is there", allocs)
	}
}
