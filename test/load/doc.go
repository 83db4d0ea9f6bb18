// Package load sends the records of package check through real Kafka clients: the Java producer, librdkafka (kcat)
// and franz-go.
//
// Run declares every record to its Journal before it hands it to the client, and reports each ack as the client
// reports it. Clients are set to wait out any outage: no timeout of theirs gives up on a record, so that whatever is
// unanswered at the end is the fault of what stands between.
//
// Stability: may change.
package load
