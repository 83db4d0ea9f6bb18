package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestReadyMeansCanAck(t *testing.T) {
	d := &desk{} // the target is down
	if status, _, body := ask(t, d, "GET", "/readyz", ""); status != 200 || body != "ready\n" {
		t.Errorf("with the target down: %d %s", status, body)
	}
	d.edit = func(s *Status) { s.Ready, s.NotReady = false, "the log cannot be written" }
	status, p := askProblem(t, d, "GET", "/readyz", "")
	if status != 503 || p.Detail != "the log cannot be written" {
		t.Errorf("with a stuck log: %d %+v", status, p)
	}
	if status, _, body := ask(t, d, "GET", "/healthz", ""); status != 200 || body != "alive\n" {
		t.Errorf("a stuck process is alive: %d %s", status, body)
	}
	d.edit = func(s *Status) { *s = Status{} }
	if status, _ := askProblem(t, d, "GET", "/readyz", ""); status != 503 {
		t.Errorf("unknown is ready: %d", status)
	}
}

func TestStatusKeepsTheJSONRules(t *testing.T) {
	for name, edit := range map[string]func(*Status){
		"outage": nil, "nothing known": func(s *Status) { *s = Status{Lanes: []Lane{{Topic: "t"}}} },
		"not checked yet": func(s *Status) { s.Log.Scrub = &Scrub{BytesPerSecond: 1, Pass: &ScrubPass{Since: s.StartedAt}} },
	} {
		_, _, body := ask(t, &desk{edit: edit}, "GET", "/v1/status", "")
		var v map[string]any
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			t.Fatal(err)
		}
		if v["schema_version"] != 1.0 {
			t.Errorf("%s: schema_version %v", name, v["schema_version"])
		}
		mayBeNull := map[string]bool{
			"target.cluster_id": true, "target.breaker_since": true, "target.looked_at": true, "log.fsync_p50_seconds": true,
			"log.fsync_p99_seconds": true, "records.acked": true, "records.backlog_bytes": true, "records.oldest_age_seconds": true,
			"gateway.ack_p50_seconds": true, "gateway.ack_p99_seconds": true, "lanes.offset": true, "lanes.stop": true,
			"config.failure": true, "log.room_bytes": true, "log.room_seconds": true, "log.refuge": true,
			"log.ledger": true, "log.ledger.oldest_at": true, "log.scrub": true, "log.scrub.whole_pass_at": true, "log.scrub.whole_pass_bytes": true, "log.scrub.pass": true,
		}
		walk("", v, func(path string, v any) {
			key := path[strings.LastIndexByte(path, '.')+1:]
			if key != strings.ToLower(key) && !strings.Contains(path, "requests") && !strings.Contains(path, "refusals") {
				t.Errorf("%s: key %s", name, path)
			}
			if v == nil && !mayBeNull[path] {
				t.Errorf("%s: %s is null", name, path)
			}
			if s, ok := v.(string); ok && strings.Contains(s, "T") && strings.HasPrefix(s, "2026") && !strings.HasSuffix(s, "Z") {
				t.Errorf("%s: %s is not UTC: %s", name, path, s)
			}
		})
	}
}

func walk(path string, v any, visit func(path string, v any)) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			walk(strings.TrimPrefix(path+"."+k, "."), x, visit)
		}
	case []any:
		for _, x := range v {
			walk(path, x, visit)
		}
	default:
		visit(path, v)
	}
}

func TestUnknownIsNull(t *testing.T) {
	_, _, body := ask(t, &desk{edit: func(s *Status) { *s = Status{} }}, "GET", "/v1/status", "")
	for _, want := range []string{`"cluster_id": null`, `"oldest_age_seconds": null`, `"acked": null`, `"looked_at": null`, `"lanes": []`, `"clients": {}`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is not in %s", want, body)
		}
	}
}

func TestWhatIsNotThereSaysWhatIs(t *testing.T) {
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/", 404, ""}, {"GET", "/v1/status/", 404, ""}, {"POST", "/v2/hold", 404, ""}, {"GET", "/debug/pprof/", 404, ""},
		{"POST", "/v1/status", 405, "GET, HEAD"}, {"DELETE", "/metrics", 405, "GET, HEAD"}, {"GET", "/v1/hold", 405, "POST"},
		{"OPTIONS", "/v1/hold", 405, "POST"}, {"PUT", "/v1/resume", 405, "POST"}, {"BREW", "/healthz", 405, "GET, HEAD"},
	} {
		if status, _ := askProblem(t, &desk{}, c.method, c.path, ""); status != c.status {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, status, c.status)
		}
		if _, h, _ := ask(t, &desk{}, c.method, c.path, ""); h.Get("Allow") != c.allow {
			t.Errorf("%s %s: Allow %q", c.method, c.path, h.Get("Allow"))
		}
	}
	if status, _, _ := ask(t, &desk{}, "HEAD", "/v1/status", ""); status != 200 {
		t.Errorf("HEAD: %d", status)
	}
}

func TestPagesOfOtherOriginsAreTurnedAway(t *testing.T) {
	const order = `{"target": "*", "reason": "evil"}`
	for _, header := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "http://evil.example"}, {"Origin", "null"},
	} {
		d := &desk{}
		if status, _ := askProblem(t, d, "POST", "/v1/hold", order, header...); status != http.StatusForbidden || len(d.holds) > 0 {
			t.Errorf("%v: %d, holds %v", header, status, d.holds)
		}
	}
	for _, host := range []string{"evil.example:8790", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", ""} {
		d := &desk{}
		if status, _ := askProblem(t, d, "POST", "/v1/hold", order, "Host", host, "Origin", "http://"+host); status/100 != 4 || len(d.holds) > 0 {
			t.Errorf("host %q: %d, holds %v", host, status, d.holds)
		}
		if status, _ := askProblem(t, d, "GET", "/v1/status", "", "Host", host); status != http.StatusMisdirectedRequest {
			t.Errorf("host %q reads the status: %d", host, status)
		}
	}
	for _, host := range []string{"localhost:8790", "LOCALHOST", "127.0.0.1:8790", "[::1]:8790", "[::1]", "10.0.0.1:1"} {
		if status, _, body := ask(t, &desk{}, "POST", "/v1/hold", order, "Host", host, "Sec-Fetch-Site", "same-origin"); status != 200 {
			t.Errorf("host %q: %d %s", host, status, body)
		}
	}
}

// BenchmarkTenThousandLanes measures what people and scrapers wait for.
func BenchmarkTenThousandLanes(b *testing.B) {
	d := &desk{edit: func(s *Status) {
		s.Lanes = nil
		for i := range 10_000 {
			s.Lanes = append(s.Lanes, Lane{Topic: fmt.Sprintf("t%d", i/10), Partition: int32(i % 10), State: "idle"})
		}
	}}
	for _, path := range []string{"/metrics", "/v1/status"} {
		b.Run(path[1:], func(b *testing.B) {
			h := Handler(Options{Status: d.status, Control: d, Records: noRecords{}})
			for b.Loop() {
				serve(h, path)
			}
		})
	}
}
