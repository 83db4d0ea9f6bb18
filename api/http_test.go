package api

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMetricsTellOfHTTP(t *testing.T) {
	s := Status{HTTP: HTTP{
		Requests: []HTTPRequests{{Route: "/v1/topics/{topic}", Status: 200, Count: 3}}, Records: map[string]uint64{"ndjson": 30},
		BytesIn: 300, Replays: 1, Latency: Histogram{Bounds: []float64{0.001}, Counts: []uint64{2, 1}, Sum: 0.5},
	}}
	want := `
# HELP streamdown_http_requests_total Requests with records by route and status; 0 is a client that went away.
# TYPE streamdown_http_requests_total counter
streamdown_http_requests_total{route="/v1/topics/{topic}",status="200"} 3
# HELP streamdown_http_records_total Records acked over HTTP by the form they came in.
# TYPE streamdown_http_records_total counter
streamdown_http_records_total{form="ndjson"} 30
# HELP streamdown_http_replays_total Requests answered as repeats of an earlier one with their Idempotency-Key.
# TYPE streamdown_http_replays_total counter
streamdown_http_replays_total 1
`
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(collector{&s})
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "streamdown_http_requests_total", "streamdown_http_records_total", "streamdown_http_replays_total"); err != nil {
		t.Error(err)
	}
}
