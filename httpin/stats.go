package httpin

import (
	"sync/atomic"
	"time"
)

// Stats is what a door counted since it was made. Counts only grow, except where a field says "now".
type Stats struct {
	Requests  map[RequestKind]uint64 // answered
	Records   map[string]uint64      // acked, by form
	BytesIn   uint64                 // of bodies, as they came
	OpenBytes int64                  // of bodies that are not answered now
	Held      uint64                 // times that a request waited for room
	Replays   uint64                 // requests answered as repeats of an earlier one, by their Idempotency-Key
	Latency   Latency                // from a request's head being read to its answer
}

// RequestKind is a route and a status.
type RequestKind struct {
	Route  string // as in Routes
	Status int    // one of those that a door gives; 0 for others
}

// Latency is a histogram.
type Latency struct {
	Bounds []time.Duration // upper bounds, inclusive; shared, not to be changed
	Counts []uint64        // one more than Bounds: the last is for what is above; not cumulative
	Sum    time.Duration
}

var latencyBounds = []time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
}

// statuses are those that a door gives.
var statuses = [...]int{0, 200, 202, 400, 401, 403, 404, 405, 408, 409, 413, 415, 421, 422, 429, 500, 503}

type counters struct {
	requests                  [routeCount][len(statuses)]atomic.Uint64
	records                   [forms]atomic.Uint64
	bytesIn, replays, heldOut atomic.Int64
	latency                   [latencies]atomic.Uint64
	latencyNs                 atomic.Int64
}

const latencies = 15 // latencyBounds, and what is above

func (c *counters) request(route, status int, took time.Duration) {
	at := 0
	for i, s := range statuses {
		if s == status {
			at = i
		}
	}
	c.requests[route][at].Add(1)
	i := 0
	for i < len(latencyBounds) && took > latencyBounds[i] {
		i++
	}
	c.latency[i].Add(1)
	c.latencyNs.Add(int64(took))
}

func (c *counters) acked(f form, records int) { c.records[f].Add(uint64(records)) } //nolint:gosec // not negative

// Stats returns the counts. They are read one after the other, while others count on.
func (d *Door) Stats() Stats {
	c := &d.stats
	s := Stats{
		Requests: map[RequestKind]uint64{}, Records: map[string]uint64{}, BytesIn: uint64(c.bytesIn.Load()), Replays: uint64(c.replays.Load()), //nolint:gosec // not negative
		Latency: Latency{Bounds: latencyBounds, Counts: make([]uint64, len(c.latency)), Sum: time.Duration(c.latencyNs.Load())},
	}
	for route := range c.requests {
		for i := range c.requests[route] {
			if n := c.requests[route][i].Load(); n > 0 {
				s.Requests[RequestKind{routes[route].Path, statuses[i]}] = n
			}
		}
	}
	for f := range c.records {
		s.Records[formNames[f]] = c.records[f].Load()
	}
	for i := range c.latency {
		s.Latency.Counts[i] = c.latency[i].Load()
	}
	d.room.mu.Lock()
	s.OpenBytes, s.Held = d.room.open, uint64(d.room.held) //nolint:gosec // not negative
	d.room.mu.Unlock()
	return s
}
