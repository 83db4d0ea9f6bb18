// Package wire bounds the frames of the Kafka protocol, clients' and brokers', before anything trusts a length in them.
//
// A frame is a 4-byte size and that many bytes. A request begins with one of three headers (KIP-482):
//
//	size field           v0    v1    v2
//	   2 API key         yes   yes   yes
//	   2 API version     yes   yes   yes
//	   4 correlation id  yes   yes   yes
//	   2 length of …     -     yes   yes   -1 = null
//	   … client id       -     yes   yes
//	   … tagged fields   -     -     yes   count, then for each: tag, size, bytes (unsigned varints)
//
// A response begins with the correlation id. All integers are big-endian.
//
// ReadFrame takes a frame off a connection and ParseRequestHeader splits a request's; what is in the body stays
// unchecked. Nothing here keeps state; both may be called concurrently, each with its own reader.
//
// Stability: may change.
package wire
