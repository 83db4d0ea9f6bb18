// Package rescue is the test of the promise on a real Kafka: unmodified producers send through streamdown while
// Kafka and streamdown are killed (kill -9) and started again at random moments, and a consumer that reads Kafka
// directly finds every acked record exactly once and in order.
//
// The test itself is tagged real; what is here keeps its books.
//
// Stability: may change.
package rescue
