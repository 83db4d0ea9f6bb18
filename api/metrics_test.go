package api

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func serve(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil))
	return w
}

func TestMetricsAreWellNamed(t *testing.T) {
	s := outage()
	s.Holds = []Hold{{Target: "*"}}
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(collector{&s})
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "streamdown_") {
			t.Errorf("%s is not ours", f.GetName())
		}
	}
}

func TestMetricsTellTheStatus(t *testing.T) {
	body := serve(Handler(Options{Status: (&desk{}).status, Control: &desk{}, Records: noRecords{}}), "/metrics").Body.String()
	for _, want := range []string{
		`streamdown_accepted_records_total 100`, `streamdown_acked_records_total 99`,
		`streamdown_confirmed_records_total{target="primary"} 60`, `streamdown_backlog_records{target="primary"} 40`,
		`streamdown_backlog_bytes{target="primary"} 4096`, `streamdown_backlog_age_seconds{target="primary"} 12.5`,
		`streamdown_only_on_this_disk_records 40`, `streamdown_topic_backlog_records{topic="orders"} 40`,
		`streamdown_breaker_state{state="open",target="primary"} 1`, `streamdown_breaker_state{state="closed",target="primary"} 0`,
		`streamdown_ready 1`, `streamdown_lanes{state="stopped"} 1`, `streamdown_lanes{state="doubt"} 0`,
		`streamdown_answers_total{class="lost",target="primary"} 2`, `streamdown_refusals_total{error="MESSAGE_TOO_LARGE"} 1`,
		`streamdown_requests_total{api="Produce"} 9`, `streamdown_ack_duration_seconds_bucket{le="0.001"} 3`,
		`streamdown_ack_duration_seconds_bucket{le="0.01"} 5`, `streamdown_ack_duration_seconds_bucket{le="+Inf"} 6`,
		`streamdown_ack_duration_seconds_sum 0.1`, `streamdown_log_fsync_duration_seconds_count 6`, `streamdown_log_stuck 0`,
		`streamdown_log_scrubbed_bytes_total 9000`, `streamdown_log_scrub_damage_ranges 1`, `streamdown_log_scrub_whole_pass_timestamp_seconds 1.772370118e+09`,
		`streamdown_foreign_records{target="primary"} 13`, `streamdown_log_renewed_timestamp_seconds `,
		`streamdown_log_size_bytes 8192`, `streamdown_connections 2`, `streamdown_build_info{`, `go_goroutines `, `process_start_time_seconds `,
	} {
		if !strings.Contains(body, "\n"+want) {
			t.Errorf("no sample %s", want)
		}
	}
	for _, never := range []string{"apache-kafka-java", "partition="} {
		if strings.Contains(body, never) {
			t.Errorf("%s is a label without a bound", never)
		}
	}
}

func TestUnknownHasNoSample(t *testing.T) {
	body := serve(Handler(Options{Status: func(context.Context) Status { return Status{} }, Control: &desk{}, Records: noRecords{}}), "/metrics").Body.String()
	for _, unknown := range []string{"acked_records", "backlog_bytes", "backlog_age", "target_looked", "log_max_size", "ack_duration", "fsync"} {
		if strings.Contains(body, "streamdown_"+unknown) {
			t.Errorf("%s has a sample although nothing is known", unknown)
		}
	}
	if strings.Contains(body, "streamdown_breaker_state") && strings.Contains(body, `state="closed",target=""} 1`) {
		t.Error("an unknown breaker is shown as closed")
	}
}

func TestWhatWasNotCheckedIsNotCalledSound(t *testing.T) {
	for name, sc := range map[string]*Scrub{"off": {}, "not yet": {BytesPerSecond: 1}, "the first pass": {BytesPerSecond: 1, CheckedBytes: 100, Pass: &ScrubPass{}}} {
		body := serve(Handler(Options{Status: func(context.Context) Status { return Status{Log: Log{Scrub: sc}} }, Control: &desk{}, Records: noRecords{}}), "/metrics").Body.String()
		if strings.Contains(body, "\nstreamdown_log_scrub_") {
			t.Errorf("%s: there is a sample that says that nothing is damaged", name)
		}
	}
}

func TestHostileLabelsDoNotBreakTheScrape(t *testing.T) {
	d := &desk{edit: func(s *Status) {
		s.Target.Name = "a\"b\\\n{}\xff"
		s.Forward.Answers["\xff\xfe"] = 1
		s.Lanes = append(s.Lanes, Lane{Topic: "x\ny", State: "new state"})
		now := time.Now()
		s.Target.LookedAt = &now
	}}
	w := serve(Handler(Options{Status: d.status, Control: d, Records: noRecords{}}), "/metrics")
	if w.Code != 200 || !strings.Contains(w.Body.String(), `streamdown_lanes{state="new state"} 1`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestSeriesDoNotGrowWithTopics(t *testing.T) {
	var s Status
	for i := range 5000 {
		s.Lanes = append(s.Lanes, Lane{Topic: fmt.Sprintf("t%04d", i/2), Partition: int32(i % 2), Backlog: 1, State: "idle"})
	}
	body := serve(Handler(Options{Status: func(context.Context) Status { return s }, Control: &desk{}, Records: noRecords{}}), "/metrics").Body.String()
	if n := strings.Count(body, "\nstreamdown_topic_backlog_records{"); n != maxTopics+1 {
		t.Errorf("%d series", n)
	}
	if want := `streamdown_topic_backlog_records{topic="(other)"} 4800`; !strings.Contains(body, want) {
		t.Errorf("no sample %s", want)
	}
}
