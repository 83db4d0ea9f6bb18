package gateway

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// Stats is what the server counted since it was made. Counts only grow, except where a field says "now".
type Stats struct {
	Connections int64           // open now
	Accepted    int64           // connections taken
	Malformed   int64           // connections closed for frames that were not understood
	BytesIn     int64           // bytes of whole requests, lengths included
	OpenBytes   int64           // Produce bytes that are read and undecided now
	HeldReads   int64           // how often reading was held for want of room in OpenBytes
	Requests    map[int16]int64 // by API key; OtherKey counts keys that do not exist
	Refusals    map[int16]int64 // by error code; Produce counts partitions
	AckLatency  Latency         // from the whole Produce request being read until its turn to be answered
	// Clients counts the connections open now by software name and version as clients say it, "" for those that did not.
	// They choose it: not for labels.
	Clients map[string]int64
	// Users counts the connections open now by who they belong to, "" for those that did not say. Names come from the
	// config and from certificates.
	Users map[string]int64
	// Logins counts logins by mechanism and outcome ("ok" or an auth.Reason): both are short lists.
	Logins map[Login]int64
	// Cut counts connections that were closed, or not taken, for what they did or did not do, by why.
	Cut           map[string]int64
	CreatesFailed int64 // topics that upstream did not create for us
}

// Login is a way to log in and what came of it.
type Login struct{ Mechanism, Outcome string }

// Why connections are cut.
const (
	cutTooMany    = "too_many_connections"
	cutHandshake  = "tls_handshake"
	cutStranger   = "not_kafka"
	cutNoLogin    = "no_login"
	cutExpired    = "login_ended"
	cutIdle       = "idle"
	cutSlowWriter = "slow_writer"
	cutSlowReader = "slow_reader"
)

// OtherKey stands for API keys that the protocol does not have.
const OtherKey int16 = -1

// Latency is a histogram.
type Latency struct {
	Bounds []time.Duration // upper bounds, inclusive; shared, not to be changed
	Counts []int64         // one more than Bounds: the last one is for what is above; not cumulative
	Sum    time.Duration
}

// Count is the number of observations.
func (l Latency) Count() (n int64) {
	for _, c := range l.Counts {
		n += c
	}
	return n
}

var latencyBounds = []time.Duration{
	250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond,
	500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
}

const (
	maxKey  = 128 // of the arrays below; the protocol had 93 keys in 2026
	maxCode = 160 // it had 133 codes
)

// counters is the part of Stats that grows.
type counters struct {
	accepted, malformed, bytesIn, createsFailed atomic.Int64

	requests  [maxKey + 1]atomic.Int64  // the last one is OtherKey
	refusals  [maxCode + 1]atomic.Int64 // 0 is -1, UNKNOWN_SERVER_ERROR, and what is out of range
	latency   [17]atomic.Int64
	latencyNs atomic.Int64

	mu     sync.Mutex // guards the following
	logins map[Login]int64
	cuts   map[string]int64
}

// login counts a login. Both words are of short lists.
func (c *counters) login(mechanism, outcome string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.logins == nil {
		c.logins = map[Login]int64{}
	}
	c.logins[Login{mechanism, outcome}]++
}

// cut counts a connection that was closed or not taken.
func (c *counters) cut(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cuts == nil {
		c.cuts = map[string]int64{}
	}
	c.cuts[why]++
}

func (c *counters) request(key int16) {
	if key < 0 || key >= maxKey {
		key = maxKey
	}
	c.requests[key].Add(1)
}

func (c *counters) refused(code int16) {
	if code < 0 || code > maxCode {
		code = 0
	}
	c.refusals[code].Add(1)
}

func (c *counters) acked(d time.Duration) {
	i := 0
	for i < len(latencyBounds) && d > latencyBounds[i] {
		i++
	}
	c.latency[i].Add(1)
	c.latencyNs.Add(int64(d))
}

// Stats returns the counts. They are read one after the other, while others count on.
func (s *Server) Stats() Stats {
	c := &s.stats
	st := Stats{
		Accepted: c.accepted.Load(), Malformed: c.malformed.Load(), BytesIn: c.bytesIn.Load(),
		CreatesFailed: c.createsFailed.Load(),
		Requests:      map[int16]int64{}, Refusals: map[int16]int64{}, Clients: map[string]int64{},
		Users: map[string]int64{}, Logins: map[Login]int64{}, Cut: map[string]int64{},
		AckLatency: Latency{Bounds: latencyBounds, Counts: make([]int64, len(c.latency)), Sum: time.Duration(c.latencyNs.Load())},
	}
	for _, b := range s.brokers {
		st.OpenBytes += b.hold.bytes()
		st.HeldReads += b.hold.waits.Load()
	}
	for i := range c.requests {
		if n := c.requests[i].Load(); n > 0 {
			key := int16(i)
			if i == maxKey {
				key = OtherKey
			}
			st.Requests[key] = n
		}
	}
	for i := range c.refusals {
		if n := c.refusals[i].Load(); n > 0 {
			code := int16(i)
			if i == 0 {
				code = -1
			}
			st.Refusals[code] = n
		}
	}
	for i := range c.latency {
		st.AckLatency.Counts[i] = c.latency[i].Load()
	}
	c.mu.Lock()
	maps.Copy(st.Logins, c.logins)
	maps.Copy(st.Cut, c.cuts)
	c.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Connections = int64(len(s.conns))
	for conn := range s.conns {
		st.Clients[conn.clientName()]++
		st.Users[conn.user()]++
	}
	return st
}
