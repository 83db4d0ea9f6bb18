package check

import (
	"fmt"
	"slices"
	"strings"
)

// Verdict is what the Checker holds against one record.
type Verdict uint8

// The verdicts. Unseen, ClientRetry and ClientReorder are no failures.
const (
	Lost          Verdict = iota // acknowledged, and not there at the end
	Unseen                       // acknowledged, and not there yet
	Phantom                      // there, but never sent, or its send had definitely failed
	Duplicate                    // there again, in a stream that was promised exactly once
	ClientRetry                  // there again, in a stream whose client may repeat itself
	ClientReorder                // there late, in a stream whose client may overtake itself
	Reordered                    // there for the first time, behind a later record of its stream
	Misrouted                    // in a partition that it was not meant for
	Corrupt                      // there is something else, or less, than a record
	numVerdicts   = iota
)

var verdictNames = [numVerdicts]string{
	"lost", "unseen", "phantom", "duplicate", "client_retry", "client_reorder", "reordered", "misrouted", "corrupt",
}

// String returns the verdict's name in snake case.
func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return fmt.Sprintf("verdict %d", uint8(v))
}

// MarshalText implements encoding.TextMarshaler.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (v *Verdict) UnmarshalText(b []byte) error {
	i := slices.Index(verdictNames[:], string(b))
	if i < 0 {
		return fmt.Errorf("unknown verdict %q", b)
	}
	*v = Verdict(i)
	return nil
}

// Report is the state of a run at one moment.
type Report struct {
	Final      bool   `json:"final"`
	Streams    uint64 `json:"streams"`
	Partitions uint64 `json:"partitions"`

	Sent      uint64 `json:"sent"`
	Acked     uint64 `json:"acked"`
	Failed    uint64 `json:"failed"`
	Unknown   uint64 `json:"unknown"`   // sent, neither acknowledged nor failed
	Delivered uint64 `json:"delivered"` // acknowledged and seen
	Recovered uint64 `json:"recovered"` // seen, outcome unknown to the client
	Read      uint64 `json:"read"`      // values read, each offset once
	Reread    uint64 `json:"reread"`    // offsets read again, not judged

	Lost          uint64 `json:"lost"`
	LostPrefix    uint64 `json:"lost_prefix"`  // before the first of the stream that was seen
	LostMiddle    uint64 `json:"lost_middle"`  // between two that were seen
	LostPostfix   uint64 `json:"lost_postfix"` // after the last that was seen, or nothing was
	Unseen        uint64 `json:"unseen"`
	Phantom       uint64 `json:"phantom"`
	Duplicate     uint64 `json:"duplicate"`
	ClientRetry   uint64 `json:"client_retry"`
	ClientReorder uint64 `json:"client_reorder"`
	Reordered     uint64 `json:"reordered"`
	MaxDistance   uint64 `json:"reordered_max_distance"`
	Misrouted     uint64 `json:"misrouted"`
	Corrupt       uint64 `json:"corrupt"`

	Void     []string              `json:"void"`     // why the run does not count; empty if it does
	Examples map[Verdict][]Example `json:"examples"` // at most 32 of each, the most distant first
}

// Exit codes of a check, as in the command line's contract.
const (
	ExitOK         = 0
	ExitIntegrity  = 4 // something is lost, foreign, doubled, out of order, misplaced or damaged
	ExitNotChecked = 6 // nothing is wrong as far as could be seen, which is not far enough
)

// Failures returns how many records have a verdict that no run may show.
func (r Report) Failures() uint64 {
	return r.Lost + r.Phantom + r.Duplicate + r.Reordered + r.Misrouted + r.Corrupt
}

// Exit returns ExitIntegrity if there are failures, else ExitNotChecked if the run is void or not final, else ExitOK.
func (r Report) Exit() int {
	switch {
	case r.Failures() > 0:
		return ExitIntegrity
	case !r.Final || len(r.Void) > 0:
		return ExitNotChecked
	}
	return ExitOK
}

// String tells the report to a person, in one paragraph.
func (r Report) String() string {
	var b strings.Builder
	switch {
	case r.Exit() == ExitIntegrity:
		b.WriteString("FAILED: ")
	case len(r.Void) > 0:
		fmt.Fprintf(&b, "VOID, this run proves nothing (%s): ", strings.Join(r.Void, "; "))
	case !r.Final:
		b.WriteString("CHECKING: ")
	default:
		b.WriteString("PROVED: ")
	}
	fmt.Fprintf(&b, "%d sent, %d acked = %d delivered + ", r.Sent, r.Acked, r.Delivered)
	if r.Final {
		fmt.Fprintf(&b, "%d lost", r.Lost)
		if r.Lost > 0 {
			fmt.Fprintf(&b, " (%d at the start, %d in the middle, %d at the end of their streams)",
				r.LostPrefix, r.LostMiddle, r.LostPostfix)
		}
	} else {
		fmt.Fprintf(&b, "%d not seen yet", r.Unseen)
	}
	fmt.Fprintf(&b, "; %d duplicated, %d reordered", r.Duplicate, r.Reordered)
	if r.Reordered > 0 {
		fmt.Fprintf(&b, " (by up to %d)", r.MaxDistance)
	}
	fmt.Fprintf(&b, ", %d phantom, %d misrouted, %d corrupt", r.Phantom, r.Misrouted, r.Corrupt)
	for _, extra := range []struct {
		n    uint64
		what string
	}{
		{r.Failed, "failed"},
		{r.Recovered, "recovered (stored, never acked)"},
		{r.ClientRetry, "repeated by their client"},
		{r.ClientReorder, "overtaken by their client's retry"},
		{r.Reread, "offsets read again"},
	} {
		if extra.n > 0 {
			fmt.Fprintf(&b, "; %d %s", extra.n, extra.what)
		}
	}
	b.WriteByte('.')
	return b.String()
}

// voidLocked lists why the run would not count.
func (c *Checker) voidLocked(r *Report) []string {
	void := []string{}
	if least := max(c.config.MinAcked, 1); r.Acked < least {
		void = append(void, fmt.Sprintf("%d records acked, at least %d needed", r.Acked, least))
	}
	if share := float64(r.Acked) / float64(max(r.Sent, 1)); share < c.config.MinShare {
		void = append(void, fmt.Sprintf("%.1f%% of the records acked, at least %.1f%% needed", 100*share, 100*c.config.MinShare))
	}
	if c.config.NeedFault && !c.fault {
		void = append(void, "the fault was not seen to be active")
	}
	if c.misuse > 0 {
		void = append(void, fmt.Sprintf("%d outcomes reported for records that were never sent", c.misuse))
	}
	return void
}
