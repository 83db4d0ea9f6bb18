package gateway

import (
	"context"

	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/ingest"
)

// Intake takes batches in. Its methods may be called concurrently.
type Intake interface {
	// Produce admits one partition's records. r.Records is borrowed until Produce returns. done is called exactly once,
	// from any goroutine, possibly before Produce returns, and does not block. The order of Produce calls is the order
	// of the log. Produce may hold its caller as backpressure, but not for ever: Serve ends only after it returned.
	Produce(r ingest.Request, done func(ingest.Result))
	// NewProducer returns a durable, unguessable producer id (rule B1); it may block for one fsync.
	NewProducer(ctx context.Context) (int64, error)
}

// Directory answers what exists, from memory and never from upstream, except for Create. Its methods may be called
// concurrently.
type Directory interface {
	// Cluster is the last known state of the primary, possibly old; nil if it was never seen. It is not changed any more.
	Cluster() *catalog.Cluster
	// Takes reports whether any stream matches the topic (rule B5).
	Takes(topic string) bool
	// Durable reports whether a restart would know the topic of Cluster by the same id.
	Durable(t *catalog.Topic) bool
	// Create asks upstream for the topic with the cluster's own defaults and returns once Cluster shows it. It returns
	// an error at once when upstream is known to be away, and when upstream refuses.
	Create(ctx context.Context, topic string) error
	// Look asks upstream which topics there are and returns once Cluster shows them, with errors as Create has them.
	Look(ctx context.Context) error
}
