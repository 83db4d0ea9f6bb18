package reconcile_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/reconcile"
	"github.com/streamdown/streamdown/wal"
)

// guarded is a shelf that is filled while it is read.
type guarded struct {
	mu sync.Mutex // guards the partitions of the shelf
	shelf
}

func (g *guarded) Pin(ctx context.Context, tp streamdown.TopicPartition) (reconcile.Pin, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shelf.Pin(ctx, tp)
}

func (g *guarded) Walk(ctx context.Context, tp streamdown.TopicPartition, id streamdown.ID, from, to streamdown.Offset, fn func(streamdown.Offset, []byte) error) error {
	g.mu.Lock()
	now := shelf{tp: {pin: g.shelf[tp].pin, batches: slices.Clone(g.shelf[tp].batches)}}
	g.mu.Unlock()
	return now.Walk(ctx, tp, id, from, to, fn)
}

// TestNothingThatMovesIsTakenForAFault reconciles again and again while records are accepted, delivered and confirmed,
// identities change, segments are released and the topic is trimmed.
func TestNothingThatMovesIsTakenForAFault(t *testing.T) {
	w := newTwin(t, 8<<10)
	w.bind(orders, 0, 0)
	g := &guarded{shelf: w.to}
	lane := w.lane(orders)
	p := w.partition(orders)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		epoch := int16(0)
		var backlog []item
		for i := 0; ctx.Err() == nil; i++ {
			backlog = append(backlog, w.accept(orders, 1+i%3, batch.Codec(i%5)))
			if len(backlog) < 1+i%7 {
				continue
			}
			if i%11 == 0 {
				epoch++
				g.mu.Lock()
				w.bind(orders, epoch, backlog[0].ordinal)
				g.mu.Unlock()
			}
			g.mu.Lock()
			w.send(backlog...)
			g.mu.Unlock()
			backlog = backlog[:0]
			if i%3 == 0 {
				w.confirm(orders, w.next[lane])
			}
			if i%50 == 49 {
				if _, err := w.log.Release(w.log.Durable() - min(w.log.Durable(), 512<<10)); err != nil {
					t.Error(err)
				}
			}
			if i%200 == 199 {
				g.mu.Lock()
				p.batches = slices.Clone(p.batches[len(p.batches)/2:])
				p.pin.Start, _ = extent(p.batches[0])
				g.mu.Unlock()
			}
		}
	})
	var compared int64
	// On a busy machine the writer may hardly have begun after 30 runs: then some more.
	for i := 0; i < 30 || compared < 50 && i < 10000; i++ {
		r, err := wal.OpenReader(w.fs, "/d")
		if err != nil {
			t.Error(err)
			break
		}
		rep, err := reconcile.Run(t.Context(), reconcile.Config{Log: r, Topic: g, Window: 1 + i%40})
		r.Close()
		if err != nil || rep.Exit() != 0 && rep.Exit() != 6 {
			t.Errorf("run %d: %v %s", i, err, rep)
			break
		}
		compared = max(compared, rep.Total.Compared)
	}
	cancel()
	wg.Wait()
	if compared < 50 {
		t.Errorf("never more than %d records were compared", compared)
	}
}

// BenchmarkRun compares 4,000 batches of 16 KiB, log and target in memory.
func BenchmarkRun(b *testing.B) {
	for _, tt := range []struct {
		name  string
		codec batch.Codec
		remix bool
	}{{"identical", batch.None, false}, {"recompressed", batch.LZ4, true}} {
		b.Run(tt.name, func(b *testing.B) {
			w := newTwin(b, 128<<20)
			w.bind(orders, 0, 0)
			var size int64
			for range 4000 {
				for range 16 {
					w.b.Append(1, []byte("key"), make([]byte, 1024))
				}
				raw, err := w.b.Build(batch.None, batch.NoStamp)
				if err != nil {
					b.Fatal(err)
				}
				it := item{tp: orders, ordinal: w.next[0], raw: slices.Clone(raw)}
				w.append(&wal.Entry{Kind: wal.KindBatch, Ordinal: it.ordinal, Count: 16, Body: it.raw})
				w.next[0] += 16
				size += int64(len(raw))
				sent := w.stamped(it)
				if tt.remix {
					sent = remake(b, tt.codec, sent)[0]
				}
				w.partition(orders).store(sent)
			}
			w.confirmAll()
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				if r := w.run(0); r.Exit() != 0 || r.Total.Compared != 64000 {
					b.Fatal(r)
				}
			}
		})
	}
}
