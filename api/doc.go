// Package api shows one process to people and machines over HTTP: its state as JSON, metrics, health, and the few
// orders that change it.
//
// A [Status] is a copy of what the process has in memory. Nothing here asks Kafka or any other system while somebody
// waits: when those are down is when the answers are wanted (decision 16). What is not known is null and has no sample;
// it is never 0 and never healthy.
//
//	GET  /healthz    the process lives
//	GET  /readyz     it can ack: 200, or 503 with the reason; says nothing about Kafka
//	GET  /metrics    Prometheus
//	GET  /v1/status  Status as JSON
//	POST /v1/hold    {"target": "*" or "topic" or "topic/partition", "reason": "why"}
//	POST /v1/resume  {"target": the same}
//
// Errors are problem details (RFC 9457) with a member "try" that says what to do. There is no login yet, so the
// listener has to be on loopback; browsers of other origins are turned away all the same.
//
// Stability: may change.
package api
