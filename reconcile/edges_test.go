package reconcile_test

import (
	"testing"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/reconcile"
)

// TestADamagedOldestStateCostsNothing: the next whole state knows the identities too.
func TestADamagedOldestStateCostsNothing(t *testing.T) {
	w, _ := healthy(t)
	if err := w.log.Close(); err != nil {
		t.Fatal(err)
	}
	w.fs.Change("/d/0000000001-00000000000000000064.wal", func(b []byte) []byte { b[65] ^= 1; return b })
	if r := w.run(3); r.Exit() != 0 || r.Total.Identical.Records != 40 {
		t.Fatal(r)
	}
}

// TestConfirmedUnderAnIdentityThatIsLostIsNotCalledAbsent: nobody wrote down under which.
func TestConfirmedUnderAnIdentityThatIsLostIsNotCalledAbsent(t *testing.T) {
	w := newTwin(t, 1<<20)
	w.partition(orders)
	w.accept(orders, 3, batch.None)
	w.confirm(orders, 3)
	w.bind(orders, 1, 3)
	w.send(w.accept(orders, 2, batch.None))
	r := w.run(0)
	if r.Exit() != 3 || r.Total.Unexplained.Records != 3 || r.Worst[0].Reason != reconcile.Forgotten || r.Total.Identical.Records != 2 {
		t.Fatal(r)
	}
}

// TestMoreGapsThanAreKeptAreStillCounted loses every other batch, more often than a lane remembers.
func TestMoreGapsThanAreKeptAreStillCounted(t *testing.T) {
	w := newTwin(t, 1<<20)
	w.bind(orders, 0, 0)
	const n = 10000
	var e item
	for i := range n {
		it := w.accept(orders, 1, batch.None)
		if i%2 == 1 {
			w.send(it)
		}
		e = it
	}
	w.confirm(orders, e.ordinal+1)
	r := w.run(3000)
	if r.Exit() != 4 || r.Total.Absent != (reconcile.Count{Batches: n / 2, Records: n / 2}) || r.RangeCount != n/2 || len(r.Worst) != 32 {
		t.Fatal(r)
	}
	if x := r.Worst[0]; x.Records != 1 || x.To != x.From+streamdown.Ordinal(1) {
		t.Error(x)
	}
}
