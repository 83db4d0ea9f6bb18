package delivery_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/wal"
)

func accept(b *delivery.Book, lane streamdown.LaneID, from streamdown.Ordinal, count int32) {
	b.Apply(&wal.Entry{Kind: wal.KindBatch, Lane: lane, Ordinal: from, Count: count})
}

func TestSequenceAndOrdinalAreInverse(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 10000 {
		b := delivery.Binding{Base: streamdown.Ordinal(rng.Int64N(1 << 40))}
		o := b.Base + streamdown.Ordinal(rng.Int64N(1<<36))
		near := o + streamdown.Ordinal(rng.Int64N(1<<30)) - 1<<29
		seq := b.Sequence(o)
		if seq < 0 || b.Ordinal(seq, near) != o {
			t.Fatalf("base %d: ordinal %d has sequence %d, back to %d", b.Base, o, seq, b.Ordinal(seq, near))
		}
	}
	b := delivery.Binding{Base: 10}
	if got := b.Sequence(10 + 1<<31); got != 0 {
		t.Fatalf("sequences wrap to %d, want 0", got)
	}
}

func TestWhoWaitsIsToldOnceAndInOrder(t *testing.T) {
	b := delivery.New()
	b.SetUp(true)
	accept(b, 0, 0, 30)
	type told struct {
		base      streamdown.Offset
		confirmed bool
	}
	var got []told
	note := func(base streamdown.Offset, confirmed bool) { got = append(got, told{base, confirmed}) }
	now := time.Unix(1000, 0)
	b.Await(0, 0, 10, now.Add(time.Second), note)
	b.Await(0, 10, 20, now.Add(time.Second), note)
	b.Await(0, 20, 30, now.Add(2*time.Second), note)
	b.Confirm(0, 10, 510)
	b.Confirm(0, 10, 999) // going nowhere tells nobody
	if len(got) != 1 || got[0] != (told{500, true}) {
		t.Fatalf("after the first confirmation: %v", got)
	}
	b.Sweep(now.Add(1500 * time.Millisecond))
	if len(got) != 2 || got[1] != (told{510, false}) {
		t.Fatalf("after the deadline: %v", got)
	}
	b.SetLive(0, false)
	if len(got) != 3 || got[2] != (told{520, false}) {
		t.Fatalf("when the lane falls behind: %v", got)
	}
	b.Await(0, 20, 30, now, note)
	if len(got) != 4 || got[3].confirmed {
		t.Fatalf("a lane that is behind makes nobody wait: %v", got)
	}
	b.Confirm(0, 30, 530)
	b.Await(0, 20, 30, now, note)
	if len(got) != 5 || !got[4].confirmed {
		t.Fatalf("what is confirmed is confirmed: %v", got)
	}
}

func TestEstimatesNeverFall(t *testing.T) {
	b := delivery.New()
	accept(b, 0, 0, 100)
	var last streamdown.Offset
	check := func(o streamdown.Ordinal) {
		t.Helper()
		got := b.Estimate(0, o)
		if got < last {
			t.Fatalf("estimate for ordinal %d is %d after %d", o, got, last)
		}
		last = got
	}
	check(5)
	b.Apply(&wal.Entry{Kind: wal.KindBinding, Body: delivery.BindingEntry(delivery.Binding{Lane: 0, End: 700}).Body})
	check(7)
	if last != 707 {
		t.Fatalf("estimate %d, want the binding's end and the records ahead: 707", last)
	}
	b.Confirm(0, 50, 760)
	check(50)
	check(10)
}

// TestRestartKnowsWhatTheLogKnows compares a book that lived on with one that was restored from a snapshot and one
// that saw every entry.
func TestRestartKnowsWhatTheLogKnows(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	b, replayed := delivery.New(), delivery.New()
	apply := func(e *wal.Entry) { b.Apply(e); replayed.Apply(e) }
	next := map[streamdown.LaneID]streamdown.Ordinal{}
	for range 500 {
		id := streamdown.LaneID(rng.IntN(7))
		switch rng.IntN(4) {
		case 0:
			apply(delivery.BindingEntry(delivery.Binding{Lane: id, Cluster: "c", PID: 42, Epoch: int16(rng.IntN(9)), Base: next[id], End: streamdown.Offset(rng.IntN(1000))}))
		case 1:
			apply(&wal.Entry{Kind: wal.KindBatch, Lane: id, Ordinal: next[id], Count: 3})
			next[id] += 3
		case 2:
			b.Confirm(id, streamdown.Ordinal(rng.Int64N(int64(next[id])+1)), streamdown.Offset(rng.IntN(5000)))
		case 3:
			if e := b.ProgressEntry(streamdown.LSN(rng.IntN(100000))); e != nil {
				apply(e)
			}
		}
	}
	h, err := delivery.HoldEntry(delivery.Hold{Target: "orders", Held: true, Reason: "test"})
	if err != nil {
		t.Fatal(err)
	}
	apply(h)
	if e := b.ProgressEntry(1 << 40); e != nil {
		apply(e)
	}
	restored := delivery.New()
	if err := restored.Restore(b.Snapshot(nil)); err != nil {
		t.Fatal(err)
	}
	for _, other := range []*delivery.Book{restored, replayed} {
		if other.Watermark() != b.Watermark() {
			t.Fatalf("watermark %d, want %d", other.Watermark(), b.Watermark())
		}
		if _, held := other.Held(streamdown.TopicPartition{Topic: "orders", Partition: 3}); !held {
			t.Fatal("a hold was forgotten")
		}
		for _, want := range b.Lanes() {
			if got := other.Lane(want.ID); got != want {
				t.Fatalf("lane %d: %+v, want %+v", want.ID, got, want)
			}
		}
	}
}

func TestMalformedSnapshotsAreRefused(t *testing.T) {
	b := delivery.New()
	accept(b, 1, 0, 10)
	b.Apply(delivery.BindingEntry(delivery.Binding{Lane: 1, Cluster: "cluster", PID: 1}))
	whole := b.Snapshot(nil)
	for n := 1; n < len(whole); n++ {
		// A cut may fall behind a whole lane; it must not panic, and what it restores must be a part of the truth.
		other := delivery.New()
		if err := other.Restore(whole[:n]); err == nil && other.Lane(1).End > 10 {
			t.Fatalf("cut at %d of %d: %+v", n, len(whole), other.Lane(1))
		}
	}
}

func TestAnIdleBookWritesNothing(t *testing.T) {
	b := delivery.New()
	accept(b, 0, 0, 10)
	b.Confirm(0, 10, 10)
	e := b.ProgressEntry(5000)
	if e == nil {
		t.Fatal("a confirmation was not written down")
	}
	b.Apply(e)
	if e := b.ProgressEntry(5100); e != nil {
		t.Fatal("its own entry made it write another one")
	}
	if e := b.ProgressEntry(5000 + 1<<21); e == nil {
		t.Fatal("a watermark that moved far was not written down")
	}
}

// TestABindingEndsWhereTheLogWasOpened: what came since was never sent under it, however often the log was opened
// meanwhile, and through a snapshot (rule A2).
func TestABindingEndsWhereTheLogWasOpened(t *testing.T) {
	opened := &wal.Entry{Kind: wal.KindOpened}
	b := delivery.New()
	limit := func(when string, closed bool, at streamdown.Ordinal) {
		t.Helper()
		again := delivery.New()
		if err := again.Restore(b.Snapshot(nil)); err != nil {
			t.Fatal(err)
		}
		if l := again.Lane(0); l != b.Lane(0) {
			t.Fatalf("%s: %+v came back as %+v", when, b.Lane(0), l)
		}
		if l := b.Lane(0); l.Closed != closed || l.Limit != at {
			t.Fatalf("%s: closed %v at %d, want %v at %d", when, l.Closed, l.Limit, closed, at)
		}
	}
	bind := func(pid int64, epoch int16, base streamdown.Ordinal) {
		b.Apply(delivery.BindingEntry(delivery.Binding{PID: pid, Epoch: epoch, Base: base}))
	}
	accept(b, 0, 0, 10)
	b.Apply(opened)
	limit("a lane without a binding", false, 0)
	bind(7, 0, 0)
	accept(b, 0, 10, 40)
	limit("bound", false, 0)
	b.Apply(opened)
	limit("opened", true, 50)
	accept(b, 0, 50, 60)
	b.Apply(opened)
	limit("opened again before anything was sent", true, 50)
	bind(7, 1, 45)
	limit("a new epoch, for what lies below", true, 50)
	bind(8, 0, 50)
	limit("bound anew", false, 0)
	b.Apply(opened)
	limit("and opened", true, 110)
}

// TestSnapshotsOfEarlierVersionsRestore: before bindings could be closed.
func TestSnapshotsOfEarlierVersionsRestore(t *testing.T) {
	const written = "\x00\x02{}\x00\x06\x12\x14\x01\x00\x01c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0e\x00\x06\x12"
	b := delivery.New()
	if err := b.Restore([]byte(written)); err != nil {
		t.Fatal(err)
	}
	want := delivery.Lane{End: 10, Confirmed: 3, Offset: 9, Bound: true, Binding: delivery.Binding{Cluster: "c", PID: 7, Base: 3, End: 9}}
	if l := b.Lane(0); l != want {
		t.Fatalf("%+v, want %+v", l, want)
	}
	if got := b.Snapshot(nil); string(got) != written {
		t.Fatalf("an open binding is written as %q now", got)
	}
	if err := b.Restore([]byte("\x00\x02{}\x00\x06\x12\x14\x03")); err == nil {
		t.Fatal("a state of a later version is taken for one of ours")
	}
}
