// Package demo shows a rescue from beginning to end on a machine that has nothing but Go.
//
// It starts an embedded broker, a node in front of it, producers that know the node only, and a consumer that reads the
// broker directly and hands what it finds to package check. Then the broker is stopped for a while and started again.
// The verdict is computed from outside: what the producers were told against what the consumer read; package reconcile
// compares the log with the topic besides.
//
// The broker is embedded: kfake of franz-go speaks the real protocol and keeps its data on disk, but it is no Kafka. It
// is stopped cleanly, because it forgets what it knows of idempotent producers otherwise. What a real Kafka does under
// kill -9 is shown by the tests that run one, never here.
//
// A fault can be planted between the node and the broker, to see that the verdict would have told.
//
// Stability: may change.
package demo
