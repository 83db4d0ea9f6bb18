package ingest

import "github.com/streamdown/streamdown"

// Request asks for the admission of one partition's records, as a producer sent them.
type Request struct {
	TopicPartition streamdown.TopicPartition
	// Records is the records field of the produce request, unchecked: one record batch when the client is well-behaved,
	// anything or nothing when it is not. It is borrowed: who admits it copies what it keeps.
	Records []byte
	// Acks is what the client asked for: 0, 1 or -1 (all).
	Acks int16
}

// Result is the answer to one Request.
type Result struct {
	Code    int16             // Kafka's error code, 0 when admitted
	Message string            // for a person; empty when Code says enough
	Base    streamdown.Offset // offset of the first record when Code is 0, otherwise streamdown.NoOffset
	// LogStart is the start of the partition's log when known, otherwise streamdown.NoOffset.
	LogStart streamdown.Offset
	// Close asks that the connection be closed without an answer: neither yes nor no would be true (rule A4).
	Close bool
}
