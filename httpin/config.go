package httpin

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/ingest"
)

// Intake takes batches in; *ingest.Intake is one.
type Intake interface {
	// Produce admits one partition's records. r.Records is borrowed until Produce returns. done is called exactly once,
	// from any goroutine, and before Produce returns if it refuses. Produce may hold its caller as backpressure, for a
	// bounded time.
	Produce(r ingest.Request, done func(ingest.Result))
}

// Directory answers what exists, from memory. Its methods may be called concurrently.
type Directory interface {
	// Cluster is the last known state of the target, possibly old; nil if it was never seen. It is not changed any more.
	Cluster() *catalog.Cluster
	// Takes reports whether any stream matches the topic.
	Takes(topic string) bool
}

// Authorizer says who may. It may be called concurrently.
type Authorizer interface {
	// Authorize returns nil if whoever sent r may write to the topic; nothing of the body has been read. An error that
	// has a method HTTPStatus() int chooses its status, 401 or 403; any other is 403. Its text is shown to the producer.
	Authorize(r *http.Request, topic string) error
}

// Config bounds what a Door takes. The zero value is usable.
type Config struct {
	MaxBody    int64 // of one request in bytes, before and after inflating; 0 means 8 MiB
	MaxRecords int   // of one request; 0 means 10,000
	MaxDepth   int   // of JSON; 0 means 64

	// MaxOpenBytes bounds the bodies of all requests together that were read and are not answered. 0 means 64 MiB. At
	// the bound a request waits for HoldFor, and is then told to come again.
	MaxOpenBytes int64
	HoldFor      time.Duration // 0 means 10 s

	BodyGrace time.Duration // a body has to begin within; 0 means 10 s
	MinRate   int64         // and then to come at, in bytes per second; 0 means 16 KiB

	// AnswerWithin bounds what a request may take from being read until it is answered. 0 means 60 s. It is above the
	// longest wait of the intake, so that a request ends with what the intake says as a rule.
	AnswerWithin time.Duration

	// LogID is the log's id, for receipts. Required.
	LogID func() streamdown.ID
	// Authorizer may be nil: then requests have to name the door by an address or localhost, because it is served to
	// this machine only.
	Authorizer Authorizer
	// Logger receives refusals, each kind once a minute at most; nil is silent.
	Logger *slog.Logger
	Now    func() time.Time // of timestamps; nil means time.Now
}

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	for _, bad := range []struct {
		name string
		is   bool
	}{
		{"max body", c.MaxBody < 0 || c.MaxBody > 1<<30},
		{"max records", c.MaxRecords < 0 || c.MaxRecords > 1<<20},
		{"max depth", c.MaxDepth < 0 || c.MaxDepth > 10_000},
		{"max open bytes", c.MaxOpenBytes < 0},
		{"hold for", c.HoldFor < 0},
		{"body grace", c.BodyGrace < 0},
		{"min rate", c.MinRate < 0},
		{"answer within", c.AnswerWithin < 0},
	} {
		if bad.is {
			errs = append(errs, fmt.Errorf("%s is out of range: leave it 0 for the default", bad.name))
		}
	}
	if c.LogID == nil {
		errs = append(errs, errors.New("log id is missing"))
	}
	return errors.Join(errs...)
}

func or[T int | int64 | time.Duration](v, fallback T) T {
	if v == 0 {
		return fallback
	}
	return v
}

func (c Config) withDefaults() Config {
	c.MaxBody = or(c.MaxBody, 8<<20)
	c.MaxRecords = or(c.MaxRecords, 10_000)
	c.MaxDepth = or(c.MaxDepth, 64)
	c.MaxOpenBytes = or(c.MaxOpenBytes, 64<<20)
	c.HoldFor = or(c.HoldFor, 10*time.Second)
	c.BodyGrace = or(c.BodyGrace, 10*time.Second)
	c.MinRate = or(c.MinRate, 16<<10)
	c.AnswerWithin = or(c.AnswerWithin, time.Minute)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}
