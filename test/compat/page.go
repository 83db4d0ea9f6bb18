package compat

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Row is a client and what became of its cells.
type Row struct {
	Key      string
	Name     string
	Version  string
	Runtime  string
	NotRun   string // why it did not run at all; empty when it did
	Outcomes []Outcome
}

// Page is docs/compatibility.md.
func Page(rows []Row, kafka string, when time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Which clients were tried

Written by `+"`make compat`"+` on %s: unmodified clients send through `+"`streamdown run`"+`, which has a listener for each security protocol, to a real Apache Kafka %s (KRaft, one
broker). A cell is a producer of its own: %d records to each of %d partitions, with keys, binary headers, null keys and null values. It passes when every record was acked to the client
and was then read from Kafka itself: once, in order, byte for byte the same, in batches of the codec that was asked for. In the column "Kafka away", Kafka is stopped in the middle,
the client goes on and gets all its acks before Kafka is started again.

Versions are what the libraries say of themselves. n/m: n cells of m passed; each way in has the five codecs, each with an idempotent producer and with one that is not, as far as the client
has them.

`, when.UTC().Format(time.DateOnly), kafka, Records, Partitions)
	head := []string{"client", "version", "runs on"}
	for _, s := range Securities {
		head = append(head, s.Name)
	}
	table(&b, append(head, "Kafka away"), rows, func(r Row) []string {
		cells := []string{r.Version, r.Runtime}
		for _, s := range Securities {
			cells = append(cells, count(r.Outcomes, func(o Outcome) bool { return !o.Outage && o.Security == s }))
		}
		return append(cells, count(r.Outcomes, func(o Outcome) bool { return o.Outage }))
	})
	b.WriteString("\nThe same by codec and by kind of producer:\n\n")
	table(&b, append(append([]string{"client", "version"}, Codecs...), "idempotent", "not idempotent"), rows, func(r Row) []string {
		cells := []string{r.Version}
		for codec := range Codecs {
			cells = append(cells, count(r.Outcomes, func(o Outcome) bool { return !o.Outage && o.Codec == codec }))
		}
		return append(cells, count(r.Outcomes, func(o Outcome) bool { return !o.Outage && o.Idempotent }), count(r.Outcomes, func(o Outcome) bool { return !o.Outage && !o.Idempotent }))
	})
	reasons(&b, "What failed", "Nothing.", rows, Failed)
	reasons(&b, "What a client does not have", "Nothing is missing.", rows, Lacks)
	b.WriteString("\n## What did not run\n\n")
	all := true
	for _, r := range rows {
		if r.NotRun != "" {
			all = false
			fmt.Fprintf(&b, "- %s: %s\n", r.Key, oneLine(r.NotRun))
		}
	}
	if all {
		b.WriteString("Everything ran.\n")
	}
	b.WriteString(`
## What they need

- A client that has no idempotence of its own gets at-least-once from Kafka and from streamdown alike: what it sends again after a lost answer is there twice.
- kafkajs brings gzip itself; snappy, lz4 and zstd are plugged in as its documents tell (kafkajs-snappy, lz4-napi, zstd-codec). lz4js does not do: its frames have blocks that depend on each other, which Kafka refuses as streamdown does.
- Records in the format before Kafka 0.11 are refused, so clients whose protocol version is set below 0.11 must be set higher.
- Transactions, and reading, are not offered: [producer-security.md](producer-security.md) and the README say what is.
`)
	return b.String()
}

func table(b *strings.Builder, head []string, rows []Row, cells func(Row) []string) {
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
	for _, r := range rows {
		if r.NotRun != "" {
			fmt.Fprintf(b, "| %s |%s\n", r.Key, strings.Repeat(" did not run |", len(head)-1))
			continue
		}
		fmt.Fprintf(b, "| %s | %s |\n", r.Name, strings.Join(cells(r), " | "))
	}
}

// count is how many of the cells passed that the client can do at all.
func count(outcomes []Outcome, in func(Outcome) bool) string {
	passed, all := 0, 0
	for _, o := range outcomes {
		if in(o) && o.Verdict != Lacks {
			all++
			if o.Verdict == Passed {
				passed++
			}
		}
	}
	switch {
	case all == 0:
		return "–"
	case passed < all:
		return fmt.Sprintf("**%d/%d**", passed, all)
	}
	return fmt.Sprintf("%d/%d", passed, all)
}

// reasons lists why cells ended in a way, those of one reason together.
func reasons(b *strings.Builder, title, none string, rows []Row, v Verdict) {
	fmt.Fprintf(b, "\n## %s\n\n", title)
	said := false
	for _, r := range rows {
		var order []string
		cells := map[string][]string{}
		for _, o := range r.Outcomes {
			if o.Verdict != v {
				continue
			}
			why := oneLine(o.Why)
			if !slices.Contains(order, why) {
				order = append(order, why)
			}
			cells[why] = append(cells[why], o.String())
		}
		for _, why := range order {
			said = true
			where := strings.Join(cells[why], "; ")
			if n := len(cells[why]); n > 3 {
				where = fmt.Sprintf("%s; and %d more", strings.Join(cells[why][:3], "; "), n-3)
			}
			if v == Lacks {
				where = fmt.Sprintf("%d cells", len(cells[why]))
			}
			fmt.Fprintf(b, "- %s %s: %s (%s)\n", r.Name, r.Version, why, where)
		}
	}
	if !said {
		b.WriteString(none + "\n")
	}
}

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 400 {
		s = strings.ToValidUTF8(s[:400], "") + "…"
	}
	return s
}
