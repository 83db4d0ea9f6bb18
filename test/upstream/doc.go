// Package upstream shows that streamdown gets into a real Kafka with every kind of credentials that it knows, and stays
// there while they are changed: records go through a whole node to the broker and are read back.
//
// It holds tests only, behind the build tag real. docs/kafka-security.md tells what they show.
//
// Stability: may change.
package upstream
