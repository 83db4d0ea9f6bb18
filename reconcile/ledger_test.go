package reconcile_test

import (
	"strings"
	"testing"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/reconcile"
)

// TestWhatIsPlantedIsFoundFromTheLedger plants the same faults and compares with the ledger: while the log still has the
// payload, and when it has released it, with and without digests.
func TestWhatIsPlantedIsFoundFromTheLedger(t *testing.T) {
	for _, tt := range plants(t) {
		t.Run(tt.name, func(t *testing.T) {
			for _, mode := range []string{"kept", "released", "released, with digests"} {
				w, items := healthy(t)
				w.sums = strings.Contains(mode, "digests")
				w.ledger()
				if w.sums { // of all, not only of what comes
					w = newTwin(t, 2000)
					w.sums = true
					w, items = fill(w)
				}
				closed := strings.Contains(tt.name, "in the log")
				if mode != "kept" && !closed {
					w.release()
				}
				tt.plant(w, items, w.to[orders])
				want := tt
				want.adapt(mode)
				if closed { // its own row tells what it was
					if mode != "kept" {
						continue
					}
					r := w.with(reconcile.Config{Ledger: w.ledgerAsItIs()})
					if r.Exit() != 0 || r.Total.Identical.Records != 40 {
						t.Fatal(r)
					}
					continue
				}
				for _, window := range []int{0, 1, 4} {
					r := w.runLedger(window)
					want.check(t, mode, r)
					if first := r.Partitions[1].First; first != 0 || r.Partitions[1].Topic != "orders" {
						t.Fatalf("%s: the range begins at %d", mode, first)
					}
				}
			}
		})
	}
}

// adapt says what is to be found when the payload is gone. What the ledger's row alone tells, it tells of whole batches.
func (tt *plant) adapt(mode string) {
	if mode == "kept" {
		return
	}
	digests := strings.Contains(mode, "digests")
	cannot := func(from streamdown.Ordinal, records int64, exit int) {
		tt.verdict, tt.reason, tt.from, tt.records, tt.exit = reconcile.NotComparable, reconcile.NoDigest, from, records, exit
	}
	switch tt.name {
	case "a bit of a payload, with a right checksum":
		tt.from, tt.records = 15, 3
	case "a bit of a compressed payload, with a right checksum":
		if !digests {
			cannot(18, 3, 3)
		}
	case "all times moved by the header alone":
		if !digests {
			cannot(15, 3, 3)
		}
	case "recompressed", "cut smaller":
		if !digests {
			cannot(15, 3, 3)
		}
	case "merged":
		if !digests {
			cannot(15, 9, 3)
		}
	case "two batches' contents exchanged":
		if !digests {
			cannot(0, 6, 3)
		}
	case "records of a batch compacted away": // what is left of a batch has no digest to be compared with
		cannot(15, 3, 3)
	}
}
