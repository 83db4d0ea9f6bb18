package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

// The test binary is its own child, as the benchmark is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == roleGateway || os.Args[1] == roleEmbedded) {
		main()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func small(t *testing.T, args ...string) options {
	t.Helper()
	dir := t.TempDir()
	o, err := parseOptions(append([]string{
		"-quick", "-seconds", "0.3", "-sizes", "1024", "-rate", "1000", "-profiles=false", "-dir", dir, "-out", filepath.Join(dir, "results.json"),
	}, args...), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("STREAMDOWN_BINARY", os.Args[0])
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return o
}

// TestEveryPathIsMeasured runs the whole thing, without Kafka, for a moment.
func TestEveryPathIsMeasured(t *testing.T) {
	o := small(t, "-only", "embedded,embedded-wal,disk")
	var rep *report
	whole(t, func(missing func(format string, args ...any)) {
		var err error
		if rep, err = bench(t.Context(), o, io.Discard); err != nil {
			t.Fatal(err)
		}
		for _, w := range rep.Rows {
			if len(w.Runs) != 1 || w.Runs[0].Failed != "" || w.MBs == nil || w.MBs.Median <= 0 || w.AckP50 == nil || w.AckP50.Median <= 0 {
				missing("%s %s: %+v", w.Path, w.Mode, w.Runs)
			}
			if gateway := w.Path == "embedded-wal"; (w.GatewayCPU != nil) != gateway || (w.CommitBytes != nil) != gateway {
				missing("%s %s: processor time of a gateway %v, bytes per commit %v", w.Path, w.Mode, w.GatewayCPU, w.CommitBytes)
			}
		}
	})
	if len(rep.Rows) != 4 || len(rep.Ratios) != 4 || len(rep.Disk) != len(diskSizes) {
		t.Errorf("%d rows, %d ratios, %d disk rows", len(rep.Rows), len(rep.Ratios), len(rep.Disk))
	}
	if err := rep.write(o.out); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(o.out)
	if err != nil {
		t.Fatal(err)
	}
	var again map[string]any
	if err := json.Unmarshal(b, &again); err != nil || again["schema_version"] != 1.0 {
		t.Errorf("results.json: %v, %v", again["schema_version"], err)
	}
	var table bytes.Buffer
	rep.print(&table)
	for _, want := range []string{"FULL SPEED", "FIXED LOAD", "BARE DISK", "embedded-wal / bare disk", "load average", "! 1 rounds"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table does not say %q:\n%s", want, table.String())
		}
	}
	if left, err := os.ReadDir(o.dir); err != nil || len(left) != 1 { // results.json
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestRunIsVoidWhenTheBrokerHoldsSomethingElse plants one record that nobody counted.
func TestRunIsVoidWhenTheBrokerHoldsSomethingElse(t *testing.T) {
	l, err := newLab(t.Context(), small(t, "-only", "embedded"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.close(); err != nil {
			t.Error(err)
		}
	}()
	topic, err := l.topic(t.Context(), l.embedded)
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(l.embedded.addr), kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(t.Context(), kgo.StringRecord("one more")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	c := cell{path: l.o.paths()[0], mode: modePaced, size: 100}
	if _, err := l.through(t.Context(), c, l.embedded, topic, ""); err == nil || !strings.Contains(err.Error(), "the broker holds") {
		t.Errorf("a run with a stray record at the broker: %v", err)
	}
}

func TestFailedRunIsMissingAndRatiosAreTakenWithinRounds(t *testing.T) {
	acks := "wal"
	r := &report{Rounds: 3, Machine: machine{Cores: 2}, Rows: []row{
		{Path: "kafka", Mode: modeMax, RecordBytes: 100, Runs: []measured{
			{Round: 1, MBs: 100}, {Round: 2, MBs: 10}, {Round: 3, MBs: 200},
		}},
		{Path: "wal", Mode: modeMax, RecordBytes: 100, GatewayAcks: &acks, Runs: []measured{
			{Round: 1, MBs: 50, Disk: &diskRun{MBs: 500}}, {Round: 2, MBs: 8}, {Round: 3, Failed: "power cut"},
		}},
		{Path: "remote", Mode: modeMax, RecordBytes: 100, GatewayAcks: &acks, Runs: []measured{{Round: 3, Failed: "power cut"}}},
	}}
	r.finish(time.Now())
	if got := *r.Rows[1].MBs; got != (spread{Median: 29, Min: 8, Max: 50, N: 2}) {
		t.Errorf("throughput with one of three missing: %+v", got)
	}
	if r.Rows[2].MBs != nil {
		t.Errorf("throughput of nothing: %+v", r.Rows[2].MBs)
	}
	if len(r.Ratios) != 2 || *r.Ratios[0].Value != (spread{Median: 0.65, Min: 0.5, Max: 0.8, N: 2}) || r.Ratios[1].Value.Median != 0.1 {
		t.Errorf("ratios: %+v", r.Ratios)
	}
	if all := strings.Join(r.Warnings, "\n"); strings.Count(all, "power cut") != 2 {
		t.Errorf("warnings do not name the failed runs: %s", all)
	}
}

func TestBusyMachineIsSaid(t *testing.T) {
	for _, c := range []struct {
		load, others float64
		says         int
	}{{0.2, 0.1, 0}, {1.5, 0.1, 1}, {0.2, 0.5, 1}, {9, 1.5, 2}} {
		r := &report{Rounds: 3, Machine: machine{Cores: 2}, LoadBegin: load{c.load}}
		r.warn(&spread{Median: c.others})
		if len(r.Warnings) != c.says {
			t.Errorf("load %v, others %v: %q", c.load, c.others, r.Warnings)
		}
	}
}

func TestSpreads(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want *spread
	}{
		{nil, nil},
		{[]float64{3}, &spread{3, 3, 3, 1}},
		{[]float64{9, 1, 2}, &spread{2, 1, 9, 3}},
		{[]float64{4, 1, 2, 9}, &spread{3, 1, 9, 4}},
	} {
		if got := spreadOf(c.in); (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
			t.Errorf("%v: %+v, want %+v", c.in, got, c.want)
		}
	}
}

func TestQuantiles(t *testing.T) {
	var s samples
	if got := s.quantiles(0.5); got[0] != 0 {
		t.Errorf("of nothing: %v", got)
	}
	for i := 100; i >= 1; i-- {
		s.add(time.Duration(i))
	}
	if got := s.quantiles(0, 0.5, 0.99, 1); !slices.Equal(got, []time.Duration{1, 50, 99, 100}) {
		t.Errorf("of 1 to 100: %v", got)
	}
}

func TestEveryPathTakesEveryTurn(t *testing.T) {
	o := small(t, "-sizes", "10,20")
	cells := o.cells()
	firsts := map[string]bool{}
	for round := range allPaths {
		now := rotated(cells, round)
		firsts[now[0].path.Name] = true
		for i := range now {
			if now[i].size != cells[i].size || now[i].mode != cells[i].mode {
				t.Fatalf("round %d: cells that are compared do not stand together", round)
			}
		}
	}
	if len(cells) != 3*len(allPaths) || len(firsts) != len(allPaths) {
		t.Errorf("%d cells, %d paths came first once", len(cells), len(firsts))
	}
}

func TestProfileIsRead(t *testing.T) {
	all, total, err := parseTop([]byte(`File: bench
Type: cpu
Duration: 3.1s, Total samples = 2000ms (64.5%)
Showing nodes accounting for 1990ms, 99.50% of 2000ms total
Dropped 4 nodes (cum <= 10ms)
      flat  flat%   sum%        cum   cum%
     500ms 25.00% 25.00%      900ms 45.00%  github.com/streamdown/streamdown/wal.(*Log).persist
      20ms  1.00% 26.00%       20ms  1.00%  github.com/streamdown/streamdown/wal.grow (inline)
         0     0% 26.00%      900ms 45.00%  github.com/streamdown/streamdown/wal.(*Log).write
`))
	if err != nil || total != 2 || len(all) != 2 || all[0] != (cost{"wal.(*Log).persist", 0.5, 0.25}) || all[1].Function != "wal.grow (inline)" {
		t.Errorf("%+v of %v, %v", all, total, err)
	}
	if _, _, err := parseTop([]byte("File: bench\n")); err == nil {
		t.Error("a profile without samples was read")
	}
}

func TestWrongOptionsAreAllSaid(t *testing.T) {
	var said bytes.Buffer
	_, err := parseOptions([]string{"-sizes", "0", "-only", "pulsar", "-modes", "slow", "-rounds", "0", "-out", "/no/such/place/results.json", "extra"}, &said)
	if err == nil {
		t.Fatal("taken")
	}
	for _, want := range []string{"-sizes", "pulsar", "slow", "-rounds", "no directory", "extra"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("nothing is said about %s:\n%s", want, said.String())
		}
	}
}
