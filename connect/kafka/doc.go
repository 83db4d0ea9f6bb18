// Package kafka holds everything that streamdown says to a Kafka cluster as a client.
//
// It speaks on connections of its own instead of a client library's, because two things must be known that libraries
// hide: in which order requests left on which connection, and which of them may have reached the broker when it ended.
//
// A Client keeps at most one admin connection per broker, shared by all its callers (conn.go), for questions:
//
//	Look, LookConfigs, Create    topics, leaders, settings; auto-creation is passed on, never caused (rule C7)
//	NewProducerID, Ask, Scan     our identity there, and what the broker holds of it (rules D1, D3)
//	EndOffset, EpochEnd, Walk    ends of logs, and whole batches in order
//	Probe                        does the cluster answer at all
//
// A Pipe is one pipelined Produce connection to one broker (pipe.go): batches go out by writev without being copied,
// answers come back in the order of sending, exactly one per Send, also when the connection dies.
//
// Credentials say how to log in; package credentials reads them. Every connection does so when it is dialled: TLS,
// ApiVersions, SASL (dial.go, security.go). What keeps us out is a SecurityError with a Cause (trust.go), a login that was
// refused is not tried again at once (gate.go), and a session that ends is renewed on its connection (renew.go).
//
// Error codes become sink classes in one table, class.go, which names for each code where in Kafka's append path it
// arises. Ends of connections become a ConnError with a Trouble that tells refused from reset from silent.
//
// Needed of the brokers: Kafka 2.1 for scans (KIP-320), 2.8 for Ask (KIP-664) and topic ids (KIP-516); without them
// the call in question returns an UnsupportedError and the rest works.
//
// Stability: may change.
package kafka
