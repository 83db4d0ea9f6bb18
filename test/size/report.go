package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/streamdown/streamdown/ui"
)

// report is the last line of the output. MB are 10^6 bytes, durations seconds; what is not known is null.
type report struct {
	SchemaVersion int `json:"schema_version"`
	shape
	Batches    int64          `json:"batches"`
	Segments   int            `json:"segments"`
	StateBytes int64          `json:"state_bytes"` // with which the newest segment begins
	Build      float64        `json:"build_seconds"`
	Phases     []phase        `json:"phases"`
	CaughtUp   *float64       `json:"cursors_caught_up_seconds"` // until the resumed lanes were where the others were
	Warnings   map[string]int `json:"gateway_warnings"`
	Wrong      []string       `json:"wrong"`
}

// phase is a while in the life of the gateway.
type phase struct {
	Name     string   `json:"name"`
	Seconds  float64  `json:"seconds"`
	FirstAck *float64 `json:"first_ack_seconds"` // from exec
	Opened   *float64 `json:"opened_seconds"`    // of that for the log alone
	RSS      int64    `json:"rss_bytes"`         // at the end
	Peak     int64    `json:"peak_bytes"`        // within
	MBs      *float64 `json:"mb_per_second"`     // of batches confirmed by the target
	CPU      float64  `json:"cpu_cores"`         // that the gateway used
	CPUPerGB *float64 `json:"cpu_seconds_per_gb"`
}

func (r *report) judge(o *options) {
	for _, p := range r.Phases {
		if p.Peak > o.maxRSS {
			r.Wrong = append(r.Wrong, fmt.Sprintf("%s: %d MB of memory, at most %d", p.Name, p.Peak/1e6, o.maxRSS/1e6))
		}
		if p.FirstAck != nil && *p.FirstAck > o.maxAck.Seconds() {
			r.Wrong = append(r.Wrong, fmt.Sprintf("%s: %.2f s to the first ack, at most %.2f", p.Name, *p.FirstAck, o.maxAck.Seconds()))
		}
	}
}

func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "\nlog: %s, %s batches of 3 KiB in %s lanes of %d topics, %d segments, each behind %s of state; built in %.0f s\n",
		ui.Bytes(float64(r.Bytes)), ui.Exact(r.Batches), ui.Exact(int64(r.Lanes)), topics(r.Lanes), r.Segments, ui.Bytes(float64(r.StateBytes)), r.Build)
	fmt.Fprintln(w, "target: embedded broker in the measuring process; it stores nothing")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "phase\tseconds\tfirst ack s\tlog opened s\tRSS MB\tpeak MB\tMB/s\tCPU cores\tCPU s/GB")
	for _, p := range r.Phases {
		fmt.Fprintf(t, "%s\t%.1f\t%s\t%s\t%d\t%d\t%s\t%.2f\t%s\n", p.Name, p.Seconds, known(p.FirstAck, "%.2f"), known(p.Opened, "%.2f"),
			p.RSS/1e6, p.Peak/1e6, known(p.MBs, "%.1f"), p.CPU, known(p.CPUPerGB, "%.2f"))
	}
	_ = t.Flush() // to standard output: what could be done about it
	if r.CaughtUp != nil {
		fmt.Fprintf(w, "%d lanes that were held were back with the others after %.1f s\n", watched, *r.CaughtUp)
	}
	names := make([]string, 0, len(r.Warnings))
	for name, n := range r.Warnings {
		names = append(names, fmt.Sprintf("%s (%d)", name, n))
	}
	slices.Sort(names)
	if len(names) > 0 {
		fmt.Fprintln(w, "the gateway warned:", strings.Join(names, ", "))
	}
	for _, wrong := range r.Wrong {
		fmt.Fprintln(w, "! "+wrong)
	}
}

func known(v *float64, format string) string {
	if v == nil {
		return ui.Unknown
	}
	return fmt.Sprintf(format, *v)
}
