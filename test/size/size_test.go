package main

import (
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestMemoryIsBoundedWhateverTheLogHolds is a short run of what the command does. Times are not judged: a busy machine
// proves nothing.
func TestMemoryIsBoundedWhateverTheLogHolds(t *testing.T) {
	if os.Getenv("STREAMDOWN_RACE") == "1" {
		t.Skip("the race detector multiplies memory")
	}
	r, err := measure(t.Context(), options{
		shape: shape{Bytes: 200e6, Lanes: 1000, Producers: 3}, dir: t.TempDir(), phase: 400 * time.Millisecond,
		maxAck: time.Hour, maxRSS: 256e6, say: t.Logf,
	})
	if r != nil {
		r.print(t.Output())
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range r.Wrong {
		t.Error(wrong)
	}
	if len(r.Phases) != 7 || r.CaughtUp == nil || r.Phases[0].FirstAck == nil || r.Phases[0].Peak == 0 {
		t.Errorf("%+v", r)
	}
	for what, n := range r.Warnings {
		switch what {
		case "breaker open", "breaker half_open", // the target was down
			"config", // the log may be larger than the disk
			"a write to the log took long; is its disk slow, or busy with something else?":
		default:
			t.Errorf("the gateway warned %d times: %s", n, what)
		}
	}
}

// TestTooMuchIsSaid plants limits that nothing can meet.
func TestTooMuchIsSaid(t *testing.T) {
	ack := 0.5
	r := report{Phases: []phase{{Name: "start", FirstAck: &ack, Peak: 100}, {Name: "drain", Peak: 101}}}
	r.judge(&options{maxAck: 500 * time.Millisecond, maxRSS: 101})
	if len(r.Wrong) != 0 {
		t.Errorf("within the limits: %q", r.Wrong)
	}
	r.judge(&options{maxAck: 400 * time.Millisecond, maxRSS: 100})
	if len(r.Wrong) != 2 {
		t.Errorf("one too slow, one too large: %q", r.Wrong)
	}
}
