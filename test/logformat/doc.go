// Package logformat reads a log by the tables of docs/log-format.md and by nothing else: what the page says is what it
// does. It knows no package of ours, so that it cannot make the same mistake as the writer.
//
// [ReadPage] takes the tables out of the page; [Page.Explain] names every byte of a data directory by a row of a table, and
// fails at a byte that no row names, or that the row's type, a checksum or a position says cannot be. The tests make logs
// with the real packages, explain them, and hold the dumps on the page to be what they get. `-update-page` writes them:
//
//	go test ./test/logformat -update-page
//
// Stability: may change.
package logformat
