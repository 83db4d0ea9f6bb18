package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/check"
)

// Client is a Kafka client library.
type Client string

// The clients. Java needs a class path, Kcat the program of that name.
const (
	Java  Client = "java"
	Kcat  Client = "kcat"
	Franz Client = "franz-go"
)

// MinSize is the least size of a record, in bytes. Kcat reads 128 bytes before each record it sends, so smaller ones
// would pile up in its memory.
const MinSize = 128

// Journal hears what was promised; *check.Checker is one. Both methods may be called concurrently, Sent and Acked of
// one stream in the order of sequences unless Spec.InFlight allows otherwise.
//
// It is not told of failures: that a client gave up, or was refused, does not say that no earlier try was stored.
type Journal interface {
	Sent(stream check.Stream, seq uint64)
	Acked(stream check.Stream, seq uint64)
}

// Spec says what to send. Client, Bootstrap, Topic, Partitions, Dir and Journal are required.
type Spec struct {
	Client     Client
	Bootstrap  string // host:port
	Topic      string // must exist with at least Partitions partitions
	Partitions int32  // records go to 0 … Partitions-1 in turn

	// Partition p is the stream of producer id Producer+p.
	Producer, Incarnation uint32

	Idempotent  bool
	Acks        string // "all" (empty), "1", "0"
	Compression string // none (empty), gzip, snappy, lz4, zstd
	// InFlight is the number of requests that may be unanswered on a connection: 0 = 5 with idempotence and 1
	// without. That keeps the order, but for Kcat without idempotence. Franz chooses its own with idempotence.
	InFlight int

	Size    int    // bytes of a value; 0 = 200
	Rate    int    // records per second in all; 0 = as fast as the client takes them
	Records uint64 // records per partition, after which Run ends; 0 = until Stop
	Window  uint64 // records per partition that may be unanswered; 0 = 100,000

	// Stop ends the sending when it is closed; what was sent is waited for. Nil = Records ends it.
	Stop <-chan struct{}

	// Properties are further settings of the client in its own words, such as sasl.jaas.config. Java only.
	Properties map[string]string

	Dir       string // for the logs of the clients
	Classpath string // of Kafka's Java client, for Java
	Journal   Journal
}

func (s *Spec) setDefaults() error {
	s.Acks = cmp.Or(s.Acks, "all")
	s.Compression = cmp.Or(s.Compression, "none")
	s.Size = cmp.Or(s.Size, 200)
	s.Window = cmp.Or(s.Window, 100_000)
	if s.InFlight == 0 {
		s.InFlight = 1
		if s.Idempotent {
			s.InFlight = 5
		}
	}
	switch {
	case s.Bootstrap == "" || s.Topic == "" || s.Dir == "" || s.Journal == nil || s.Partitions < 1:
		return errors.New("load: Bootstrap, Topic, Partitions, Dir and Journal are required")
	case len(s.Properties) > 0 && s.Client != Java:
		return errors.New("load: only the Java client takes properties")
	case s.Size < MinSize:
		return fmt.Errorf("load: records of %d bytes; at least %d", s.Size, MinSize)
	case s.Records == 0 && s.Stop == nil:
		return errors.New("load: it would never end; set Records or Stop")
	case s.Idempotent && (s.Acks != "all" || s.InFlight > 5):
		return errors.New("load: idempotence needs acks=all and at most 5 requests in flight")
	}
	return nil
}

func (s *Spec) stream(partition int32) check.Stream {
	return check.Stream{Producer: s.Producer + uint32(partition), Incarnation: s.Incarnation}
}

func (s *Spec) target(partition int32) uint64 {
	return check.TargetOf(streamdown.TopicPartition{Topic: s.Topic, Partition: partition})
}

// Result is what the client saw.
type Result struct {
	Sent, Acked, Failed uint64
	FirstFailure        string        // what the client said of the first record it gave up on
	Retried             int64         // records that the client says it sent again; -1 = it does not say
	Start               time.Duration // to the first ack: a Java machine and its compiler take their time
	Silence             time.Duration // longest time after that without an ack while some were due
	Elapsed             time.Duration
}

// sender is one way to send. grant hands over the records from ≤ seq < to of one partition and may block; finish says
// that there are no more and returns once all were answered. Both are called by one goroutine. abort ends it
// all, may be called at any time and again.
type sender interface {
	grant(ctx context.Context, partition int32, from, to uint64) error
	finish(ctx context.Context) error
	abort()
}

// Run sends until Records or Stop, then waits until every record was answered. When ctx ends before that, the client
// is killed and Run returns ctx's error with what was counted so far. A record that the client gave up on is no error
// of Run: it is in the Result.
func Run(ctx context.Context, s Spec) (Result, error) {
	if err := s.setDefaults(); err != nil {
		return Result{}, err
	}
	t := newTally(&s)
	var c sender
	var err error
	switch s.Client {
	case Java:
		c, err = startJava(s, t)
	case Kcat:
		c, err = startKcat(s, t)
	case Franz:
		c, err = startFranz(s, t)
	default:
		err = fmt.Errorf("no client %q", s.Client)
	}
	if err != nil {
		return Result{}, fmt.Errorf("load with %s: %w", s.Client, err)
	}
	// A grant may be stuck in a pipe to a client that waits for an outage to end.
	defer context.AfterFunc(ctx, c.abort)()
	defer c.abort()
	if err := pace(ctx, &s, t, c); err != nil {
		return t.result(), fmt.Errorf("load with %s: %w", s.Client, err)
	}
	if err := c.finish(ctx); err != nil {
		return t.result(), fmt.Errorf("load with %s: wait for the last acks: %w", s.Client, err)
	}
	return t.result(), nil
}
