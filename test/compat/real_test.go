//go:build real

package compat

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	all    = flag.Bool("all", false, "every client and every cell, also those that need PyPI, npm and crates.io")
	update = flag.Bool("update", false, "write docs/compatibility.md")
	only   = flag.String("client", "", "clients whose key begins so")
)

// TestClientsComeInUnchanged fills the table. Without -all it takes the clients that Go and Maven bring, and some of the
// cells.
func TestClientsComeInUnchanged(t *testing.T) {
	dir := t.TempDir()
	if os.Getenv("KEEP") == "1" {
		var err error
		if dir, err = os.MkdirTemp("", "compat-"); err != nil {
			t.Fatal(err)
		}
		t.Log("logs are in", dir)
	}
	d, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Log("Kafka", d.Kafka())
	cache, err := Cache()
	if err != nil {
		t.Fatal(err)
	}
	sources, err := filepath.Abs("clients")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range Clients {
		if err := d.broker.CreateTopic(t.Context(), topicOf(c), Partitions, nil); err != nil {
			t.Fatal(err)
		}
	}
	var rows []Row
	for _, c := range Clients {
		if !strings.HasPrefix(c.Key, *only) || !*all && !c.Fast {
			continue
		}
		began := time.Now()
		rows = append(rows, fill(t, d, c, sources, cache))
		t.Logf("%s took %v", c.Key, time.Since(began).Round(time.Second))
	}
	if *update && *only == "" {
		if err := os.WriteFile("../../docs/compatibility.md", []byte(Page(rows, d.Kafka(), time.Now())), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if testing.Verbose() {
		t.Log(Page(rows, d.Kafka(), time.Now()))
	}
}

func topicOf(c Client) string { return "of-" + c.Key }

// fill runs the cells of a client.
func fill(t *testing.T, d *Doors, c Client, sources, cache string) Row {
	row := Row{Key: c.Key}
	s, err := c.start(t.Context(), sources, cache, d.dir)
	if errors.Is(err, errMissing) && *all {
		row.NotRun = err.Error()
		t.Logf("%s did not run: %v", c.Key, err)
		return row
	}
	if err != nil {
		row.NotRun = err.Error()
		t.Errorf("%s: %v", c.Key, err)
		return row
	}
	defer func() { _ = s.proc.Kill() }()
	row.Name, row.Version, row.Runtime = s.Name, s.Version, s.Runtime
	t.Log(s.Name, s.Version, s.Runtime)
	topic := topicOf(c)
	run := func(cell Cell) Outcome {
		out, err := s.run(t.Context(), d, topic, cell)
		if err != nil { // one that hangs or fell must not take the other cells with it
			out.Why = err.Error()
			_ = s.proc.Kill()
			if s, err = c.start(t.Context(), sources, cache, d.dir); err != nil {
				t.Fatalf("%s after %v: %v", c.Key, cell, err)
			}
		}
		if out.Verdict == Failed {
			t.Errorf("%s %s: %v: %s", row.Name, row.Version, cell, out.Why)
		}
		row.Outcomes = append(row.Outcomes, out)
		return out
	}
	cells := Some()
	if *all {
		cells = All()
	}
	for _, cell := range cells {
		run(cell)
	}
	away := Cell{Security: Securities[0], Codec: 1, Idempotent: true, Outage: true}
	if out := run(away); out.Verdict == Lacks {
		row.Outcomes = row.Outcomes[:len(row.Outcomes)-1]
		away.Idempotent = false
		run(away)
	}
	return row
}
