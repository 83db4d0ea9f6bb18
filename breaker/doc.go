// Package breaker decides when one connection's target counts as down and when it may be trusted again.
//
// A Breaker is a plain value that is stepped: every method takes the time and what happened, and tells whether the
// state changed. It has no clock, no goroutine and does no I/O, so a run can be replayed from its inputs; its owner
// calls it from one goroutine or guards it.
//
//	         reset or refused: at once
//	         silence of Patience, or a failure and no
//	         success within Patience                       a good probe
//	Closed ─────────────────────────────────────► Open ─────────────────► HalfOpen
//	  ▲                                             ▲                        │  │
//	  │                                             └── any failure ─────────┘  │
//	  └──────────────── good probes for a whole window, at least MinProbes ──────┘
//
// Data flows in Closed only. In Open and HalfOpen the owner sends probes when NextProbe says so, one at a time.
//
// A target that comes and goes would otherwise make the log's reader stop and start with it. So each relapse, a failure
// in HalfOpen or soon after closing, counts; from the second on each doubles the window that must be passed, up to
// MaxWindow. Every Quiet spent in Closed takes one relapse back. (The idea is pebble's WAL failover: switch away at
// once, come back late, later each time.)
//
// Stability: may change.
package breaker
