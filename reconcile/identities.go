package reconcile

import (
	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/wal"
)

// identities is the delivery book with a memory: of all bindings since the oldest state that ledger or log keep, and of
// where the lanes stood in that state.
type identities struct {
	*delivery.Book
	oldest   map[streamdown.LaneID]delivery.Lane
	bindings map[streamdown.LaneID][]binding // in the order in which they were made
}

// binding is an identity of a lane. What lies from limit on under it, once it is closed, another process sent: on a copy
// of the data directory, or on this one before it was rolled back (rule A2).
type binding struct {
	delivery.Binding
	closed bool
	limit  streamdown.Ordinal
}

// close ends the binding where another one goes on, or where the log was opened anew.
func (b *binding) close(at streamdown.Ordinal) {
	if !b.closed || at < b.limit {
		b.closed, b.limit = true, at
	}
}

func newIdentities() *identities { return &identities{Book: delivery.New()} }

// Restore implements wal.Book.
func (l *identities) Restore(snapshot []byte) error {
	if err := l.Book.Restore(snapshot); err != nil {
		return err
	}
	l.oldest = map[streamdown.LaneID]delivery.Lane{}
	l.bindings = map[streamdown.LaneID][]binding{}
	for _, lane := range l.Lanes() {
		l.oldest[lane.ID] = lane
		if lane.Bound {
			l.bindings[lane.ID] = []binding{{lane.Binding, lane.Closed, lane.Limit}}
		}
	}
	return nil
}

// Apply implements wal.Book.
func (l *identities) Apply(e *wal.Entry) {
	l.Book.Apply(e)
	switch e.Kind {
	case wal.KindBinding, wal.KindQuarantine: // the latter has a binding in it when the lane goes on behind the batch
		now := l.Lane(e.Lane)
		if !now.Bound {
			return
		}
		if known := l.bindings[e.Lane]; e.Kind == wal.KindQuarantine && len(known) > 0 && known[len(known)-1].Binding == now.Binding {
			return
		}
		if l.bindings == nil {
			l.bindings = map[streamdown.LaneID][]binding{}
		}
		all := l.bindings[e.Lane]
		if n := len(all); n > 0 {
			all[n-1].close(now.Binding.Base)
		}
		l.bindings[e.Lane] = append(all, binding{now.Binding, now.Closed, now.Limit})
	case wal.KindOpened:
		for _, now := range l.Lanes() {
			if all := l.bindings[now.ID]; len(all) > 0 && now.Closed {
				all[len(all)-1].close(now.Limit)
			}
		}
	}
}
