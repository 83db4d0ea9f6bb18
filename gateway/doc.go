// Package gateway speaks the Kafka protocol to producers.
//
// To a client it is a cluster of one broker that leads every partition, or of a few with a port each (brokers.go), so that
// answers that may be held leave others alone: what arrives in Produce goes to an Intake, what exists is asked of a Directory, and everything that is not producing is refused in words that say what to do.
// It keeps nothing itself and never calls an upstream on a client's time, with one exception: the creation of a topic.
//
// Each connection has two goroutines. The reader takes frames in order and hands them on before it reads the next
// one, so the order of requests is the order of the log, and a frame's bytes are never kept. The writer sends the
// answers in the order of the requests, as the protocol demands, and waits for the first one that is not complete;
// what may take a moment besides (a producer id, a new topic, a large list of topics) is worked out by the writer when
// its turn comes, so that a client that does not read its answers costs no memory. There is no goroutine per request.
//
// Backpressure is reading that is held, never an error: clients lose messages on errors that a broker would call
// retriable. Reading stops while a connection has too many answers open, while all connections together have too many
// bytes open, and while Intake.Produce does not return.
//
// Who a connection belongs to is shown by a login (sasl.go) or a certificate (tls.go, tlshandshake.go); package auth
// judges both, and what a user may write is asked of it at every request (allowed.go). Before a login only the requests
// that a login needs are heard, in small frames. A connection that does not get on is closed (limits.go), one that
// speaks something else is told so in its own words (strangers.go), and what clients can make us log is bounded
// (limitslog.go).
//
// One file per API key: apiversions.go, metadata.go, produce.go, initproducerid.go, describecluster.go, fetch.go,
// findcoordinator.go, and sasl.go for two; refuse.go has what is said to all others. Only those nine are parsed, with a reader that checks
// each length against the bytes that are left; the generated decoders of kmsg loop on counts that the peer chose, so
// they never see a request.
//
// Stability: may change.
package gateway
