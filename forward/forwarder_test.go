package forward_test

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/breaker"
	"github.com/streamdown/streamdown/sink"
)

// TestPayloadsAreWholeUntilTheyAreAnswered looks at the bytes as late as a pipe may: right before it answers, and when it
// ends. The window is so small that buffers are used again all the time.
func TestPayloadsAreWholeUntilTheyAreAnswered(t *testing.T) {
	const lanes, batches = 20, 6000
	b := newBench(t, lanes)
	b.core.Window, b.core.Request = 1<<20, 64<<10
	b.core.Breaker = breaker.Config{}
	var looked, left atomic.Int64
	verify := func(parcels []sink.Parcel) {
		for i := range parcels {
			p := &parcels[i]
			if err := batch.Verify(append(p.Header[:len(p.Header):len(p.Header)], p.Payload...)); err != nil {
				t.Errorf("%s: %v", p.TopicPartition, err)
			}
		}
		looked.Add(int64(len(parcels)))
	}
	b.to.took = verify
	b.to.left = func(parcels []sink.Parcel) {
		verify(parcels)
		left.Add(int64(len(parcels)))
	}
	b.to.every = 100
	stop := b.run()
	defer stop()
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range batches {
		b.append(rng.IntN(lanes), batchOf(t, 100+rng.IntN(20_000)))
		if i%100 == 99 && rng.IntN(3) == 0 {
			b.confirmed(int64(i + 1)) // now and then there is nothing to do
		}
	}
	b.confirmed(batches)
	if left.Load() == 0 {
		t.Error("no connection left anything unanswered")
	}
	t.Logf("looked at %d batches, %d of them left unanswered", looked.Load(), left.Load())
}

// TestALostConnectionIsToldWhenItsPipeHasEnded: while a pipe is still closing it may be reading what it was given.
func TestALostConnectionIsToldWhenItsPipeHasEnded(t *testing.T) {
	b := newBench(t, 1)
	b.core.Patience = 100 * time.Millisecond
	stuck, closing := make(chan struct{}), make(chan struct{})
	b.to.took = func([]sink.Parcel) { <-stuck } // silence: the breaker opens, and the connection is closed
	b.to.down = closing
	stop := b.run()
	defer stop()
	b.append(0, batchOf(t, 1000))
	select {
	case <-closing:
	case <-t.Context().Done():
		t.Fatal("the connection was not closed")
	}
	for range 3 {
		s, err := b.f.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Lanes) != 1 || s.Lanes[0].Flying != 1 {
			t.Errorf("while the pipe is closing: %+v", s.Lanes)
		}
	}
	close(stuck)
	b.confirmed(1)
}
