package demo

import (
	"testing"
	"time"
	"unicode/utf8"

	"github.com/streamdown/streamdown/api"
)

// TestFramesFitATerminal draws each part of the story with large numbers: 80 columns, 23 lines (the 24th is the
// cursor's), and always as many.
func TestFramesFitATerminal(t *testing.T) {
	began := time.Now()
	s := &show{cfg: Config{Plant: PlantSwap}.withDefaults(), began: began, meter: meter{each: 500 * time.Millisecond}}
	at := func(d time.Duration) time.Time { return began.Add(d) }
	for i, step := range []struct {
		phase, breaker string
		takes          time.Duration
		change         func()
	}{
		{"start", "", 0, func() {}},
		{"all is well", "closed", 3 * time.Second, func() { s.note('·', "32 producers send to 127.0.0.1:19092, the only address they know") }},
		{"outage", "open", 600 * time.Second, func() { s.downAt, s.downCol = at(3*time.Second), s.meter.columns }},
		{"probe", "half_open", 0, func() { s.upAt, s.upCol, s.backlog = at(50*time.Second), s.meter.columns, 12_345_678 }},
		{"drain", "closed", 0, func() {}},
		{"all is well again", "closed", 3 * time.Second, func() { s.note('!', "exchanged records 1234 and 1235 of a batch of 9999 for orders/63") }},
		{"done", "closed", 0, func() { s.note('✓', "done") }},
	} {
		s.phase = phase{name: step.phase, from: at(time.Duration(i) * 20 * time.Second), takes: step.takes}
		s.status = api.Status{Target: api.Target{Breaker: step.breaker}, Records: api.Records{Accepted: 123_456_789, Confirmed: 123_456_789}}
		step.change()
		for j := range 40 {
			now := s.phase.from.Add(time.Duration(j) * 500 * time.Millisecond)
			s.meter.add(point{at: now, acked: int64(i*40+j) * 25_000, read: int64(i*40+j) * 25_000, backlog: float64(i*j) * 50_000, waited: float64(j) * 20})
			lines := s.lines(now, false)
			if len(lines) != 23 {
				t.Fatalf("%s: %d lines", step.phase, len(lines))
			}
			for _, line := range lines {
				if n := utf8.RuneCountInString(line); n > 80 {
					t.Fatalf("%s: %d columns: %q", step.phase, n, line)
				}
			}
		}
	}
}
