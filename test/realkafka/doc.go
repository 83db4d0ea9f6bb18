// Package realkafka runs a real Apache Kafka for tests, on 127.0.0.1: one JVM that is broker and controller (KRaft), or a
// cluster.
//
// The jars come from Maven (pom.xml) into the user's cache directory, once. A broker keeps its ports and its data
// across Restart, so that it can be killed and brought back in the middle of a test:
//
//	b, err := realkafka.Start(ctx, realkafka.Options{Dir: t.TempDir()})
//	t.Cleanup(func() { _ = b.Kill() })
//	... b.Addr() ... b.Kill() ... b.Restart(ctx)
//
// A [Cluster] has several brokers, each behind a [Door] that can drop, refuse or hold back what goes through, and one
// controller that nobody harms. An [Admin] does to topics what an operator would.
//
// What a kill shows and what not: kill -9 ends the JVM, not the machine. What the broker wrote is in the page cache
// and is all there after the restart, flushed or not. Loss of power, which does lose it, is not shown here.
//
// Environment: KAFKA_VERSION runs another version than the one in pom.xml.
//
// Stability: may change.
package realkafka
