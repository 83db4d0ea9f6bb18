package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/streamdown/streamdown/check"
	"github.com/streamdown/streamdown/ui"
)

// short is a whole story in a few seconds.
func short(t *testing.T, change func(*Config)) (*Result, string) {
	t.Helper()
	var out bytes.Buffer
	cfg := Config{
		Duration: 2 * time.Second, Outage: time.Second, Rate: 1500, Dir: t.TempDir(), View: ui.Config{Out: &out},
	}
	if change != nil {
		change(&cfg)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	res, err := Run(ctx, cfg)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	return res, out.String()
}

func TestDemoRescues(t *testing.T) {
	t.Parallel()
	var dir string
	res, out := short(t, func(c *Config) { dir = c.Dir })
	if res.Exit() != 0 || res.Verdict != Proved {
		t.Fatalf("verdict %s: %+v\n%s", res.Verdict, res, out)
	}
	if res.Acked < 1000 || res.Delivered != res.Acked || res.Lost+res.Duplicated+res.Reordered+uint64(res.ProducerErrors) != 0 {
		t.Errorf("%+v", res)
	}
	if res.OutageSeconds < 1 || res.DrainedSeconds <= 0 || res.Backlog < 100 || res.AckedOutage < 100 {
		t.Errorf("no outage to speak of: %+v", res)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	for _, want := range []string{"the broker is stopped", "noticed after", "the broker is back", "drained"} {
		if !strings.Contains(out, want) {
			t.Errorf("nobody was told %q:\n%s", want, out)
		}
	}
	if !strings.Contains(res.Broker, "embedded") {
		t.Errorf("the broker is called %s", res.Broker)
	}
	var fields map[string]any
	b, err := json.Marshal(res)
	if err != nil || json.Unmarshal(b, &fields) != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"schema_version", "verdict", "broker", "seed", "acked", "delivered", "lost", "duplicated", "reordered", "producer_errors",
		"outage_seconds", "drained_seconds",
	} {
		if fields[want] == nil {
			t.Errorf("%s is missing in %s", want, b)
		}
	}
	if rec := res.Reconcile; rec.Exit != 0 || rec.Total.Compared != int64(res.Acked) {
		t.Errorf("log and topic: %+v", rec)
	}
	text := res.Text(false)
	if !strings.Contains(text, "PROVED") || !strings.Contains(text, "embedded") {
		t.Errorf("the text is\n%s", text)
	}
	narrow(t, text)
}

// narrow checks that a text fits a terminal of the usual width.
func narrow(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestPlantedFaultsAreCaught(t *testing.T) {
	for _, tt := range []struct {
		plant     Plant
		verdict   check.Verdict
		found     func(r *Result) bool
		reconcile int // a copy without our producer id is nobody's: the comparison with the log cannot meet it
	}{
		{PlantDrop, check.Lost, func(r *Result) bool { return r.Lost == 1 && r.Duplicated == 0 && r.Reordered == 0 }, check.ExitIntegrity},
		{PlantDup, check.Duplicate, func(r *Result) bool { return r.Lost == 0 && r.Duplicated >= 2 && r.Reordered == 0 }, check.ExitOK},
		{PlantSwap, check.Reordered, func(r *Result) bool { return r.Lost == 0 && r.Duplicated == 0 && r.Reordered == 1 }, check.ExitIntegrity},
	} {
		t.Run(string(tt.plant), func(t *testing.T) {
			t.Parallel()
			res, out := short(t, func(c *Config) { c.Plant, c.Seed = tt.plant, 7 })
			if res.Exit() != check.ExitIntegrity || res.Verdict != Failed || res.Planted == nil || !tt.found(res) {
				t.Fatalf("verdict %s: %+v\n%s", res.Verdict, res, out)
			}
			if len(res.Check.Examples[tt.verdict]) == 0 {
				t.Errorf("no example of %s: %+v", tt.verdict, res.Check.Examples)
			}
			if res.Reconcile.Exit != tt.reconcile {
				t.Errorf("log and topic: %+v", res.Reconcile)
			}
			if res.ProducerErrors != 0 {
				t.Errorf("the fault is behind the gateway, and producers noticed: %s", *res.ProducerError)
			}
			text := res.Text(false)
			if !strings.Contains(text, "FAILED") || !strings.Contains(text, *res.Planted) || strings.Contains(text, "PROVED") {
				t.Errorf("the text is\n%s", text)
			}
			narrow(t, text)
		})
	}
}

// TestTooLittleProvesNothing is what a checker must be able to say.
func TestTooLittleProvesNothing(t *testing.T) {
	t.Parallel()
	res, out := short(t, func(c *Config) {
		c.Rate, c.Producers, c.Outage, c.Duration = 20, 1, 500*time.Millisecond, 1500*time.Millisecond
	})
	if res.Exit() != check.ExitNotChecked || res.Verdict != NotChecked || len(res.Void) == 0 {
		t.Fatalf("verdict %s: %+v\n%s", res.Verdict, res, out)
	}
	if text := res.Text(false); !strings.Contains(text, "NOT CHECKED") || strings.Contains(text, "PROVED") {
		t.Errorf("the text is\n%s", text)
	}
}

// TestEndsWhenToldTo interrupts a run that would take long.
func TestEndsWhenToldTo(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	dir := t.TempDir()
	told := writer(func(b []byte) {
		if bytes.Contains(b, []byte("the broker is stopped")) {
			cancel()
		}
	})
	res, err := Run(ctx, Config{Duration: 10 * time.Minute, Outage: 599 * time.Second, Rate: 200, Dir: dir, View: ui.Config{Out: told}})
	if res != nil || !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, %v", res, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

type writer func(b []byte)

func (w writer) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}

func TestConfigNamesAllThatIsWrong(t *testing.T) {
	err := Config{Duration: time.Second, Producers: -1, Partitions: 1000, Rate: 1e6, Plant: "rot"}.Validate()
	for _, want := range []string{"producers", "partitions", "rate", "duration", `"rot"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not named in: %v", want, err)
		}
	}
	if err := (Config{}).Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
}
