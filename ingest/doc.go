// Package ingest admits batches: known topic, a broker's own checks, no client's retry twice, an ordinal, the log.
//
// The order of work is the order of doubt: what can be refused is refused before the log sees it, and nothing that was
// handed to the log is ever refused (rule A4). An [Intake] is a book of the log (wal.Book): the log shows it each batch
// that became durable, and only then is a producer answered. The state that judges client retries is in the same
// entries, so it survives a restart exactly as far as the batches do.
//
// Stability: may change.
package ingest
