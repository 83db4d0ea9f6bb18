// Package forward carries the log to the target, in order, each record once, by the best open route.
//
// [Core] decides and [Forwarder] acts. A Core is a step function: events go in by its methods, effects come out through
// an [Actor]; it has no clock, no goroutine, no I/O, so a run can be replayed from a seed. One goroutine of a Forwarder
// owns a Core with all lanes of its target: steps cost about a microsecond, and one owner is what keeps the rules of a
// lane readable. What takes time (reading the log, asking, scanning, connecting) happens in other goroutines and comes
// back as events.
//
// # A lane
//
// A lane is the ordered way of one topic-partition. It holds the batches read ahead for it, of which the first few are
// in flight, and goes through
//
//	unbound → bind (durable) → cold: one in flight until its OK → warm: up to five in flight
//	any answer but OK, or a lost connection → wait for what is in flight → doubt: ask, scan if needed → cold
//	a config error or a poisoned batch → stopped, with the reason; a person's order → held
//
// A binding that the lane finds in the log is closed: what was recovered when the log was opened is settled under it, and
// what came later goes out under a producer id of this process, for others may have a copy of the directory (rule A2).
//
// Doubt ends with knowledge only (rules D1 to D3): DescribeProducers says where the target stands; unless that is just
// behind what is confirmed, a scan up to the high watermark says what is stored. Silence means nothing.
//
// # Reading
//
// One reader feeds all lanes from the log, ahead by a bounded window; the batches of the window lie in buffers that are
// lent and given back (bodies.go tells who owns which bytes). A lane that cannot go on is parked: it keeps
// the position of its first unconfirmed batch and no memory. When it may go on and the reader is far ahead by then, one
// of a few cursors reads for it until it has caught up (decision 9).
//
// Stability: may change.
package forward
