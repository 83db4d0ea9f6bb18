package reconcile

import "github.com/streamdown/streamdown"

// Declared is what the log says about records of a lane that did not take the way of the others.
type Declared struct {
	Late []Belated
	Gone []Gone
}

// Belated is an identity of its own under which records went out behind later ones, on purpose: what the target had lost, or
// what was quarantined. Their sequences are (ordinal - From) mod 2^31.
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
