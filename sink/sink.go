// Package sink holds what a target and its sender say to each other: a parcel goes out, an answer comes back.
//
// Forwarding decides what to send and what an answer means for a lane; a package under connect knows how one kind of
// system is spoken to and puts its error codes into the classes below. Neither knows the other.
//
// Stability: may change.
package sink

import (
	"fmt"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
)

// Parcel is one record batch on its way to one partition of a target.
//
// Header is a stamped copy of the batch's 61-byte header; Payload is the rest of the batch, shared with the reader of
// the log and with other targets: it must not be changed, and it stays valid until the parcel was answered or its
// pipe has ended.
type Parcel struct {
	TopicPartition streamdown.TopicPartition
	TopicID        streamdown.ID // zero if the target names topics only
	Header         [batch.HeaderSize]byte
	Payload        []byte
}

// Size is the parcel's size in bytes on the wire, without framing.
func (p *Parcel) Size() int { return len(p.Header) + len(p.Payload) }

// Class says what an answer means for the batch and for its lane. A new code that nobody classified is Doubt.
type Class uint8

const (
	// Doubt: the batch may be stored or not (time-outs, lost connections, unknown codes).
	Doubt Class = iota
	// OK: the batch is stored and committed at the target.
	OK
	// Refused: the batch was refused before it was stored; the same batch may be sent again later.
	Refused
	// Moved: another node leads the partition now. Doubt as to storage; metadata must be read again.
	Moved
	// OutOfOrder: the target expects another sequence. It may well hold the batch already: ask.
	OutOfOrder
	// Fenced: a later epoch of our producer id was seen at the target: somebody else sends in our name.
	Fenced
	// Poison: the batch itself can never be stored there as it is.
	Poison
	// Forbidden: configuration or rights at the target stand in the way (authorization, missing topic).
	Forbidden
)

// String names the class for people and for metric labels.
func (c Class) String() string {
	switch c {
	case Doubt:
		return "doubt"
	case OK:
		return "ok"
	case Refused:
		return "refused"
	case Moved:
		return "moved"
	case OutOfOrder:
		return "out_of_order"
	case Fenced:
		return "fenced"
	case Poison:
		return "poison"
	case Forbidden:
		return "forbidden"
	}
	return fmt.Sprintf("class %d", uint8(c))
}

// Answer is the target's word on one parcel.
type Answer struct {
	Class    Class
	Code     int16             // the target's own error code, 0 if none
	Message  string            // the target's own words, if any
	Base     streamdown.Offset // offset of the batch's first record when OK, otherwise NoOffset
	LogStart streamdown.Offset // start of the partition's log when known, otherwise NoOffset
}

// Held is the answer to "what do you hold of this producer id in this partition?" (Kafka: DescribeProducers, KIP-664).
// It tells where to continue and confirms nothing: any replica may answer, and an uncommitted tail counts.
type Held struct {
	Known        bool // the target has state for the producer id
	Epoch        int16
	LastSequence int32
}

// Found is the outcome of a scan for our batches in [From, End), with End the end of the log of the leader's current
// epoch when the scan began, all of it below the high watermark by the time it was read.
type Found struct {
	LogStart streamdown.Offset // records below it are gone and prove nothing
	End      streamdown.Offset
	Batches  []Trace // batches of the producer id asked for, in offset order
}

// Trace is one batch of ours seen at the target.
type Trace struct {
	Base       streamdown.Offset
	Epoch      int16
	Sequence   int32
	Count      int32
	PayloadCRC uint32
}
