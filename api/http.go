package api

import "strconv"

// HTTP is the door for producers without a Kafka client.
type HTTP struct {
	Requests  []HTTPRequests    `json:"requests"`
	Records   map[string]uint64 `json:"records"` // acked, by form
	BytesIn   uint64            `json:"bytes_in"`
	OpenBytes int64             `json:"open_bytes"` // of bodies that are not answered
	Held      uint64            `json:"held"`       // times that a request waited for room
	Replays   uint64            `json:"replays"`    // requests answered as repeats, by their Idempotency-Key
	Latency   Histogram         `json:"-"`
	Logins    []Login           `json:"logins"`  // requests that said who they are, and those that did not where one has to
	Users     map[string]uint64 `json:"users"`   // requests by user
	Changes   []Change          `json:"changes"` // changing calls
}

// HTTPRequests counts the requests to one route that got one status; 0 stands for a client that went away.
type HTTPRequests struct {
	Route  string `json:"route"`
	Status int    `json:"status"`
	Count  uint64 `json:"count"`
}

// Change counts the changing calls of one user to one route that had one result: done, refused, failed, denied or unknown.
type Change struct {
	Route  string `json:"route"`
	User   string `json:"user"` // (local) where nobody logs in, (nobody) without a good login
	Result string `json:"result"`
	Count  uint64 `json:"count"`
}

func (h *HTTP) whole() {
	h.Requests, h.Records = list(h.Requests), table(h.Records)
	h.Logins, h.Users, h.Changes = list(h.Logins), table(h.Users), list(h.Changes)
}

var (
	httpRequests = desc("http_requests_total", "Requests with records by route and status; 0 is a client that went away.", "route", "status")
	httpRecords  = desc("http_records_total", "Records acked over HTTP by the form they came in.", "form")
	httpReceived = desc("http_received_bytes_total", "Bytes of bodies with records, as they came.")
	httpOpen     = desc("http_open_bytes", "Bytes of bodies that are not answered.")
	httpHeld     = desc("http_held_requests_total", "Times that a request waited for room in memory.")
	httpReplays  = desc("http_replays_total", "Requests answered as repeats of an earlier one with their Idempotency-Key.")
	httpLogins   = desc("http_logins_total", "Requests that said who they are, or had to, by how and outcome.", "mechanism", "outcome")
	httpUsers    = desc("http_user_requests_total", "Requests by user of the config; \"(other)\" is everybody beyond the first 100.", "user")
	httpChanges  = desc("changes_total", "Changing calls over HTTP by route, user and result.", "route", "user", "result")
	httpSeconds  = desc("http_request_duration_seconds", "From the head of a request being read until its answer is written.")
)

func (c collector) collectHTTP(e emitter) {
	h := &c.s.HTTP
	for _, r := range h.Requests {
		e.counter(httpRequests, r.Count, r.Route, strconv.Itoa(r.Status))
	}
	for form, n := range h.Records {
		e.counter(httpRecords, n, form)
	}
	e.counter(httpReceived, h.BytesIn)
	e.gauge(httpOpen, float64(h.OpenBytes))
	e.counter(httpHeld, h.Held)
	e.counter(httpReplays, h.Replays)
	for _, l := range h.Logins {
		e.counter(httpLogins, l.Count, l.Mechanism, l.Outcome)
	}
	for user, n := range h.Users {
		e.counter(httpUsers, n, user)
	}
	for _, c := range h.Changes {
		e.counter(httpChanges, c.Count, c.Route, c.User, c.Result)
	}
	e.histogram(httpSeconds, &h.Latency)
}
