package breaker

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the expected output of the stories in testdata")

// TestStories plays the files in testdata. A story is a list of blocks: commands, a line of four dashes, what they
// print, an empty line. Lines that begin with # are for the reader. Commands, each at a time since the start:
//
//	new [patience=D] [window=D] [max-window=D] [min-probes=N] [quiet=D] [every=D] [max=D] [seed=N]
//	TIME success | failure WHY | reset WHY | silence DURATION | probe ok LATENCY | probe fail | tick
//	TIME outage UNTIL        every probe fails when it is due, until then
//	TIME healthy UNTIL       every probe is answered in 2ms when it is due, until then
//	TIME state               all there is to see
//
// "+D" as TIME means D after the command before it; "due" means when the next probe is due.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, src)
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !bytes.Equal(got, src) {
				t.Errorf("the story goes differently now (-update writes it down):\n%s", got)
			}
		})
	}
}

func play(t *testing.T, src []byte) []byte {
	t.Helper()
	var out, said bytes.Buffer
	s := &story{say: &said, b: New(Config{})}
	expected := false
	flush := func() {
		if expected {
			out.WriteString("----\n")
			if said.Len() == 0 {
				said.WriteString("ok\n")
			}
			out.Write(said.Bytes())
			said.Reset()
			expected = false
		}
	}
	lines := bufio.NewScanner(bytes.NewReader(src))
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		switch {
		case line == "----":
			expected = true
			continue
		case expected && line != "":
			continue // old output
		case line == "":
			flush()
		case line[0] != '#':
			if err := s.command(strings.Fields(line)); err != nil {
				t.Fatalf("line %d: %q: %v", n, line, err)
			}
		}
		out.WriteString(line + "\n")
	}
	flush()
	return out.Bytes()
}

// start is what a story's times count from.
var start = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

type story struct {
	say *bytes.Buffer
	b   *Breaker
	now time.Time
}

func (s *story) command(words []string) error {
	if words[0] == "new" {
		c, err := config(words[1:])
		s.b, s.now = New(c), start
		return err
	}
	if len(words) < 2 {
		return fmt.Errorf("want a time and a command")
	}
	var err error
	if s.now, err = s.time(words[0]); err != nil {
		return err
	}
	rest := strings.Join(words[2:], " ")
	switch words[1] {
	case "success":
		s.tell(s.b.Success(s.now))
	case "failure":
		s.tell(s.b.Failure(s.now, false, rest))
	case "reset":
		s.tell(s.b.Failure(s.now, true, rest))
	case "tick":
		s.tell(s.b.Tick(s.now))
	case "silence":
		d, err := time.ParseDuration(rest)
		s.tell(s.b.Silence(s.now, d))
		return err
	case "probe":
		if words[2] == "fail" {
			s.tell(s.b.Probe(s.now, false, 0))
			return nil
		}
		d, err := time.ParseDuration(words[3])
		s.tell(s.b.Probe(s.now, true, d))
		return err
	case "outage", "healthy":
		until, err := s.time(words[2])
		probes := 0
		for !s.b.NextProbe().IsZero() && s.b.NextProbe().Before(until) {
			s.now = s.b.NextProbe()
			s.tell(s.b.Probe(s.now, words[1] == "healthy", 2*time.Millisecond))
			probes++
		}
		fmt.Fprintf(s.say, "%d probes\n", probes)
		if s.b.State() != Closed {
			s.now = until
		}
		return err
	case "state":
		next := "none"
		if at := s.b.NextProbe(); !at.IsZero() {
			next = "at " + at.Sub(start).String()
		}
		since := "ever"
		if at := s.b.Since(); !at.IsZero() {
			since = at.Sub(start).String()
		}
		fmt.Fprintf(s.say, "%s since %s, allow %v, window %s, next probe %s, why %q\n",
			s.b.State(), since, s.b.Allow(), s.b.Window(), next, s.b.Why())
	default:
		return fmt.Errorf("no such command")
	}
	return nil
}

func (s *story) tell(c Change, changed bool) {
	if changed {
		fmt.Fprintf(s.say, "%s %s\n", c.At.Sub(start).Round(time.Microsecond), c)
	}
}

func (s *story) time(word string) (time.Time, error) {
	if word == "due" {
		return s.b.NextProbe(), nil
	}
	from := start
	if strings.HasPrefix(word, "+") {
		from = s.now
	}
	d, err := time.ParseDuration(word)
	return from.Add(d), err
}

func config(words []string) (Config, error) {
	var c Config
	durations := map[string]*time.Duration{
		"patience": &c.Patience, "window": &c.Window, "max-window": &c.MaxWindow, "quiet": &c.Quiet,
		"every": &c.ProbeEvery, "max": &c.ProbeMax,
	}
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		var err error
		switch d := durations[name]; {
		case d != nil:
			*d, err = time.ParseDuration(value)
		case name == "min-probes":
			c.MinProbes, err = strconv.Atoi(value)
		case name == "seed":
			c.Seed, err = strconv.ParseUint(value, 10, 64)
		default:
			err = fmt.Errorf("no setting %q", name)
		}
		if err != nil {
			return c, err
		}
	}
	return c, nil
}
