package main

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"go.uber.org/goleak"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/check"
	"github.com/streamdown/streamdown/reconcile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What is planted in a partition is found to the record, and what reconcile says must be the same.
func TestWhatIsPlantedIsFoundAndCompared(t *testing.T) {
	// 0…99, of which 10…12 are lost, 20…24 are behind 29, and 40, 41 are there twice.
	var order []uint64
	for seq := range uint64(100) {
		switch {
		case seq >= 10 && seq <= 12, seq >= 20 && seq <= 24:
			continue
		}
		order = append(order, seq)
		switch seq {
		case 29:
			order = append(order, 20, 21, 22, 23, 24)
		case 41:
			order = append(order, 40, 41)
		}
	}
	checker := check.New(check.Config{})
	w := newWitness(checker)
	w.Sent(check.Stream{}, 99)
	for seq := range uint64(100) {
		w.Acked(check.Stream{}, seq)
	}
	for i, seq := range order {
		w.Seen(streamdown.TopicPartition{Topic: "t"}, streamdown.Offset(i), check.AppendRecord(nil, check.Record{Seq: seq}))
	}
	found, rep := w.found(0), checker.Final()
	if rep.Lost != found.lost.size() || rep.Duplicate != found.doubled.size() || rep.Reordered != found.reordered.size() {
		t.Errorf("the checker counts %v, the witness %+v", rep, found)
	}
	honest := []reconcile.Range{
		{Verdict: reconcile.Absent, Topic: "t", From: 10, To: 13},
		{Verdict: reconcile.Reordered, Topic: "t", From: 20, To: 25},
		{Verdict: reconcile.Doubled, Topic: "t", From: 40, To: 42},
		{Verdict: reconcile.Absent, Topic: "other", From: 0, To: 9},
	}
	for _, tt := range []struct {
		name string
		edit func(r []reconcile.Range) []reconcile.Range
		want uint64
	}{
		{"the same", func(r []reconcile.Range) []reconcile.Range { return r }, 0},
		{"in two pieces", func(r []reconcile.Range) []reconcile.Range {
			r[0].To = 11
			return append(r, reconcile.Range{Verdict: reconcile.Absent, Topic: "t", From: 11, To: 13})
		}, 0},
		{"one loss is not told", func(r []reconcile.Range) []reconcile.Range { r[0].To--; return r }, 1},
		{"more is told to be lost", func(r []reconcile.Range) []reconcile.Range { r[0].From -= 3; return r }, 3},
		{"nothing is told", func([]reconcile.Range) []reconcile.Range { return nil }, 10},
		{"lost for doubled", func(r []reconcile.Range) []reconcile.Range { r[2].Verdict = reconcile.Absent; return r }, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rep := &reconcile.Report{Worst: tt.edit(append([]reconcile.Range(nil), honest...))}
			said, _ := claimed(rep, "t")
			if said[0] == nil {
				said[0] = &claims{}
			}
			if n, lines := differ(0, found, said[0], true); n != tt.want {
				t.Errorf("%d records differ, want %d: %v", n, tt.want, lines)
			}
		})
	}
	sums := func(absent, doubled, late int64) *reconcile.Sums {
		return &reconcile.Sums{Absent: reconcile.Count{Records: absent}, Doubled: reconcile.Count{Records: doubled}, Late: reconcile.Count{Records: late}}
	}
	if n, lines := totals([]*claims{found}, sums(3, 2, 5)); n != 0 {
		t.Errorf("the same totals: %d, %v", n, lines)
	}
	if n, _ := totals([]*claims{found}, sums(2, 2, 7)); n != 3 {
		t.Errorf("other totals differ by %d", n)
	}
	// A backlog is not there for whoever reads Kafka.
	rep2 := &reconcile.Report{Partitions: []reconcile.Partition{{Topic: "t", Confirmed: 90, End: 100}}}
	if said, _ := claimed(rep2, "t"); said[0].lost.size() != 10 {
		t.Errorf("pending: %v", said[0].lost.list())
	}
}

// The sets against a slow obvious version.
func TestSetsSubtract(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		draw := func() (s set, in [60]bool) {
			for range rng.IntN(6) {
				from := rng.Uint64N(50)
				to := from + rng.Uint64N(10)
				s.add(from, to)
				for n := from; n < to; n++ {
					in[n] = true
				}
			}
			return s, in
		}
		a, inA := draw()
		b, inB := draw()
		got := [60]bool{}
		d := a.without(&b)
		for _, s := range d.list() {
			for n := s.from; n < s.to; n++ {
				got[n] = true
			}
		}
		n := uint64(0)
		for i := range got {
			if want := inA[i] && !inB[i]; got[i] != want {
				t.Fatalf("seed %d: %d is in %v without %v: %t", seed, i, a.list(), b.list(), got[i])
			} else if want {
				n++
			}
		}
		if d.size() != n {
			t.Fatalf("seed %d: size %d of %s", seed, d.size(), fmt.Sprint(d.list()))
		}
	}
}
