// Package reconcile proves what became of the records that the log accepted: it compares the log with the live topics,
// batch by batch.
//
// [Run] reads a data directory with wal.Reader, so it works beside a running process and without one, and a target
// through a [Topic]. It writes nothing anywhere. Decision 20 is its method, rules D and E are its limits.
//
// # Order of looking
//
// The book of deliveries first, then the ends of the partitions, which are pinned, then the log again to its end. So
// whatever the book calls confirmed lies below the pinned ends, and whatever of ours lies below them is in the log
// (rule A1): no record has to be excused because something moved meanwhile.
//
// # What is compared
//
// A batch at the target is ours when a binding of its lane has its producer id and epoch; the binding turns its sequence into
// ordinals. Contents are equal when the checksum of the payload that the two headers imply is (batch.PayloadCRC), with
// the header's own share, and when the bytes at both ends have the checksum that they claim. Otherwise the records are
// decoded and compared one by one, key, value, headers and time, wherever the batches are cut: that tells what a
// broker rewrote from what was altered. Times do not count where the topic stamps its own.
//
// The log is read once, in order, in windows of a fixed number of batches; within each, every partition is read on
// from where the last window left it. Memory is a window, an answer of the target, and what was missed so far, which is
// bounded too; it does not grow with the log.
//
// # What cannot be said
//
// Absence where the topic was trimmed, compacted, deleted or created anew; anything about records whose payload the log
// released or that rotted in it. Such ranges are "not comparable", with the reason, and lower the coverage.
//
// Stability: may change.
package reconcile
