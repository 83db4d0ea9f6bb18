package reconcile_test

import (
	"slices"
	"testing"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/reconcile"
)

// TestWhatWasQuarantinedIsDeclared takes a batch out of its lane, and lets it come late, be discarded, or wait.
func TestWhatWasQuarantinedIsDeclared(t *testing.T) {
	for _, tt := range []struct {
		name    string
		fate    delivery.Fate
		how     string // it came late
		verdict reconcile.Verdict
		reason  reconcile.Reason
		exit    int
	}{
		{"it waits", delivery.Kept, "", reconcile.NotComparable, reconcile.Quarantine, 0},
		{"it was discarded", delivery.Discarded, "", reconcile.NotComparable, reconcile.Discarded, 0},
		{"it was sent again", delivery.Late, "again", reconcile.Late, "", 0},
		{"it was sent again and that is not noted yet", delivery.Kept, "again", reconcile.Late, "", 0},
		{"a copy came after all", delivery.Late, "copy", reconcile.Late, "", 0},
		{"a copy came and nobody says so", "", "copy", reconcile.Reordered, "", 4},
		{"it is said to be late and is not there", delivery.Late, "", reconcile.Absent, "", 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, from := range []string{"log", "ledger", "released"} {
				w, _ := healthy(t)
				bad := w.accept(orders, 3, batch.None)
				id := w.lane(orders)
				was := w.book.Lane(id).Binding
				bind := was
				bind.Epoch, bind.Base, bind.End = was.Epoch+1, bad.ordinal+3, w.partition(orders).pin.End
				q := delivery.Quarantined{Lane: id, From: bad.ordinal, To: bad.ordinal + 3, PID: was.PID, Epoch: was.Epoch, Fate: delivery.Kept}
				late := slices.Clone(bad.raw)
				stamp := batch.Stamp{ProducerID: was.PID, Epoch: was.Epoch, BaseSequence: was.Sequence(bad.ordinal)}
				if tt.fate != "" {
					e, err := delivery.QuarantineEntry(q, bind)
					if err != nil {
						t.Fatal(err)
					}
					w.append(e)
				} else {
					w.append(delivery.BindingEntry(bind))
				}
				w.send(w.accept(orders, 2, batch.None))
				w.confirm(orders, w.next[id])
				if q.Fate = tt.fate; tt.how == "again" {
					q.Again = &delivery.Again{PID: 5000}
					stamp = batch.Stamp{ProducerID: 5000}
				}
				if tt.fate != "" {
					e, err := delivery.FateEntry(q)
					if err != nil {
						t.Fatal(err)
					}
					w.append(e)
				}
				if tt.how != "" {
					batch.Restamp((*[batch.HeaderSize]byte)(late), bad.raw, stamp)
					w.partition(orders).store(late)
				}
				w.send(w.accept(orders, 1, batch.None))
				w.confirm(orders, w.next[id])
				var r *reconcile.Report
				switch from {
				case "log":
					r = w.run(3)
				case "ledger":
					r = w.runLedger(0)
				default:
					w.release()
					r = w.runLedger(4)
				}
				if got := r.Total.Of(tt.verdict).Records; r.Exit() != tt.exit || got != 3 || r.Total.Foreign.Records+r.Total.Doubled.Records != 0 {
					t.Fatalf("%s: %s", from, r)
				}
				if x := r.Worst[0]; x.Verdict != tt.verdict || x.Reason != tt.reason || x.From != bad.ordinal || x.To != bad.ordinal+streamdown.Ordinal(bad.count) {
					t.Errorf("%s: %s", from, x)
				}
			}
		})
	}
}
