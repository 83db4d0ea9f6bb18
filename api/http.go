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
}

// HTTPRequests counts the requests to one route that got one status; 0 stands for a client that went away.
type HTTPRequests struct {
	Route  string `json:"route"`
	Status int    `json:"status"`
	Count  uint64 `json:"count"`
}

func (h *HTTP) whole() {
	h.Requests, h.Records = list(h.Requests), table(h.Records)
}

var (
	httpRequests = desc("http_requests_total", "Requests with records by route and status; 0 is a client that went away.", "route", "status")
	httpRecords  = desc("http_records_total", "Records acked over HTTP by the form they came in.", "form")
	httpReceived = desc("http_received_bytes_total", "Bytes of bodies with records, as they came.")
	httpOpen     = desc("http_open_bytes", "Bytes of bodies that are not answered.")
	httpHeld     = desc("http_held_requests_total", "Times that a request waited for room in memory.")
	httpReplays  = desc("http_replays_total", "Requests answered as repeats of an earlier one with their Idempotency-Key.")
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
	e.histogram(httpSeconds, &h.Latency)
}
