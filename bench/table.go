package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/streamdown/streamdown/ui"
)

// print writes the report for people.
func (r *report) print(w io.Writer) {
	m, s := &r.Machine, &r.Settings
	fmt.Fprintf(w, "\n%d cores (%s), %s MB, Linux %s, %s, %s", m.Cores, m.CPU, ui.Exact(m.MemoryMB), m.Kernel, m.Filesystem, m.Go)
	if m.Kafka != "" {
		fmt.Fprintf(w, ", Kafka %s on Java %s", m.Kafka, m.Java)
	}
	fmt.Fprintf(w, "\nload average %.2f before, %.2f after; %d rounds of %gs each after %gs of warming up; %.0f s in all\n",
		r.LoadBegin[0], r.LoadEnd[0], r.Rounds, s.WindowSeconds, s.WarmSeconds, r.Elapsed)
	fmt.Fprintf(w, "producer: %s; %d partitions, compression %s; gateway: %s\n", s.Producer, s.Partitions, s.Compression, s.GatewayBinary)
	if s.Kafka != "" {
		fmt.Fprintf(w, "Kafka: %s\n", s.Kafka)
	}
	fmt.Fprintln(w, "figures: median (min–max) over rounds; MB = 10^6 bytes of record values")
	for _, warning := range r.Warnings {
		fmt.Fprintln(w, "! "+warning)
	}
	r.printRows(w, modeMax)
	r.printRows(w, modePaced)
	r.printDisk(w)
	r.printRatios(w)
	for i := range r.Profiles {
		r.Profiles[i].print(w)
	}
}

func (r *report) printRows(out io.Writer, m mode) {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	begun := false
	for i := range r.Rows {
		w := &r.Rows[i]
		if w.Mode != m {
			continue
		}
		if !begun {
			begun = true
			if m == modeMax {
				fmt.Fprintf(out, "\nFULL SPEED: batches up to %s B, linger %gs; ack latency is that of a Produce request\n", ui.Exact(int64(w.MaxBatchBytes)), w.LingerSeconds)
			} else {
				fmt.Fprintf(out, "\nFIXED LOAD: %s records/s offered, batches up to %s B, linger 0; ack latency is that of a record\n", ui.Exact(int64(*w.OfferedLoad)), ui.Exact(int64(w.MaxBatchBytes)))
			}
			fmt.Fprintln(t, "record\tpath\trecords/s\tMB/s\tack p50 ms\tack p99 ms\tbatch\tCPU s/GB client\tgateway\tbroker\tat the broker MB/s\tper fsync\tothers")
		}
		fmt.Fprintf(t, "%d B\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", w.RecordBytes, w.Title,
			w.RecordsPerSecond.in(1, "%.0f"), w.MBs.in(1, "%.4g"), w.AckP50.in(1e3, "%.3g"), w.AckP99.in(1e3, "%.3g"), w.BatchBytes.bytes(),
			w.ClientCPU.median(), w.GatewayCPU.in(1, "%.2f"), w.BrokerCPU.median(), w.Delivered.in(1, "%.4g"), w.CommitBytes.bytes(), w.Others.median())
	}
	flush(t)
	if !begun {
		return
	}
	for i := range r.Rows {
		if w := &r.Rows[i]; w.Mode == m && w.Path == "remote" && w.AckedLocally != nil {
			fmt.Fprintf(out, "acks: remote, %d B: %.0f%% (%.0f–%.0f) of the batches were acked from the disk alone, their lanes being behind\n", w.RecordBytes,
				100*w.AckedLocally.Median, 100*w.AckedLocally.Min, 100*w.AckedLocally.Max)
		}
	}
	said := map[string]bool{}
	var means []string
	for i := range r.Rows {
		if w := &r.Rows[i]; w.Mode == m && !said[w.Path] {
			said[w.Path] = true
			means = append(means, w.Title+": "+w.AckMeans)
		}
	}
	fmt.Fprintln(out, "what is acked is …", strings.Join(means, "; "))
}

func (r *report) printDisk(out io.Writer) {
	if len(r.Disk) == 0 {
		return
	}
	fmt.Fprintln(out, "\nBARE DISK: writes of at most 256 KiB, then fdatasync, a new file every 128 MiB")
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "per fsync\tMB/s\tcommit p50 ms\tcommit p99 ms\tCPU s/GB")
	for i := range r.Disk {
		d := &r.Disk[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", ui.Bytes(float64(d.SyncBytes)), d.MBs.in(1, "%.4g"), d.SyncP50.in(1e3, "%.3g"), d.SyncP99.in(1e3, "%.3g"), d.CPU.median())
	}
	flush(t)
}

func (r *report) printRatios(out io.Writer) {
	if len(r.Ratios) == 0 {
		return
	}
	fmt.Fprintln(out, "\nRATIOS, each within a round; the bare disk is measured right after, with the bytes per fsync that the log had")
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i := range r.Ratios {
		x := &r.Ratios[i]
		if x.Kind == times {
			fmt.Fprintf(t, "%d B\t%s\tMB/s\t%s\n", x.RecordBytes, x.Name, x.Value.in(1, "%.2f"))
		} else {
			fmt.Fprintf(t, "%d B\t%s\t%s\t%s ms\n", x.RecordBytes, x.Name, strings.TrimSuffix(strings.ReplaceAll(x.Of, "_", " "), " seconds"), x.Value.in(1e3, "%+.2f"))
		}
	}
	flush(t)
}

func (c *costs) print(out io.Writer) {
	fmt.Fprintf(out, "\nWHERE THE TIME GOES in the gateway (%s, %s, records of %d B, %.0f MB/s; %.1f CPU seconds)\n", c.Path, c.Mode, c.RecordBytes, c.MBs, c.CPUSeconds)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "our function, with what it calls outside our code\t\tfunction that runs, whoever called it\t")
	for i := range max(len(c.Ours), len(c.Leaves)) {
		line := [4]string{}
		if i < len(c.Ours) {
			line[0], line[1] = c.Ours[i].Function, fmt.Sprintf("%.1f%%", 100*c.Ours[i].Share)
		}
		if i < len(c.Leaves) {
			line[2], line[3] = c.Leaves[i].Function, fmt.Sprintf("%.1f%%", 100*c.Leaves[i].Share)
		}
		fmt.Fprintln(t, strings.Join(line[:], "\t"))
	}
	fmt.Fprintf(t, "(scheduler, collector, poller)\t%.1f%%\t\t\n", 100*c.Unowned)
	flush(t)
}

func flush(t *tabwriter.Writer) { _ = t.Flush() } // to standard output: what could be done about it

// in writes the spread in a unit that is 1/scale of ours.
func (s *spread) in(scale float64, format string) string {
	switch {
	case s == nil:
		return ui.Unknown
	case s.N == 1:
		return fmt.Sprintf(format, s.Median*scale)
	}
	return fmt.Sprintf(format+" ("+format+"–"+format+")", s.Median*scale, s.Min*scale, s.Max*scale)
}

func (s *spread) median() string {
	if s == nil {
		return ui.Unknown
	}
	return fmt.Sprintf("%.2f", s.Median)
}

func (s *spread) bytes() string {
	if s == nil {
		return ui.Unknown
	}
	return ui.Bytes(s.Median)
}

func millis(seconds float64) string { return fmt.Sprintf("%.3g ms", seconds*1e3) }
