// Package delivery is the book of what the target holds: each lane's identity there, what is confirmed, who waits for it.
//
// A [Book] is a state made by the log (it implements wal.Book): a [Binding] is written durably before its first use,
// [Progress] is written now and then. Losing the latest progress costs a question to the target, never a record, so a
// confirmation is not synced. Readers of a lane's state see the newest in memory.
//
// Stability: may change.
package delivery
