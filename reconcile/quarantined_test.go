package reconcile_test

import (
	"slices"
	"testing"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/reconcile"
)

// aside takes a batch out of its lane, which goes on behind it under the next epoch.
func (w *twin) aside(it item) delivery.Quarantined {
	w.t.Helper()
	id := w.lane(it.tp)
	bind := w.book.Lane(id).Binding
	q := delivery.Quarantined{Lane: id, From: it.ordinal, To: it.ordinal + streamdown.Ordinal(it.count), PID: bind.PID, Epoch: bind.Epoch, Fate: delivery.Kept}
	bind.Epoch, bind.Base, bind.End = bind.Epoch+1, q.To, w.partition(it.tp).pin.End
	e, err := delivery.QuarantineEntry(q, bind)
	if err != nil {
		w.t.Fatal(err)
	}
	w.append(e)
	return q
}

func (w *twin) fate(q delivery.Quarantined) {
	w.t.Helper()
	e, err := delivery.FateEntry(q)
	if err != nil {
		w.t.Fatal(err)
	}
	w.append(e)
}

// sendAgain stores a batch as a retry does.
func (w *twin) sendAgain(it item, pid int64) {
	raw := slices.Clone(it.raw)
	batch.Restamp((*[batch.HeaderSize]byte)(raw), it.raw, batch.Stamp{ProducerID: pid})
	w.partition(it.tp).store(raw)
}

// TestQuarantinedIsNotCalledAbsent: what the target refused is declared, whatever became of it; with the ledger too.
func TestQuarantinedIsNotCalledAbsent(t *testing.T) {
	for _, c := range []struct {
		what   string
		fate   func(w *twin, q delivery.Quarantined, it item)
		late   int64
		reason reconcile.Reason // of what is not comparable
	}{
		{"it waits", func(*twin, delivery.Quarantined, item) {}, 0, reconcile.Quarantine},
		{"a person gave it up", func(w *twin, q delivery.Quarantined, _ item) {
			q.Fate = delivery.Discarded
			w.fate(q)
		}, 0, reconcile.Discarded},
		{"it was sent again", func(w *twin, q delivery.Quarantined, it item) {
			q.Again = &delivery.Again{PID: 8000, End: w.partition(it.tp).pin.End}
			w.fate(q)
			w.sendAgain(it, 8000)
			q.Fate = delivery.Late
			w.fate(q)
		}, 4, ""},
		{"it was sent again, and the answer was lost", func(w *twin, q delivery.Quarantined, it item) {
			q.Again = &delivery.Again{PID: 8000, End: w.partition(it.tp).pin.End}
			w.fate(q)
			w.sendAgain(it, 8000)
		}, 4, ""},
		{"it was noted, and never sent again", func(w *twin, q delivery.Quarantined, it item) {
			q.Again = &delivery.Again{PID: 8000, End: w.partition(it.tp).pin.End}
			w.fate(q)
		}, 0, reconcile.Quarantine},
	} {
		t.Run(c.what, func(t *testing.T) {
			for _, window := range []int{2, 1000} {
				w := newTwin(t, 1<<20)
				w.bind(orders, 0, 0)
				w.send(w.accept(orders, 3, batch.None))
				it := w.accept(orders, 4, batch.None)
				q := w.aside(it)
				w.send(w.accept(orders, 5, batch.None), w.accept(orders, 1, batch.None))
				c.fate(w, q, it)
				w.confirmAll()
				for _, r := range []*reconcile.Report{w.run(window), w.runLedger(window)} {
					if r.Exit() != 0 || r.Total.Absent.Records != 0 || r.Total.Identical.Records != 9 || r.Total.Late.Records != c.late || r.Total.Foreign.Records != 0 {
						t.Fatal(r)
					}
					named := slices.ContainsFunc(r.Worst, func(x reconcile.Range) bool { return x.Reason == c.reason && x.From == 3 && x.To == 7 })
					if c.reason != "" && !named {
						t.Errorf("ordinals 3 to 6 are not called %q: %+v", c.reason, r.Worst)
					}
				}
			}
		})
	}
}

// TestSentAgainTwiceIsDoubled: a declaration excuses nothing beyond what it declares.
func TestSentAgainTwiceIsDoubled(t *testing.T) {
	w := newTwin(t, 1<<20)
	w.bind(orders, 0, 0)
	it := w.accept(orders, 4, batch.None)
	q := w.aside(it)
	w.send(w.accept(orders, 5, batch.None))
	q.Again = &delivery.Again{PID: 8000}
	w.fate(q)
	w.sendAgain(it, 8000)
	w.sendAgain(it, 8000)
	w.confirmAll()
	if r := w.run(0); r.Exit() == 0 || r.Total.Doubled.Records != 4 {
		t.Fatal(r)
	}
}
