package reconcile_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/reconcile"
)

// contents are a batch's records, one string each.
func contents(t testing.TB, raw []byte) (out []string) {
	t.Helper()
	for r, err := range batch.Records(raw) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%d %q %q %q", r.Timestamp, r.Key, r.Value, r.Headers))
	}
	return out
}

// model says the same as reconcile, record by record, with all in memory.
func model(t testing.TB, log []item, p *partition, confirmed streamdown.Ordinal) map[reconcile.Verdict]int64 {
	t.Helper()
	var want []string
	for _, it := range log {
		want = append(want, contents(t, it.raw)...)
	}
	verdicts := map[reconcile.Verdict]int64{}
	seen := make([]bool, len(want))
	tip := 0
	for _, raw := range p.batches {
		h, err := batch.ParseHeader(raw)
		if err != nil {
			t.Fatal(err)
		}
		if h.ProducerID != pid {
			continue
		}
		for i, got := range contents(t, raw) {
			switch o := int(h.BaseSequence) + i; {
			case o >= len(want):
				verdicts[reconcile.Foreign]++
			case seen[o]:
				verdicts[reconcile.Doubled]++
			case o < tip:
				verdicts[reconcile.Reordered]++
				seen[o] = true
			default:
				if seen[o], tip = true, o+1; got == want[o] {
					verdicts[reconcile.Identical]++ // or rewritten
				} else {
					verdicts[reconcile.Altered]++
				}
			}
		}
	}
	for o := range seen {
		switch {
		case seen[o]:
		case o < max(tip, int(confirmed)):
			verdicts[reconcile.Absent]++
		default:
			verdicts[reconcile.Pending]++
		}
	}
	return verdicts
}

// TestItSaysWhatASlowModelSays makes random logs and random damage at the target.
func TestItSaysWhatASlowModelSays(t *testing.T) {
	met := map[reconcile.Verdict]int{}
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 7))
		w := newTwin(t, int64(500+rng.IntN(8000)))
		w.sums = seed%16 == 0
		w.bind(orders, 0, 0)
		var log []item
		var stored [][]byte
		for range 1 + rng.IntN(25) {
			it := w.accept(orders, 1+rng.IntN(4), batch.Codec(rng.IntN(5)))
			log = append(log, it)
			stored = append(stored, w.stamped(it))
		}
		end := w.next[w.lane(orders)]
		stored = stored[:len(stored)-rng.IntN(1+len(stored)/3)]
		for range rng.IntN(4) {
			stored = mutate(t, w, rng, stored, end)
		}
		p := w.partition(orders)
		for _, raw := range stored {
			if rng.IntN(4) == 0 {
				w.noise(orders)
			}
			p.store(raw)
		}
		confirmed := streamdown.Ordinal(rng.IntN(int(end) + 1))
		w.confirm(orders, confirmed)
		want := model(t, log, p, confirmed)
		r := w.run(rng.IntN(8))
		r.Total.Identical.Records += r.Total.Rewritten.Records
		for v := range reconcile.Absent + 1 {
			if want[v] > 0 {
				met[v]++
			}
			if got := r.Total.Of(v).Records; got != want[v] && v != reconcile.Rewritten {
				t.Fatalf("seed %d: %d records %s, the model says %d: %s", seed, got, v, want[v], r)
			}
		}
		if seed%8 == 0 {
			modelLedger(t, w, seed, want)
		}
		if err := w.log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range []reconcile.Verdict{
		reconcile.Identical, reconcile.Pending, reconcile.Reordered, reconcile.Doubled, reconcile.Foreign, reconcile.Altered, reconcile.Absent,
	} {
		if met[v] < 20 {
			t.Errorf("only %d runs met %s", met[v], v)
		}
	}
}

// mutate does one thing to the batches at the target.
func mutate(t testing.TB, w *twin, rng *rand.Rand, stored [][]byte, end streamdown.Ordinal) [][]byte {
	if len(stored) == 0 {
		return stored
	}
	i, j := rng.IntN(len(stored)), rng.IntN(len(stored))
	raw := stored[i]
	h, err := batch.ParseHeader(raw)
	if err != nil {
		t.Fatal(err)
	}
	switch rng.IntN(8) {
	case 0: // lose some
		return slices.Delete(stored, i, min(len(stored), i+1+rng.IntN(3)))
	case 1: // double
		return slices.Insert(stored, j, slices.Clone(raw))
	case 2: // exchange
		stored[i], stored[j] = stored[j], stored[i]
	case 3: // alter a record
		stored[i] = remake(t, batch.None, raw)[0]
		change(stored[i], func(b []byte) { b[len(b)-2] ^= 1 })
	case 4: // recompress
		stored[i] = remake(t, batch.Codec(rng.IntN(5)), raw)[0]
	case 5: // cut
		if n := int(h.Count); n > 1 {
			k := 1 + rng.IntN(n-1)
			return slices.Replace(stored, i, i+1, remake(t, batch.None, raw, k, n-k)...)
		}
	case 6: // merge neighbours, where they are that
		if i+1 < len(stored) {
			next, err := batch.ParseHeader(stored[i+1])
			if err != nil {
				t.Fatal(err)
			}
			if next.BaseSequence == h.BaseSequence+h.Count {
				return slices.Replace(stored, i, i+2, merge(t, raw, stored[i+1]))
			}
		}
	case 7: // what the log never held
		return append(stored, w.stamped(item{tp: orders, ordinal: end, raw: w.build(1 + rng.IntN(3))}))
	}
	return stored
}

// modelLedger compares again from the ledger, and once more when the log has released all that it was about.
func modelLedger(t *testing.T, w *twin, seed uint64, want map[reconcile.Verdict]int64) {
	t.Helper()
	r := w.runLedger(1 + int(seed%5))
	r.Total.Identical.Records += r.Total.Rewritten.Records
	for v := range reconcile.Absent + 1 {
		if got := r.Total.Of(v).Records; got != want[v] && v != reconcile.Rewritten {
			t.Fatalf("seed %d, ledger: %d records %s, the model says %d: %s", seed, got, v, want[v], r)
		}
	}
	w.release()
	r = w.with(reconcile.Config{Ledger: w.ledger(), Window: 1 + int(seed%7), Only: func(tp streamdown.TopicPartition) bool { return tp == orders }})
	for v := range reconcile.Absent + 1 {
		got := r.Total.Of(v).Records
		switch v {
		case reconcile.Identical, reconcile.Rewritten, reconcile.Altered, reconcile.NotComparable:
			continue // of whole batches only
		}
		if got != want[v] {
			t.Fatalf("seed %d, released: %d records %s, the model says %d: %s", seed, got, v, want[v], r)
		}
	}
	if got, doubt := r.Total.Altered.Records, r.Total.NotComparable.Records; want[reconcile.Altered] == 0 && got > 0 || want[reconcile.Altered] > 0 && got+doubt == 0 {
		t.Fatalf("seed %d, released: %d records altered and %d not comparable, the model says %d altered: %s", seed, got, doubt, want[reconcile.Altered], r)
	}
	if r.Total.NotComparable.Records > 0 && r.Exit() == 0 {
		t.Fatalf("seed %d: records whose bytes changed count as proved: %s", seed, r)
	}
}
