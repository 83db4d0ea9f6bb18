package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/api"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata/status")

func healthy() api.Status {
	now := time.Date(2026, 3, 1, 14, 5, 0, 0, time.UTC)
	since, looked := now.Add(-192*time.Second), now.Add(-2*time.Second)
	p50, p99, zero := 0.0011, 0.0092, int64(0)
	whole, checked := now.Add(-3*time.Hour), int64(12<<30)
	return api.Status{
		Version: "1.0.0", Now: now, StartedAt: now.Add(-26 * time.Hour), Ready: true,
		Listen: api.Listen{Kafka: "127.0.0.1:19092", HTTP: "127.0.0.1:8790"},
		Target: api.Target{Name: "primary", ClusterID: api.Known("MkU3OEVBNTcwNTJENDM2Qg"), Breaker: "closed", BreakerSince: &since, LookedAt: &looked},
		Log: api.Log{
			Dir: "/var/lib/streamdown", SizeBytes: 3 << 30, MaxSizeBytes: 50 << 30, Segments: 24, FsyncP50: &p50, FsyncP99: &p99,
			Scrub: &api.Scrub{BytesPerSecond: 8 << 20, Way: "direct", CheckedBytes: 36 << 30, Passes: 3, WholeAt: &whole, WholeBytes: &checked},
		},
		Records: api.Records{Accepted: 1_234_567, Confirmed: 1_234_567, BacklogBytes: &zero},
		Gateway: api.Gateway{Connections: 7, AckP50: &p50, AckP99: &p99},
		Lanes: []api.Lane{
			{Topic: "clicks", State: "idle", Live: true, AcceptedEnd: 567, Confirmed: 567},
			{Topic: "orders", State: "warm", Live: true, AcceptedEnd: 600_000, Confirmed: 600_000},
			{Topic: "orders", Partition: 1, State: "idle", Live: true, AcceptedEnd: 634_000, Confirmed: 634_000},
		},
	}
}

func behind(s *api.Status, lane int, records int64) {
	l := &s.Lanes[lane]
	l.Live, l.Backlog, l.Confirmed = false, records, l.AcceptedEnd-streamdown.Ordinal(records)
	age, bytes := 187.4, records*300
	s.Records.Backlog += records
	s.Records.OnlyOnThisDisk += records
	s.Records.OldestAge, s.Records.BacklogBytes = &age, &bytes
}

// TestStatusPages compares what people see with testdata/status/*.txt.
func TestStatusPages(t *testing.T) {
	for name, edit := range map[string]func(*api.Status){
		"healthy": func(*api.Status) {},
		"outage": func(s *api.Status) {
			s.Target.Breaker, s.Target.BreakerWhy = "open", "dial k1:9092: connection refused"
			behind(s, 1, 184_211)
		},
		"draining": func(s *api.Status) { behind(s, 1, 1000) },
		"held": func(s *api.Status) {
			s.Holds = []api.Hold{{Target: "orders", Reason: "deploy of billing", Since: s.Now.Add(-time.Minute)}}
			behind(s, 2, 5)
			s.Lanes[1].State, s.Lanes[2].State = "held", "held"
		},
		"stopped": func(s *api.Status) {
			behind(s, 1, 10)
			s.Lanes[1].State, s.Lanes[1].Stop = "stopped", &api.Stop{At: s.Now.Add(-time.Hour), Code: 29, Reason: "not authorized to write"}
			s.Gateway.Refusals = map[string]uint64{"MESSAGE_TOO_LARGE": 2}
		},
		"quarantine": func(s *api.Status) {
			s.Quarantine = api.QuarantineStatus{Batches: 3, Records: 1200}
			s.Records.OnlyOnThisDisk = 1200
			s.Lanes[0].Quarantined = api.QuarantineStatus{Batches: 2, Records: 1199}
			s.Lanes[1].Quarantined = api.QuarantineStatus{Batches: 1, Records: 1}
		},
		"damaged": func(s *api.Status) {
			s.Log.Damage = []api.Range{{From: 4096, To: 5000}}
			s.Lanes[0].Lost = []api.Lost{{From: 100, To: 103}}
		},
		"scrub_begins": func(s *api.Status) {
			s.Log.Scrub = &api.Scrub{
				BytesPerSecond: 8 << 20, Way: "cached", CheckedBytes: 1 << 30, Pass: &api.ScrubPass{Done: 1 << 30, Total: 3 << 30}, Trouble: "open x: too many open files",
			}
		},
		"scrub_not_yet": func(s *api.Status) { s.Log.Scrub = &api.Scrub{BytesPerSecond: 8 << 20} },
		"scrub_off":     func(s *api.Status) { s.Log.Scrub = &api.Scrub{} },
		"rot": func(s *api.Status) {
			at, bytes, seen := s.Now.Add(-time.Minute), int64(12<<30), s.Now.Add(-3*time.Hour)
			s.Log.Scrub = &api.Scrub{
				BytesPerSecond: 8 << 20, Way: "direct", CheckedBytes: 36 << 30, Passes: 3, WholeAt: &at, WholeBytes: &bytes, Found: 5, Ranges: 3,
				Damage: []api.Rot{
					{Kind: "state", Segment: "0000000007-00000000000001234567.wal", FromByte: 64, ToByte: 4000, Detail: "state does not match its checksum", FirstSeen: seen, Confirmed: true},
					{Kind: "entries", Segment: "0000000008-00000000000002234567.wal", FromByte: 5000, ToByte: 6000, From: 2235567, To: 2236567, Detail: "no valid entry", FirstSeen: seen, Confirmed: true},
					{Kind: "entries", Segment: "0000000009-00000000000003234567.wal", FromByte: 5000, ToByte: 6000, From: 3235567, To: 3236567, Detail: "bytes [5096, 6000) of it cannot be read: input/output error", FirstSeen: seen},
				},
			}
		},
		"rolled_back": func(s *api.Status) {
			s.Log.Renewals = []api.Renewal{{At: s.Now.Add(-time.Hour), Was: "0f7c1f6e-0000-4000-8000-000000000001"}}
			s.Lanes[0].Foreign = []api.Foreign{{PID: 4001, From: 50, To: 100, Offset: 120, End: 170, Records: 50}, {PID: 4001, From: -1, To: -1, Offset: 180, End: 181, Records: 1}}
		},
		"stuck": func(s *api.Status) { s.Ready, s.NotReady = false, "the log cannot be written: no space left on device" },
		"unknown": func(s *api.Status) {
			*s = api.Status{Ready: true, Target: api.Target{Name: "primary", Breaker: "unknown"}}
		},
		"hostile": func(s *api.Status) {
			s.Lanes[0].Topic, s.Lanes[0].State = "a\x1b[2J", "\x07"
			s.Target.ClusterID = api.Known("\x1b]0;owned\x07")
			s.Holds = []api.Hold{{Target: "x\ny", Reason: "\x1b[31m", Since: s.Now.Add(time.Hour)}}
		},
		"many": func(s *api.Status) {
			for i := range 300 {
				s.Lanes = append(s.Lanes, api.Lane{Topic: fmt.Sprintf("t%03d", i), State: "idle", Live: true})
				s.Holds = append(s.Holds, api.Hold{Target: fmt.Sprintf("t%03d", i), Reason: "r", Since: s.Now})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := healthy()
			edit(&s)
			var page bytes.Buffer
			writeStatus(&page, &s, false)
			if strings.ContainsAny(page.String(), "\x1b\x07") {
				t.Errorf("it moves the cursor: %q", page.String())
			}
			file := filepath.Join("testdata", "status", name+".txt")
			if *update {
				if err := os.WriteFile(file, page.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if page.String() != string(want) {
				t.Errorf("%s differs (-update writes it):\n%s", file, page.String())
			}
		})
	}
}

// countdown ends a context after some writes.
type countdown struct {
	bytes.Buffer
	left int
	end  context.CancelFunc
}

func (c *countdown) Write(b []byte) (int, error) {
	if c.left--; c.left == 0 {
		c.end()
	}
	return c.Buffer.Write(b)
}

func TestWatchGoesOnWhileTheProcessIsAway(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked == 2 {
			panic(http.ErrAbortHandler) // the connection ends without an answer
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(healthy()); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	out := &countdown{left: 3, end: cancel}
	var errs bytes.Buffer
	o := &options{out: out, errs: &errs, format: "json", addr: server.Listener.Addr().String()}
	c, err := o.client()
	if err != nil {
		t.Fatal(err)
	}
	if err := watchStatus(ctx, o, c, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || asked != 4 || !strings.Contains(errs.String(), "ask the process at") {
		t.Errorf("%d lines after %d questions; %s", len(lines), asked, &errs)
	}
	for _, line := range lines {
		var s api.Status
		if err := json.Unmarshal([]byte(line), &s); err != nil || !s.Ready {
			t.Errorf("%v: %s", err, line)
		}
	}
}

func TestSlowAnswerIsUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, answers nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var out, errs bytes.Buffer
	code := execute(t.Context(), []string{"status", "--timeout", "50ms", "--addr", l.Addr().String()}, &out, &errs)
	if code != exitUnreachable || !strings.Contains(errs.String(), "no answer in time") || out.Len() > 0 {
		t.Errorf("exit code %d: %s", code, &errs)
	}
}
