package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func smallLog(t *testing.T, args ...string) logOptions {
	t.Helper()
	dir := t.TempDir()
	o, err := parseLogOptions(append([]string{"-quick", "-seconds", "0.05", "-dir", dir, "-out", filepath.Join(dir, "log.json")}, args...), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("STREAMDOWN_BINARY", os.Args[0])
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return o
}

// whole takes measurements of a moment until none is missing, three times at most: a disk can stand still for longer
// than a moment.
func whole(t *testing.T, take func(missing func(format string, args ...any))) {
	t.Helper()
	var said []string
	for range 3 {
		said = nil
		take(func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) })
		if len(said) == 0 {
			return
		}
	}
	t.Errorf("three times something was not measured, at last:\n%s", strings.Join(said, "\n"))
}

// TestEveryPartOfTheLogIsMeasured runs all of it for a moment.
func TestEveryPartOfTheLogIsMeasured(t *testing.T) {
	partitionCounts = []int{10, 300} // ten thousand files take their time
	o := smallLog(t)
	var r *logReport
	whole(t, func(missing func(format string, args ...any)) {
		var err error
		if r, err = benchLog(t.Context(), o, io.Discard); err != nil {
			t.Fatal(err)
		}
		for i := range r.Commits {
			if c := &r.Commits[i]; len(c.Runs) != 1 || c.MBs.Median <= 0 || c.P99.Median < c.P50.Median || c.P50.Median <= 0 {
				missing("%s at %d bytes: %+v", c.Way, c.SyncBytes, c.Runs)
			}
		}
		if c := r.commits(logAlone, commitSizes[0]); c.ToOver == nil || c.ToLonger == nil {
			missing("one commit at a time is not compared: %+v", c)
		}
		for i := range r.Partitions {
			if p := &r.Partitions[i]; p.Log == nil || p.Files == nil || p.Times.Median <= 0 {
				missing("%+v", p)
			}
		}
		for i := range r.Acks {
			if a := &r.Acks[i]; len(a.Runs) != 1 || a.Runs[0].Failed != "" || a.AckP50 == nil || (a.GatewayCPU != nil) != (a.Path == "embedded-wal") {
				missing("%+v", a)
			}
		}
	})
	// Loose on purpose: the point is that it is a small part of one, and that something was counted.
	for _, a := range r.Allocs {
		if a.Allocs > 1 || a.Bytes > 500 || a.PerCommit <= 0 {
			t.Errorf("%+v", a)
		}
	}
	if len(r.Commits) != 15 || len(r.Partitions) != 2 || len(r.Acks) != 4 || len(r.Allocs) != 2 {
		t.Errorf("%d ways to commit, %d numbers of partitions, %d loads, %d ways of a batch", len(r.Commits), len(r.Partitions), len(r.Acks), len(r.Allocs))
	}
	if err := r.write(o.out); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(o.out)
	if err != nil {
		t.Fatal(err)
	}
	var again map[string]any
	if err := json.Unmarshal(b, &again); err != nil || again["schema_version"] != 1.0 {
		t.Errorf("log-results.json: %v, %v", again["schema_version"], err)
	}
	var table bytes.Buffer
	r.print(&table)
	for _, want := range []string{"COMMITS", "PARTITIONS", "ACKS", "ALLOCATIONS", "written over", "! 1 rounds"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table does not say %q:\n%s", want, table.String())
		}
	}
	if left, err := os.ReadDir(o.dir); err != nil || len(left) != 1 { // log.json
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestCommitsOfAnotherSizeAreNotCompared(t *testing.T) {
	r := &logReport{Commits: []commits{
		{Way: diskLonger, SyncBytes: 1000, Runs: []commitRun{{MBs: 100}, {MBs: 50}, {MBs: 10}}},
		{Way: diskOver, SyncBytes: 1000, Runs: []commitRun{{MBs: 200}, {MBs: 100}, {MBs: 20}}},
		{Way: logOver, SyncBytes: 1000, Runs: []commitRun{{MBs: 50, Bytes: 1000}, {MBs: 100, Bytes: 1100}, {MBs: 100, Bytes: 2000}}},
	}}
	for i := range r.Commits {
		r.Commits[i].finish(r)
	}
	if got := *r.Commits[2].ToLonger; got != (spread{Median: 1.25, Min: 0.5, Max: 2, N: 2}) {
		t.Errorf("beside a file that grows: %+v", got)
	}
	if got := *r.Commits[2].ToOver; got != (spread{Median: 0.625, Min: 0.25, Max: 1, N: 2}) || r.Commits[0].ToOver != nil {
		t.Errorf("beside a file that is written over: %+v", got)
	}
}

func TestWrongOptionsOfTheLogAreAllSaid(t *testing.T) {
	var said bytes.Buffer
	if _, err := parseLogOptions([]string{"-only", "commits,pulsar", "-rounds", "0", "-out", "/no/such/place/x.json", "extra"}, &said); err == nil {
		t.Fatal("taken")
	}
	for _, want := range []string{"pulsar", "-rounds", "no directory", "extra"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("nothing is said about %s:\n%s", want, said.String())
		}
	}
}
