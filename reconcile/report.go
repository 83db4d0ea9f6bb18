package reconcile

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/streamdown/streamdown"
)

// Count says how much a verdict covers. Batches are the target's where it holds them, otherwise the log's.
type Count struct {
	Batches int64 `json:"batches"`
	Records int64 `json:"records"`
}

// Sums is what was found, by verdict, of a topic or of all.
type Sums struct {
	// Accepted counts the records that the log took in the range that it keeps: the sum of all verdicts but doubled
	// and foreign.
	Accepted int64 `json:"accepted_records"`
	// Compared counts those of them that were found at the target and compared, or proved not to be there.
	Compared      int64    `json:"compared_records"`
	Coverage      *float64 `json:"coverage"` // compared / accepted, below 1 unless they are equal; null when nothing was accepted
	Identical     Count    `json:"identical"`
	Rewritten     Count    `json:"rewritten"`
	Late          Count    `json:"late"`
	Pending       Count    `json:"pending"`
	NotComparable Count    `json:"not_comparable"`
	// Unexplained is the part of NotComparable that retention does not account for.
	Unexplained Count `json:"not_comparable_unexplained"`
	Reordered   Count `json:"reordered"`
	Doubled     Count `json:"doubled"`
	Foreign     Count `json:"foreign"`
	Altered     Count `json:"altered"`
	Absent      Count `json:"absent"`
}

// Of returns the count of one verdict.
func (s *Sums) Of(v Verdict) *Count {
	return [verdicts]*Count{
		&s.Identical, &s.Rewritten, &s.Late, &s.Pending, &s.NotComparable, &s.Reordered, &s.Doubled, &s.Foreign, &s.Altered, &s.Absent,
	}[v]
}

func (s *Sums) add(v Verdict, why Reason, batches, records int64) {
	add := func(c *Count) { c.Batches += batches; c.Records += records }
	add(s.Of(v))
	if v == NotComparable && !why.Expected() {
		add(&s.Unexplained)
	}
	if v == Doubled || v == Foreign {
		return
	}
	s.Accepted += records
	if v != Pending && v != NotComparable {
		s.Compared += records
	}
	if s.Accepted > 0 {
		c := float64(s.Compared) / float64(s.Accepted)
		s.Coverage = &c
	}
}

// violations counts the records whose verdict breaks a promise.
func (s *Sums) violations() (n int64) {
	for v := Reordered; v < verdicts; v++ {
		n += s.Of(v).Records
	}
	return n
}

// Percent is the coverage for people: two decimals, never rounded up.
func (s *Sums) Percent() string {
	if s.Accepted == 0 {
		return "nothing"
	}
	hi, lo := bits.Mul64(uint64(s.Compared), 10000)
	p, _ := bits.Div64(hi, lo, uint64(s.Accepted))
	return fmt.Sprintf("%d.%02d %%", p/100, p%100)
}

// Range is one run of records with the same verdict.
type Range struct {
	Verdict   Verdict            `json:"verdict"`
	Reason    Reason             `json:"reason,omitempty"`
	Topic     string             `json:"topic"`
	Partition int32              `json:"partition"`
	From      streamdown.Ordinal `json:"from_ordinal"` // -1 when a foreign batch has none
	To        streamdown.Ordinal `json:"to_ordinal"`   // behind the last one
	LSN       streamdown.LSN     `json:"lsn"`          // of the first batch's entry in the log, 0 when not known
	Offset    streamdown.Offset  `json:"offset"`       // of the first record at the target, or where it should follow; -1 when not known
	Batches   int64              `json:"batches"`
	Records   int64              `json:"records"`
}

func (r Range) String() string {
	s := fmt.Sprintf("%s: %s/%d", r.Verdict, r.Topic, r.Partition)
	if r.From >= 0 {
		s += fmt.Sprintf(" ordinals %d to %d", r.From, r.To-1)
	}
	s += fmt.Sprintf(", %d records in %d batches", r.Records, r.Batches)
	if r.LSN > 0 {
		s += fmt.Sprintf(", log position %d", r.LSN)
	}
	if r.Offset >= 0 {
		s += fmt.Sprintf(", offset %d", r.Offset)
	}
	if r.Reason != "" {
		s += ": " + string(r.Reason)
	}
	return s
}

// Partition is the range of one lane that was compared: the vector that the result belongs to.
type Partition struct {
	Topic     string             `json:"topic"`
	Partition int32              `json:"partition"`
	First     streamdown.Ordinal `json:"first_ordinal"` // oldest that the log keeps
	End       streamdown.Ordinal `json:"end_ordinal"`
	Confirmed streamdown.Ordinal `json:"confirmed_ordinal"` // all below were confirmed when the ends were pinned
	From      streamdown.Offset  `json:"from_offset"`       // the target was read from here
	To        streamdown.Offset  `json:"to_offset"`         // to here, as pinned; -1 when there is no such topic
	Cluster   string             `json:"cluster_id"`
	TopicID   string             `json:"topic_id"` // all zeros if it has none
	Tiers     Tiers              `json:"tiers"`
	Accepted  Accepted           `json:"accepted"`
	Counts    Sums               `json:"counts"`
}

// Tiers tells by which means records were compared.
type Tiers struct {
	Headers int64 `json:"payload_checksum_records"` // by the checksum of the payload, from the headers, whole batches
	Records int64 `json:"record_by_record_records"`
	Digests int64 `json:"digest_records"` // by the ledger's digest of the records
}

// Accepted pins what the log took in the range, so that somebody else can count it again.
type Accepted struct {
	Batches int64 `json:"batches"`
	Bytes   int64 `json:"bytes"` // of batches as their producers sent them
	// SHA256 is that of all batches in order: first ordinal (8 bytes), records (4), checksum of the payload (4), big-endian.
	SHA256 string `json:"sha256"`
}

// TopicSums is what was found of one topic.
type TopicSums struct {
	Topic      string `json:"topic"`
	Partitions int    `json:"partitions"`
	Sums
}

// Report is the result of a reconciliation.
type Report struct {
	SchemaVersion int         `json:"schema_version"`
	Verdict       string      `json:"verdict"` // "proved", "incomplete", "violated", "not checked"
	LogID         string      `json:"log_id"`
	At            time.Time   `json:"at"` // when the ends were pinned
	Elapsed       float64     `json:"elapsed_seconds"`
	Total         Sums        `json:"total"`
	Topics        []TopicSums `json:"topics"`
	Partitions    []Partition `json:"partitions"`
	LogDamage     int64       `json:"log_damage_ranges"` // `wal verify` has them
	RangeCount    int64       `json:"range_count"`       // ranges that are neither identical nor pending
	Worst         []Range     `json:"worst_ranges"`      // at most 32
}

const worstRanges = 32

// Exit is the command's exit code: 0 when all that log and target still keep was compared and is the same, 3 when some
// of it could not be compared, 4 when a promise is broken, 6 when nothing was compared.
func (r *Report) Exit() int {
	switch {
	case r.Total.violations() > 0:
		return 4
	case r.Total.Compared == 0:
		return 6
	case r.Total.Unexplained.Records > 0 || r.LogDamage > 0:
		return 3
	}
	return 0
}

func (r *Report) conclude() {
	r.Verdict = map[int]string{0: "proved", 3: "incomplete", 4: "violated", 6: "not checked"}[r.Exit()]
	r.trim()
}

func (r *Report) add(x Range) {
	if x.Verdict == Identical || x.Verdict == Pending {
		return
	}
	r.RangeCount++
	if r.Worst = append(r.Worst, x); len(r.Worst) >= 8*worstRanges {
		r.trim()
	}
}

// trim keeps the worst ranges: by verdict, then what retention does not explain, then the larger.
func (r *Report) trim() {
	slices.SortStableFunc(r.Worst, func(a, b Range) int {
		switch {
		case a.Verdict != b.Verdict:
			return int(b.Verdict) - int(a.Verdict)
		case a.Reason.Expected() != b.Reason.Expected():
			if b.Reason.Expected() {
				return -1
			}
			return 1
		case a.Records != b.Records:
			if a.Records > b.Records {
				return -1
			}
			return 1
		}
		return 0
	})
	r.Worst = r.Worst[:min(len(r.Worst), worstRanges)]
}

// String is the report for people: the worst ranges, a line per topic and the total, without a newline at its end.
func (r *Report) String() string {
	var b strings.Builder
	for _, x := range r.Worst {
		fmt.Fprintln(&b, x)
	}
	if n := r.RangeCount - int64(len(r.Worst)); n > 0 {
		fmt.Fprintf(&b, "and %d more ranges\n", n)
	}
	for i := range r.Topics {
		t := &r.Topics[i]
		fmt.Fprintf(&b, "%s (%d partitions): %s\n", t.Topic, t.Partitions, t.line())
	}
	if r.LogDamage > 0 {
		fmt.Fprintf(&b, "the log has %d damaged ranges: `streamdown wal verify` shows them\n", r.LogDamage)
	}
	fmt.Fprintf(&b, "%s: %s", r.Verdict, r.Total.line())
	return b.String()
}

func (s *Sums) line() string {
	var b strings.Builder
	fmt.Fprintf(&b, "compared %d of %d records (%s)", s.Compared, s.Accepted, s.Percent())
	for v := range verdicts {
		if c := s.Of(v); c.Records > 0 || v == Absent || v == Doubled || v == Reordered || v == Altered {
			fmt.Fprintf(&b, ", %s %d", v, c.Records)
		}
	}
	return b.String()
}
