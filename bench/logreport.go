package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/streamdown/streamdown/ui"
)

// logReport is log-results.json. Times are UTC, durations in seconds, MB and GB powers of ten: of log bytes for commits,
// of record values for acks. What is not known is null. Fields are only added.
type logReport struct {
	SchemaVersion int       `json:"schema_version"`
	StartedAt     time.Time `json:"started_at"`
	EndedAt       time.Time `json:"ended_at"`
	Elapsed       float64   `json:"elapsed_seconds"`
	Machine       machine   `json:"machine"`
	LoadBegin     load      `json:"load_average_begin"`
	LoadEnd       load      `json:"load_average_end"`
	Warnings      []string  `json:"warnings"`
	Quick         bool      `json:"quick"`
	Rounds        int       `json:"rounds"`
	WindowSeconds float64   `json:"window_seconds"`

	Commits    []commits     `json:"commits"`
	Partitions []partitioned `json:"partitions"`
	Acks       []acked       `json:"acks"`
	Allocs     []allocated   `json:"allocations"`
}

func newLogReport(o *logOptions, dir string) *logReport {
	return &logReport{
		SchemaVersion: 1, StartedAt: time.Now().UTC(), Machine: thisMachine(dir), LoadBegin: loadNow(), Warnings: []string{},
		Quick: o.quick, Rounds: o.rounds, WindowSeconds: o.window.Seconds(),
		Commits: []commits{}, Partitions: []partitioned{}, Acks: []acked{}, Allocs: []allocated{},
	}
}

func (r *logReport) commits(way string, size int) *commits {
	for i := range r.Commits {
		if c := &r.Commits[i]; c.Way == way && c.SyncBytes == size {
			return c
		}
	}
	return &commits{}
}

func (r *logReport) finish(began time.Time) {
	r.EndedAt, r.Elapsed, r.LoadEnd = time.Now().UTC(), time.Since(began).Seconds(), loadNow()
	var others []float64
	for i := range r.Commits {
		r.Commits[i].finish(r)
		for _, run := range r.Commits[i].Runs {
			others = append(others, run.OthersCores)
		}
	}
	for i := range r.Partitions {
		r.Partitions[i].finish()
	}
	for i := range r.Acks {
		a := &r.Acks[i]
		a.finish()
		for _, m := range a.Runs {
			if m.Failed != "" {
				r.warn("%s, %d records/s, round %d failed and is missing: %s", a.Title, a.Offered, m.Round, m.Failed)
			} else {
				others = append(others, m.OthersCores)
			}
		}
	}
	if cores := float64(r.Machine.Cores); r.LoadBegin[0] > busyLoad*cores {
		r.warn("the machine was busy before this began: load average %.1f on %.0f cores. Do not quote these figures; ratios are weak too", r.LoadBegin[0], cores)
	}
	if s := spreadOf(others); s != nil && s.Median > busyOthers {
		r.warn("something else used %.2f cores in the median of all measurements (%.2f to %.2f; the kernel's own threads are in it)", s.Median, s.Min, s.Max)
	}
	if r.Quick || r.Rounds < 3 {
		r.warn("%d rounds of %gs say that it runs, not how fast it is", r.Rounds, r.WindowSeconds)
	}
}

func (r *logReport) warn(format string, args ...any) {
	r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
}

func (r *logReport) write(file string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = os.WriteFile(file, append(b, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}

func (r *logReport) print(w io.Writer) {
	m := &r.Machine
	fmt.Fprintf(w, "\n%d cores (%s), %s MB, Linux %s, %s, %s\n", m.Cores, m.CPU, ui.Exact(m.MemoryMB), m.Kernel, m.Filesystem, m.Go)
	fmt.Fprintf(w, "load average %.2f before, %.2f after; %d rounds of %gs, in turns; %.0f s in all\n", r.LoadBegin[0], r.LoadEnd[0], r.Rounds, r.WindowSeconds, r.Elapsed)
	fmt.Fprintln(w, "figures: median (min–max) over rounds; ratios within rounds")
	for _, warning := range r.Warnings {
		fmt.Fprintln(w, "! "+warning)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(r.Commits) > 0 {
		fmt.Fprintln(t, "\nCOMMITS: one sync each, writes of at most 256 KiB; the log collects the next commit while one is written")
		fmt.Fprintln(t, "commit\tway\tMB/s\t/ disk, file grows\t/ disk, written over\tp50 ms\tp99 ms\tCPU s/GB\tbytes")
		for i := range r.Commits {
			c := &r.Commits[i]
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", ui.Bytes(float64(c.SyncBytes)), c.Way, c.MBs.in(1, "%.4g"),
				c.ToLonger.ratio(), c.ToOver.ratio(), c.P50.in(1e3, "%.3g"), c.P99.in(1e3, "%.3g"), c.CPU.in(1, "%.2f"), c.Bytes.bytes())
		}
		flush(t)
	}
	if len(r.Partitions) > 0 {
		fmt.Fprintf(t, "\nPARTITIONS: %d batches of %s made durable together, round all partitions\n", laneWindow, ui.Bytes(laneBatch))
		fmt.Fprintln(t, "partitions\tone log, batches/s\ta file each, batches/s\tone log / a file each")
		for i := range r.Partitions {
			p := &r.Partitions[i]
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", ui.Exact(int64(p.Partitions)), p.Log.in(1, "%.0f"), p.Files.in(1, "%.0f"), p.Times.in(1, "%.1f"))
		}
		flush(t)
	}
	if len(r.Acks) > 0 {
		fmt.Fprintln(t, "\nACKS at a fixed load: records of 1 KiB, linger 0, 6 partitions; the broker behind is embedded and stores nothing")
		fmt.Fprintln(t, "offered records/s\tpath\trecords/s\tack p50 ms\tack p99 ms\tbytes per commit\tgateway CPU s/GB")
		for i := range r.Acks {
			a := &r.Acks[i]
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", ui.Exact(int64(a.Offered)), a.Title, a.RecordsPerSecond.in(1, "%.0f"),
				a.AckP50.in(1e3, "%.3g"), a.AckP99.in(1e3, "%.3g"), a.CommitBytes.bytes(), a.GatewayCPU.in(1, "%.2f"))
		}
		flush(t)
	}
	if len(r.Allocs) > 0 {
		fmt.Fprintf(t, "\nALLOCATIONS per batch of %s, in one process without connections, %d batches unanswered at a time\n", ui.Bytes(laneBatch), allocInFlight)
		fmt.Fprintln(t, "what\tallocations\tbytes\tbatches per commit")
		for _, a := range r.Allocs {
			what := "admission, commit"
			if a.Forward {
				what += ", forward, confirmation"
			}
			fmt.Fprintf(t, "%s\t%.2f\t%.0f\t%.1f\n", what, a.Allocs, a.Bytes, a.PerCommit)
		}
		flush(t)
	}
}

// ratio is empty where nothing is compared.
func (s *spread) ratio() string {
	if s == nil {
		return ""
	}
	return s.in(1, "%.2f")
}
