package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/streamdown/streamdown"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk is a Control that keeps its holds in memory, and the status of a process in the middle of an outage.
type desk struct {
	mu    sync.Mutex
	holds map[string]Hold
	fail  error // answer of the next orders
	edit  func(*Status)
}

func (d *desk) Hold(_ context.Context, target, reason string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return d.fail
	}
	if d.holds == nil {
		d.holds = map[string]Hold{}
	}
	d.holds[target] = Hold{Target: target, Reason: reason, Since: time.Unix(1e9, 0)}
	return nil
}

func (d *desk) Resume(_ context.Context, target string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return d.fail
	}
	delete(d.holds, target)
	return nil
}

func (d *desk) status(context.Context) Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := outage()
	for _, h := range d.holds {
		s.Holds = append(s.Holds, h)
	}
	if d.edit != nil {
		d.edit(&s)
	}
	return s
}

func outage() Status {
	at := time.Date(2026, 3, 1, 14, 1, 58, 0, time.FixedZone("CET", 3600))
	age, bytes, offset, p99 := 12.5, int64(4096), streamdown.Offset(41), 0.004
	latency := Histogram{Bounds: []float64{0.001, 0.01}, Counts: []uint64{3, 2, 1}, Sum: 0.1}
	return Status{
		Version: "test", Now: at.Add(15 * time.Second), StartedAt: at.Add(-time.Hour), LogID: "l", Ready: true,
		Listen: Listen{Kafka: "127.0.0.1:19092", HTTP: "127.0.0.1:8790"},
		Target: Target{Name: "primary", Bootstrap: []string{"k1:9092"}, Breaker: "open", BreakerSince: &at, BreakerWhy: "refused", LookedAt: &at},
		Log: Log{
			Dir: "d", SizeBytes: 8192, MaxSizeBytes: 1 << 30, Segments: 1, First: 64, Durable: 5000, Watermark: 904, Groups: 7, Bytes: 5000,
			FsyncP99: &p99, Fsync: latency, Renewals: []Renewal{{At: at, Was: "a"}},
			Scrub: &Scrub{
				BytesPerSecond: 8 << 20, Way: "direct", CheckedBytes: 9000, Passes: 2, WholeAt: &at, WholeBytes: &bytes, Found: 1, Ranges: 1,
				Damage: []Rot{{Kind: "entries", Segment: "s", FromByte: 100, ToByte: 200, From: 104, To: 204, Detail: "no valid entry", FirstSeen: at}},
			},
		},
		Records: Records{
			Accepted: 100, Acked: Known(uint64(99)), Confirmed: 60, Backlog: 40, BacklogBytes: &bytes, OldestAge: &age, OnlyOnThisDisk: 40,
			AckedLocally: 4, ClientRetries: 1,
		},
		Gateway: Gateway{
			Connections: 2, Accepted: 3, Requests: map[string]uint64{"Produce": 9}, Refusals: map[string]uint64{"MESSAGE_TOO_LARGE": 1},
			Clients: map[string]int64{"apache-kafka-java 4.1.0": 2}, AckLatency: latency,
		},
		Forward: Forward{BatchesSent: 8, Scans: 1, Answers: map[string]uint64{"ok": 6, "lost": 2}},
		Lanes: []Lane{
			{Topic: "orders", Partition: 0, State: "warm", AcceptedEnd: 70, Confirmed: 40, Backlog: 30, Offset: &offset},
			{
				Topic: "orders", Partition: 1, State: "stopped", AcceptedEnd: 20, Confirmed: 10, Backlog: 10,
				Stop:    &Stop{At: at, Code: 29, Reason: "not authorized"},
				Foreign: []Foreign{{PID: 4001, From: 50, To: 60, Offset: 100, End: 110, Records: 10}, {PID: 4001, From: -1, To: -1, Offset: 120, End: 123, Records: 3}},
			},
			{Topic: "clicks", Partition: 0, State: "idle", Live: true, AcceptedEnd: 10, Confirmed: 10},
		},
	}
}

// ask sends one request to a handler over d and returns the answer.
func ask(t *testing.T, d *desk, method, path, body string, header ...string) (status int, h http.Header, answer string) {
	t.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1:8790"+path, strings.NewReader(body))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
			continue
		}
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	Handler(Options{Status: d.status, Control: d, Records: noRecords{}}).ServeHTTP(w, r)
	b, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, w.Result().Header, string(b)
}

// askProblem also wants the answer to be a problem that says what to try.
func askProblem(t *testing.T, d *desk, method, path, body string, header ...string) (status int, p problem) {
	t.Helper()
	status, h, answer := ask(t, d, method, path, body, header...)
	if ct := h.Get("Content-Type"); ct != "application/problem+json" {
		t.Fatalf("%s %s: status %d, content type %q: %s", method, path, status, ct, answer)
	}
	if err := json.Unmarshal([]byte(answer), &p); err != nil {
		t.Fatal(err)
	}
	if p.Status != status || p.Title == "" || p.Detail == "" || p.Try == "" {
		t.Errorf("%s %s: incomplete: %s", method, path, answer)
	}
	return status, p
}

// noRecords is for tests that send none.
type noRecords struct{}

func (noRecords) PostTopic(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusAccepted)
}
func (noRecords) PostRecords(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusAccepted)
}
func (noRecords) OpenAPI(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }

var errStuck = errors.New("the log cannot be written: no space left on device")
