// Package holes has a real Kafka make the situations in which a producer that resumes after a crash can lose, double
// or reorder records (research: the holes H1 to H22 of idempotent resume), and looks at what streamdown does about them: in
// its status, in what `streamdown reconcile` says, and in the records that a consumer finds.
//
// The tests are tagged real. Environment: HOLES=all runs those too that wait for something that is not built yet, and
// say so when they are skipped; KEEP=1 keeps logs and data.
//
// Stability: may change.
package holes
