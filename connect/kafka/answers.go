package kafka

import (
	"cmp"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/sink"
)

var errCut = errors.New("produce answer cut short")

// mostMessage bounds a broker's own words, which end up in logs.
const mostMessage = 500

// parseAnswers reads a Produce response after its correlation id into answers, which has one element per parcel and
// is in the parcels' order. A partition that the response leaves out is left in doubt; one that was not asked for, or
// twice, is an error. It returns how long the broker will not read from us (KIP-219).
func parseAnswers(b []byte, version int16, parcels []sink.Parcel, order []int32, answers []sink.Answer) (throttle time.Duration, err error) {
	for i := range answers {
		answers[i] = sink.Answer{Class: unanswered, Base: streamdown.NoOffset, LogStart: streamdown.NoOffset}
	}
	r := reader{b: b}
	compact := version >= compactFrom
	if compact {
		r.tags()
	}
	for topics := r.array(compact); topics > 0 && !r.bad; topics-- {
		var name []byte
		var id streamdown.ID
		if version >= topicIDFrom {
			copy(id[:], r.span(len(id)))
		} else {
			name = r.str(compact)
		}
		for partitions := r.array(compact); partitions > 0 && !r.bad; partitions-- {
			number := r.int32()
			a := parseAnswer(&r, version)
			if r.bad {
				break
			}
			i := find(parcels, order, version, name, id, number)
			if i < 0 {
				return 0, fmt.Errorf("produce answer for partition %d of topic %q, which was not sent", number, name)
			}
			if answers[i].Class != unanswered {
				return 0, fmt.Errorf("two produce answers for partition %d of topic %q", number, name)
			}
			answers[i] = a
		}
		if compact {
			r.tags()
		}
	}
	throttle = time.Duration(max(0, r.int32())) * time.Millisecond
	if compact {
		r.tags()
	}
	if r.bad {
		return 0, errCut
	}
	for i := range answers {
		if answers[i].Class == unanswered {
			answers[i].Class, answers[i].Message = sink.Doubt, leftOut
		}
	}
	return throttle, nil
}

const leftOut = "the broker's answer leaves this partition out"

// unanswered marks answers during parsing; it never leaves parseAnswers.
const unanswered sink.Class = 0xff

func parseAnswer(r *reader, version int16) sink.Answer {
	compact := version >= compactFrom
	a := sink.Answer{Code: r.int16(), Base: streamdown.Offset(r.int64()), LogStart: streamdown.NoOffset}
	a.Class = Class(a.Code)
	if a.Class != sink.OK || a.Base < 0 {
		a.Base = streamdown.NoOffset
	}
	r.int64() // log append time
	if version >= 5 {
		a.LogStart = max(streamdown.NoOffset, streamdown.Offset(r.int64()))
	}
	if version >= 8 { // KIP-467
		for n := r.array(compact); n > 0 && !r.bad; n-- { // single records; the message below sums them up
			r.int32()
			r.str(compact)
			if compact {
				r.tags()
			}
		}
		if m := r.str(compact); len(m) > 0 {
			a.Message = strings.ToValidUTF8(string(m[:min(len(m), mostMessage)]), "?")
		}
	}
	if compact {
		r.tags() // the current leader (v10), which Metadata will tell
	}
	return a
}

// find returns the index of the parcel for a partition, or -1.
func find(parcels []sink.Parcel, order []int32, version int16, name []byte, id streamdown.ID, number int32) int {
	k := sort.Search(len(order), func(k int) bool {
		return compareTo(&parcels[order[k]], version, name, id, number) >= 0
	})
	if k == len(order) || compareTo(&parcels[order[k]], version, name, id, number) != 0 {
		return -1
	}
	return int(order[k])
}

func compareTo(p *sink.Parcel, version int16, name []byte, id streamdown.ID, number int32) int {
	var c int
	if version >= topicIDFrom {
		c = cmp.Compare(string(p.TopicID[:]), string(id[:]))
	} else {
		c = cmp.Compare(p.TopicPartition.Topic, string(name))
	}
	if c == 0 {
		c = cmp.Compare(p.TopicPartition.Partition, number)
	}
	return c
}
