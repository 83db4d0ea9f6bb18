package batch

import (
	"fmt"
	"time"
)

// MaxInflated bounds, in bytes, what a compressed payload may inflate to, here and in Records. Kafka has no such bound;
// without one, a batch of 1 MiB could make us work through gigabytes before it is acked.
const MaxInflated = 64 << 20

// Refusal says why a batch is not taken. It is an error; a nil *Refusal must be compared before it becomes one.
type Refusal struct {
	Code   int16  // Kafka's error code
	Reason string // for the reply's error message and for people
}

// Error returns the reason.
func (r *Refusal) Error() string { return r.Reason }

func refuse(code int16, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Reason: fmt.Sprintf(format, args...)}
}

// Rules are a topic's settings that decide what it accepts. A limit of 0 is no limit. The zero value accepts whatever
// is well formed. Rules are read only; one value may serve any number of concurrent calls.
type Rules struct {
	MaxMessageBytes int32         // max.message.bytes
	SegmentBytes    int32         // segment.bytes: a broker cannot store a batch larger than a segment
	Uncompressed    bool          // compression.type=uncompressed: MaxMessageBytes bounds the inflated batch too
	Compacted       bool          // cleanup.policy contains "compact": every record needs a key
	LogAppendTime   bool          // message.timestamp.type=LogAppendTime: producers' timestamps do not matter
	BeforeMax       time.Duration // message.timestamp.before.max.ms
	AfterMax        time.Duration // message.timestamp.after.max.ms
}
