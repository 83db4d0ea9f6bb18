package forward

import (
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/breaker"
	"github.com/streamdown/streamdown/sink"
)

// Status is how forwarding stands.
type Status struct {
	Breaker      breaker.State
	BreakerSince time.Time
	BreakerWhy   string
	LookedAt     time.Time // last time that metadata was asked for
	Watermark    streamdown.LSN
	ReadAhead    int    // bytes
	Sent         uint64 // batches, retries included
	Scans        uint64
	Answers      map[sink.Class]uint64 // by class
	Damage       []Range
	Oldest       time.Time // arrival of the oldest unconfirmed record that is known, zero if there is none
	Lanes        []LaneStatus
}

// LaneStatus is how one lane stands.
type LaneStatus struct {
	ID             streamdown.LaneID
	TopicPartition streamdown.TopicPartition
	State          string // idle, unbound, warm, cold, doubt, waiting, held, stopped
	Live           bool
	Confirmed      streamdown.Ordinal
	Offset         streamdown.Offset
	Queued         int // batches read ahead
	Flying         int // batches in flight
	Stop           *Stop
	Doubled        uint64
	Lost           []Lost
	Foreign        []Foreign // found at the target in this log's name, and not in this log (rule A2), since the start
}

// Status returns a copy of how things stand.
func (c *Core) Status() Status {
	s := Status{
		Breaker: c.brk.State(), BreakerSince: c.brk.Since(), BreakerWhy: c.brk.Why(), LookedAt: c.lookedAt,
		Watermark: c.Watermark(), ReadAhead: c.bytes, Sent: c.sent, Scans: c.scans,
		Answers: map[sink.Class]uint64{}, Damage: append([]Range(nil), c.damage...),
		Lanes: make([]LaneStatus, 0, len(c.order)),
	}
	for k, v := range c.counts {
		s.Answers[k] = v
	}
	for _, l := range c.order {
		ls := LaneStatus{
			ID: l.id, TopicPartition: l.tp, State: c.stateOf(l), Live: l.live, Confirmed: l.confirmed, Offset: l.offset,
			Queued: len(l.queue), Flying: l.flying, Doubled: l.doubled, Lost: append([]Lost(nil), l.lostRanges...),
			Foreign: append([]Foreign(nil), l.foreign...),
		}
		if l.stop != nil {
			stop := *l.stop
			ls.Stop = &stop
		}
		oldest := int64(0)
		if len(l.queue) > 0 {
			oldest = l.queue[0].arrival
		} else if l.parked && c.cfg.Book.Lane(l.id).End > l.confirmed {
			oldest = l.parkedArrival
		}
		if at := time.UnixMilli(oldest); oldest > 0 && (s.Oldest.IsZero() || at.Before(s.Oldest)) {
			s.Oldest = at
		}
		s.Lanes = append(s.Lanes, ls)
	}
	return s
}

func (c *Core) stateOf(l *lane) string {
	_, held := c.cfg.Book.Held(l.tp)
	switch {
	case l.stop != nil:
		return "stopped"
	case held:
		return "held"
	case l.doubt && (len(l.queue) > 0 || l.busy):
		return "doubt"
	case !l.bound:
		return "unbound"
	case l.parked || len(l.queue) > 0 && l.flying == 0:
		return "waiting"
	case len(l.queue) == 0:
		return "idle"
	case l.cold:
		return "cold"
	}
	return "warm"
}
