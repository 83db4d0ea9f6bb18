// Package broker is a Kafka cluster in process, with switches: it speaks the real protocol on listeners that it is
// given, follows the rules of Kafka's append path, and does on command what real brokers do on bad days.
//
// What it follows was read in the sources of Kafka 4 and is compared with a real one, answer by answer, by the contract
// test (tag real): ProducerAppendInfo and ProducerStateManager (producers.go), UnifiedLog and LogValidator (append.go),
// the leader epoch cache (epochs.go), Partition and ReplicaManager (replicate.go, elect.go), DelayedProduce (produce.go),
// DescribeProducers, which any replica answers, uncommitted tail included (ask.go). Each replica has a log, a high
// watermark and producers of its own, and each broker a picture of the leaders that may be old, so that elections,
// truncations and stale answers come out as they do in Kafka and are not played.
//
//	c := broker.New(broker.Config{}, listener)
//	defer c.Close()
//	c.Create("orders", 3)
//
// The switches are the methods in the files beginning with "switch". Calm ends what they began. The cluster keeps the
// truth: every batch that was offered or stored, and, for every (producer id, epoch, sequence) of a partition, a digest
// of the record. A sequence that comes with another content breaks promise G7; Broken tells.
//
// It is kind to what it does not understand: requests of unknown keys, versions or forms end their connection. All
// methods may be called concurrently. It reads time from the time package only, so a bubble of testing/synctest rules it.
// What it does not know: transactions, consumer groups, rights, quotas, tiered storage, KIP-890's epoch bumps.
//
// Stability: may change.
package broker
