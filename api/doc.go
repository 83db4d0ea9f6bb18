// Package api shows one process to people and machines over HTTP: its state as JSON, metrics, health, and the few
// orders that change it.
//
// A [Status] is a copy of what the process has in memory. Nothing here asks Kafka or any other system while somebody
// waits: when those are down is when the answers are wanted (decision 16). What is not known is null and has no sample;
// it is never 0 and never healthy.
//
//	GET  /healthz       the process lives
//	GET  /readyz        it can ack: 200, or 503 with the reason; says nothing about Kafka
//	GET  /metrics       Prometheus
//	GET  /v1/status     Status as JSON
//	GET  /v1/config     the config in effect, without secrets
//	POST /v1/hold       {"target": "*" or "topic" or "topic/partition", "reason": "why"}
//	POST /v1/resume     {"target": the same}
//	GET  /v1/quarantine batches that the target refused for good; /{topic}/{partition}@{ordinal} is one, as its file
//	POST /v1/quarantine/retry, /v1/quarantine/discard   {"id": "topic/partition@ordinal", "reason": "why"}
//	POST /-/reload      read the config again; ?dry_run=true only says what that would do
//
// and the routes of package httpin. routes.go is the table of all of them, with who may. A [Guard] stands before each: it
// finds out who asks (a password, a token, a certificate), compares the user's role with the route's, turns away pages of
// other origins, and audits what changes something. Without users everybody on this machine may do everything, and the
// listener has to be on loopback.
//
// Errors are problem details (RFC 9457) with a member "try" that says what to do.
//
// Stability: may change.
package api
