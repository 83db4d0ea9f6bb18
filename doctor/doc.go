// Package doctor walks the way of a producer to its first record and says at each step what it saw: name resolution,
// TCP, TLS, API versions, log-in, Metadata, every advertised address, the topics and the right to write to them, a
// producer id, and, when asked to, one record. It walks to streamdown and to any Kafka, with the settings of a client.
//
// Walk goes and returns a Report; a step that fails ends the walk where nothing behind it can be seen. Every step has a
// deadline, so a walk ends whatever the other side does. Only a Produce step writes anything anywhere.
//
// Settings judges the settings of a producer alone, without a network: which of them lose records over a restart or an
// outage, why, and what to write instead. It knows the words of the Java client, of librdkafka and of Sarama.
//
// Stability: may change.
package doctor
