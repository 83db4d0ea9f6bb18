package reconcile_test

import (
	"testing"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/reconcile"
)

// TestWhatARollbackLeftBehindIsForeign: the target holds records that were sent before the data directory was rolled back,
// under sequences that stand for other records now. They are neither those records nor altered ones (rule A2).
func TestWhatARollbackLeftBehindIsForeign(t *testing.T) {
	for _, c := range []struct {
		name   string
		opened int // times, with records in between
		bound  bool
		window int
	}{
		{"and nothing was sent since", 1, false, 0},
		{"and more was sent", 1, true, 0},
		{"in small windows", 1, true, 2},
		{"and the log was opened again before a word with the target", 3, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newTwin(t, 1<<20)
			w.bind(orders, 0, 0)
			for range 3 {
				w.send(w.accept(orders, 2, batch.None))
			}
			w.confirm(orders, 4)
			limit, left := w.next[w.lane(orders)], w.partition(orders).pin.End
			for i := range 2 { // by who had the directory before
				w.send(item{tp: orders, ordinal: limit + 3*streamdown.Ordinal(i), raw: w.build(3)})
			}
			var since []item
			for range c.opened {
				if err := w.log.Begin(); err != nil {
					t.Fatal(err)
				}
				since = append(since, w.accept(orders, 3, batch.None))
			}
			if c.bound {
				w.append(delivery.BindingEntry(delivery.Binding{
					Lane: w.lane(orders), Cluster: "c", Topic: w.partition(orders).pin.Topic, PID: pid + 1, Base: limit, End: w.partition(orders).pin.End,
				}))
				w.send(since...)
			}
			r := w.run(c.window)
			f := r.Total.Foreign
			if f.Records != 6 || f.Batches != 2 || r.Total.Altered.Records+r.Total.Doubled.Records+r.Total.Absent.Records != 0 || r.Exit() != 4 {
				t.Fatal(r)
			}
			if x := r.Worst[0]; x.Verdict != reconcile.Foreign || x.From != limit || x.To != limit+6 || x.Offset != left || x.LSN != 0 {
				t.Errorf("%s", x)
			}
			same, pending := int64(6), int64(3*c.opened)
			if c.bound {
				same, pending = same+pending, 0
			}
			if r.Total.Identical.Records != same || r.Total.Pending.Records != pending {
				t.Fatal(r)
			}
		})
	}
}
