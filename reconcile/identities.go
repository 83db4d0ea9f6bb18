package reconcile

import (
	"maps"
	"slices"

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
	// quarantine has more than the book, which forgets what was settled long ago.
	quarantine map[streamdown.LaneID]map[streamdown.Ordinal]delivery.Quarantined
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
	l.quarantine = map[streamdown.LaneID]map[streamdown.Ordinal]delivery.Quarantined{}
	for _, lane := range l.Lanes() {
		l.oldest[lane.ID] = lane
		l.quarantined(lane.ID)
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
	case wal.KindQuarantine:
		l.quarantined(e.Lane)
		l.bound(e.Lane) // the lane goes on under another epoch
	case wal.KindBinding:
		l.bound(e.Lane)
	case wal.KindOpened:
		for _, now := range l.Lanes() {
			if all := l.bindings[now.ID]; len(all) > 0 && now.Closed {
				all[len(all)-1].close(now.Limit)
			}
		}
	}
}

// overtake goes on with a later state: the entries that led to it are missing.
func (l *identities) overtake(snapshot []byte) error {
	if err := l.Book.Restore(snapshot); err != nil {
		return err
	}
	for _, lane := range l.Lanes() {
		l.bound(lane.ID)
		l.quarantined(lane.ID)
	}
	return nil
}

// bound takes over a lane's binding, if it is a new one.
func (l *identities) bound(id streamdown.LaneID) {
	now := l.Lane(id)
	if l.bindings == nil {
		l.bindings = map[streamdown.LaneID][]binding{}
	}
	all := l.bindings[id]
	n := len(all)
	if !now.Bound || n > 0 && all[n-1].Binding == now.Binding {
		return
	}
	if n > 0 {
		all[n-1].close(now.Binding.Base)
	}
	l.bindings[id] = append(all, binding{now.Binding, now.Closed, now.Limit})
}

// quarantined takes over what the book knows of a lane's quarantined batches just now.
func (l *identities) quarantined(id streamdown.LaneID) {
	for _, q := range l.Quarantine(id) {
		if l.quarantine == nil {
			l.quarantine = map[streamdown.LaneID]map[streamdown.Ordinal]delivery.Quarantined{}
		}
		if l.quarantine[id] == nil {
			l.quarantine[id] = map[streamdown.Ordinal]delivery.Quarantined{}
		}
		l.quarantine[id][q.From] = q
	}
}

// declared is what the log says about quarantined batches of a lane.
func (l *identities) declared(id streamdown.LaneID) (d Declared) {
	for _, from := range slices.Sorted(maps.Keys(l.quarantine[id])) {
		q := l.quarantine[id][from]
		if q.Again != nil {
			d.Late = append(d.Late, Belated{PID: q.Again.PID, From: q.From, To: q.To})
		}
		switch q.Fate {
		case delivery.Late:
			d.Late = append(d.Late, Belated{PID: sameIdentity, From: q.From, To: q.To})
		case delivery.Kept:
			d.Gone = append(d.Gone, Gone{q.From, q.To, Quarantine})
		case delivery.Discarded:
			d.Gone = append(d.Gone, Gone{q.From, q.To, Discarded})
		}
	}
	return d
}
