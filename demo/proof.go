package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/streamdown/streamdown/check"
	"github.com/streamdown/streamdown/ui"
)

// Text tells the result to a person, in lines of at most 80 characters.
func (r *Result) Text(p ui.Paint) string {
	var b strings.Builder
	line := func(label, format string, args ...any) {
		fmt.Fprintf(&b, "  %-12s%s\n", label, fmt.Sprintf(format, args...))
	}
	b.WriteByte('\n')
	acks := fmt.Sprintf("%s acked, %s delivered", ui.Exact(r.Acked), ui.Exact(r.Delivered))
	switch r.Verdict {
	case Proved:
		fmt.Fprintf(&b, "  %s  %s acked = %s delivered\n", p.Good("PROVED    "), ui.Exact(r.Acked), ui.Exact(r.Delivered))
	case Failed:
		fmt.Fprintf(&b, "  %s  %s\n", p.Bad("FAILED    "), acks)
	case Errors:
		fmt.Fprintf(&b, "  %s  %s, and producers were told of errors\n", p.Bad("ERRORS    "), acks)
	default:
		fmt.Fprintf(&b, "  %s %s\n", p.Wait("NOT CHECKED"), acks)
		for _, why := range r.Void {
			line("", "%s", why)
		}
	}
	line("", "%s lost · %s duplicated · %s reordered · %s damaged or foreign", ui.Exact(r.Lost), ui.Exact(r.Duplicated), ui.Exact(r.Reordered),
		ui.Exact(r.Phantom+r.Misrouted+r.Corrupt))
	line("", "%s producer errors", ui.Exact(r.ProducerErrors))
	if r.ProducerError != nil {
		line("", "the first: %s", *r.ProducerError)
	}
	line("outage", "%s; %s records acked meanwhile from the log alone", secs(r.OutageSeconds), ui.Exact(r.AckedOutage))
	line("drained", "%s records waited, all confirmed %s after its return", ui.Exact(r.Backlog), secs(r.DrainedSeconds))
	line("acks", "before  p50 %s, p99 %s", r.AckBefore.q(r.AckBefore.P50), r.AckBefore.q(r.AckBefore.P99))
	line("", "outage  p50 %s, p99 %s   (as the producers saw them)", r.AckOutage.q(r.AckOutage.P50), r.AckOutage.q(r.AckOutage.P99))
	r.findings(line)
	line("checked", "each acked record, against what a consumer read at the broker")
	r.Reconcile.tell(line)
	if r.Plant != nil && *r.Plant == string(PlantDup) {
		line("", "(a copy without our producer id: only the consumer meets it)")
	}
	if r.Dir != "" {
		line("kept", "%s", r.Dir)
	}
	b.WriteByte('\n')
	b.WriteString("  The broker here is embedded: kfake of franz-go, which speaks the real protocol\n" +
		"  and is no Kafka. With yours (producers change bootstrap.servers only):\n" +
		"    streamdown init --bootstrap YOUR_KAFKA:9092\n" +
		"    streamdown run\n")
	return b.String()
}

// findings tells what was planted and what was found of it.
func (r *Result) findings(line func(label, format string, args ...any)) {
	if r.Planted != nil {
		line("planted", "%s", *r.Planted)
	}
	for _, v := range []check.Verdict{check.Lost, check.Duplicate, check.Reordered, check.Phantom, check.Misrouted, check.Corrupt} {
		for i, e := range r.Check.Examples[v] {
			if i == 3 {
				line("", "and more; --format json lists them")
				break
			}
			what := "a value"
			if e.Stream != nil {
				what = fmt.Sprintf("record %d of stream %d", e.Seq, e.Stream.Producer)
			}
			if e.Place.Topic != "" {
				what += " in " + e.Place.String()
			}
			if e.Offset >= 0 {
				what += fmt.Sprintf(" at offset %d", e.Offset)
			}
			line("found", "%s: %s", v, what)
		}
	}
}

func (l Latency) q(v *float64) string {
	if v == nil {
		return ui.Unknown
	}
	return secs(*v)
}

func secs(v float64) string { return ui.Seconds(time.Duration(v * float64(time.Second))) }
