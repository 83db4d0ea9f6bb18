package reconcile

import "github.com/streamdown/streamdown"

// Declared is what the log says about records of a lane that did not take the way of the others.
type Declared struct {
	Late []Belated
	Gone []Gone
}

// Belated is an identity of its own under which records went out behind later ones, on purpose: what the target had lost, or
// what was quarantined. Their sequences are (ordinal - From) mod 2^31.
//
// With the PID sameIdentity they came under that which they had, behind others all the same: a copy from a connection that
// was given up.
type Belated struct {
	PID      int64
	Epoch    int16
	From, To streamdown.Ordinal
}

// Gone are records that nobody sends any more, or not yet.
type Gone struct {
	From, To streamdown.Ordinal
	Why      Reason
}

// sameIdentity is the PID of records that came late under the identity of their lane.
const sameIdentity = -1

// late reports whether ordinals [from, to) were declared to come late under the identity of their lane.
func (d *Declared) late(from, to streamdown.Ordinal) bool {
	for i := range d.Late {
		if x := &d.Late[i]; x.PID == sameIdentity && x.From <= from && to <= x.To {
			return true
		}
	}
	return false
}
