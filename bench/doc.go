// Command bench measures what a gateway costs: the same load straight to a broker and through streamdown, in one run
// on one machine.
//
// It writes a table for people to standard output and results.json for machines. Rows are paths: straight to a real
// Apache Kafka; through the gateway with acks: wal and with acks: remote before that Kafka; straight to an embedded
// broker that stores nothing; through the gateway before that one; and the bare disk with the sync pattern that the
// log had. Each path is measured at full speed for several record sizes, where throughput means something, and at a
// fixed offered load, where latency does.
//
// How it is made fair, as far as that goes:
//
//   - Every system under test is a process of its own, so that its processor time can be told apart. The gateway is
//     the streamdown binary, built first, with a configuration file; STREAMDOWN_BINARY runs another one. For the
//     profile at the end the same node is run by this binary, because streamdown itself has no way to take one.
//   - Every measurement has a new topic, and a new gateway with an empty data directory. The gateway's processor time
//     is counted until its backlog is at the broker, so that work put off is not work saved.
//   - Paths take turns in every round, in an order that rotates. Ratios are taken within a round; medians, minima and
//     maxima are over rounds.
//   - After each measurement the broker must hold exactly the records that were acked. A run that failed is missing
//     and says why; it is never a zero.
//   - What else used the processors meanwhile is measured and shown. Absolute figures are properties of one machine
//     on one day; ratios travel better. Nothing here passes or fails by a time.
//
// # The log alone
//
// `bench log` measures what the log makes of the disk: commits of 64 KiB, 256 KiB and 1 MiB beside the bare disk with the
// same writes and syncs, into a file that grows and over one that was written before (the log writes released segments
// over); one log beside a file per partition; acks at 5,000 and 20,000 records/s through the gateway beside the broker
// that it forwards to; allocations per batch. What is compared takes turns, and ratios are within rounds here as well.
//
// Units: MB and GB are 10^6 and 10^9 bytes of record values, without keys, headers and framing.
//
// Stability: may change.
package main
