package reconcile

import (
	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/wal"
)

// ledger is the delivery book with a memory: of all bindings since the oldest state that the log keeps, and of where
// the lanes stood in that state.
type ledger struct {
	*delivery.Book
	oldest   map[streamdown.LaneID]delivery.Lane
	bindings map[streamdown.LaneID][]delivery.Binding // in the order in which they were made
}

func newLedger() *ledger { return &ledger{Book: delivery.New()} }

// Restore implements wal.Book.
func (l *ledger) Restore(snapshot []byte) error {
	if err := l.Book.Restore(snapshot); err != nil {
		return err
	}
	l.oldest = map[streamdown.LaneID]delivery.Lane{}
	l.bindings = map[streamdown.LaneID][]delivery.Binding{}
	for _, lane := range l.Lanes() {
		l.oldest[lane.ID] = lane
		if lane.Bound {
			l.bindings[lane.ID] = []delivery.Binding{lane.Binding}
		}
	}
	return nil
}

// Apply implements wal.Book.
func (l *ledger) Apply(e *wal.Entry) {
	l.Book.Apply(e)
	if e.Kind != wal.KindBinding {
		return
	}
	if now := l.Lane(e.Lane); now.Bound {
		if l.bindings == nil {
			l.bindings = map[streamdown.LaneID][]delivery.Binding{}
		}
		l.bindings[e.Lane] = append(l.bindings[e.Lane], now.Binding)
	}
}
