// Package memnet is a network in memory: listeners and connections between hosts that can die, refuse, fall silent and
// be cut, with what was on its way kept or lost.
//
// Addresses look like TCP's on 127.0.0.1, whatever the host, so code that asks whether it listens on loopback only is
// content. Connections keep deadlines, hold back a writer whose peer does not read, and end as TCP's do: io.EOF behind
// the last byte when the peer closed, ECONNRESET after a cut, ECONNREFUSED where nobody listens. There are no
// goroutines, only timers; a bubble of testing/synctest may hold all of it. It draws no chance of its own.
//
// All methods may be called concurrently.
//
// Stability: may change.
package memnet
