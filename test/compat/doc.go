// Package compat lets unmodified clients of several languages send through the real streamdown to a real Kafka, with
// every codec and every way to log in, and compares what arrived with what was sent, record by record.
//
//	make compat
//
// does all of it and writes docs/compatibility.md. What it needs of PyPI, npm, crates.io and Maven is brought by those
// tools' own clients, as clients/ pins it, into a directory below os.UserCacheDir. A client whose tools this machine
// does not have did not run, and the page says so.
//
// Stability: may change.
package compat
