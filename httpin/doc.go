// Package httpin takes records over HTTP from producers that have no Kafka client: same log, same acks, same promises.
//
//	POST /v1/topics/{topic}                              one form, by Content-Type:
//	     with ce-… headers                               CloudEvents 1.0.2, binary mode: one record
//	     application/cloudevents+json                    structured mode: one record
//	     application/cloudevents-batch+json              batched mode: a record per event
//	     application/x-ndjson                            a record per line; ?lines=record: key, value, headers, …
//	     application/octet-stream                        the body is one record
//	POST /v3/clusters/{cluster}/topics/{topic}/records   Confluent REST v3: a stream of records, a stream of answers
//	GET  /openapi.json                                   all of this as OpenAPI 3.1
//
// A request is read within bounds (body.go), understood as a whole (a file per form), and only then stored: the records
// of one request are refused together or handed to the [Intake] together, as record batches like those of a Kafka
// producer, with the partitions that Kafka's default partitioner would choose (partition.go). The intake's refusals
// become problem documents (RFC 9457) that say what to try.
//
// What is answered is what is known. 200 means that the target holds the records; 202 that this disk does, as with a
// Kafka producer's ack while the target is away. An offset is given only when the target's own answer for that batch
// told it; otherwise it is null, and the receipt (log id, topic, partition, ordinals) names the records ([Receipts]).
// 503 says whether nothing was stored or whether that is not known.
//
// A request with an Idempotency-Key is stored once (idem.go), across restarts: the key becomes a producer id of its own,
// and the intake's durable memory of producers does the rest.
//
// Who asks is found out before a request comes here ([auth.PrincipalOf]); whether that may write to the topic is asked of
// an [Authorizer]. A [Door] without one turns away requests that name it by anything but an address or localhost, and
// its listener has to be on loopback. Pages of other origins are turned away always.
//
// Stability: may change.
package httpin
