package reconcile

import "github.com/streamdown/streamdown/delivery"

// quarantined declares what the log says of batches that the target refused: they are not where they belong, and may be
// there late, under an identity of their own.
func (d *Declared) quarantined(list []delivery.Quarantined) {
	for i := range list {
		q := &list[i]
		if q.Again != nil { // also while it is not known what came of it
			d.Late = append(d.Late, Belated{PID: q.Again.PID, From: q.From, To: q.To})
		}
		switch q.Fate {
		case delivery.Kept:
			d.Gone = append(d.Gone, Gone{q.From, q.To, Quarantine})
		case delivery.Discarded:
			d.Gone = append(d.Gone, Gone{q.From, q.To, Discarded})
		case delivery.Late:
		}
	}
}
