package wal

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/streamdown/streamdown"
)

// What becomes of the log, as SalvagePlan.Verdict.
const (
	SalvageNothing     = "nothing to do"      // it opens as it is
	SalvageRepair      = "repair"             // it opens after the steps
	SalvageHopeless    = "cannot be opened"   // what is whole can be exported, and a new log begun
	SalvageNewLog      = "new log"            // it cannot be opened; a new log begins after the steps
	SalvageInterrupted = "finish interrupted" // the steps end an earlier salvage; then plan again
	SalvageNoLog       = "there is no log"    // nothing was found that could be one
	SalvageWhich       = "which log?"         // there are segments of several, and a person has to say
)

// SalvagePlan is what a salvage found and what it does about it.
type SalvagePlan struct {
	SchemaVersion int     `json:"schema_version"`
	Dir           string  `json:"dir"`
	Refuge        string  `json:"refuge,omitempty"`
	Verdict       string  `json:"verdict"`
	Why           string  `json:"why"` // empty when there is nothing to say
	LogID         *string `json:"log_id"`
	// Done is set when all steps were carried out.
	Done bool `json:"done"`

	Files []SalvageFile `json:"files"`
	Steps []SalvageStep `json:"steps"`
	// Needs is how many bytes the steps write beside what is there, by directory; Free what there is.
	Needs []SalvageSpace `json:"space"`

	Segments int            `json:"segments"` // that the log has afterwards
	First    streamdown.LSN `json:"first_lsn"`
	End      streamdown.LSN `json:"end_lsn"`
	Mark     streamdown.LSN `json:"durable_mark"`
	Entries  int64          `json:"entries"` // whole ones
	Batches  int64          `json:"batches"`
	Count    int64          `json:"records"`

	// Ranges are the log bytes that are lost, Records the records in them as far as what is around them tells.
	Ranges  []LostRange   `json:"lost_ranges"`
	Records []LostRecords `json:"lost_records"`
	// Unsure is set when a range was lost behind the last whole state: nothing tells of a lane that ends in it.
	Unsure bool     `json:"lost_records_uncertain"`
	Notes  []string `json:"notes"`

	Export *SalvageExport `json:"export"` // null when none was asked for

	At      time.Time `json:"at"`
	Elapsed float64   `json:"elapsed_seconds"`
}

// SalvageFile is what one file is.
type SalvageFile struct {
	Dir    string `json:"dir"`
	Name   string `json:"name"`
	Size   int64  `json:"size_bytes"`
	What   string `json:"what"`
	Detail string `json:"detail"`
}

// What is done to a file, as SalvageStep.Do.
const (
	DoRewrite = "rewrite"   // it is written anew; the old file keeps its bytes under another name
	DoRename  = "rename"    // it gets its name back
	DoAside   = "set aside" // it gets a name that no log takes for its own
	DoCreate  = "create"
)

// SalvageStep is one change.
type SalvageStep struct {
	Do   string `json:"do"`
	Dir  string `json:"dir"`
	Name string `json:"name"`
	To   string `json:"to"`   // its new name; for one that is rewritten, that of the old file; empty if there is none
	Size int64  `json:"size"` // bytes to be written
	Why  string `json:"why"`
}

// SalvageSpace is the room that the steps take.
type SalvageSpace struct {
	Dir   string `json:"dir"`
	Needs int64  `json:"needs_bytes"`
	Free  uint64 `json:"free_bytes"`
}

// LostRange is a part of the log that is no whole entries any more. Bytes of a file are half-open and both zero where
// the file has none of it. After and Before are the arrival of the entries around it, null when there is none.
type LostRange struct {
	File    string         `json:"file"`
	From    int64          `json:"from_byte"`
	To      int64          `json:"to_byte"`
	FromLSN streamdown.LSN `json:"from_lsn"`
	ToLSN   streamdown.LSN `json:"to_lsn"`
	After   *time.Time     `json:"after"`
	Before  *time.Time     `json:"before"`
	// Doubtful: it lies above the last mark, so it was perhaps never acknowledged; opening keeps it aside.
	Doubtful bool   `json:"doubtful"`
	Why      string `json:"why"`
}

// LostRecords are records of one lane that are not in the log and should be: [From, To) in ordinals. They lie in
// [FromLSN, ToLSN), or below the beginning of the log when both are zero.
type LostRecords struct {
	Topic     *string            `json:"topic"` // null when the lane's name is lost
	Partition *int32             `json:"partition"`
	Lane      streamdown.LaneID  `json:"lane"`
	From      streamdown.Ordinal `json:"from_ordinal"`
	To        streamdown.Ordinal `json:"to_ordinal"`
	FromLSN   streamdown.LSN     `json:"from_lsn"`
	ToLSN     streamdown.LSN     `json:"to_lsn"`
	After     *time.Time         `json:"after"`
	Before    *time.Time         `json:"before"`
	// Confirmed is how many of them, from the first on, were noted as confirmed at the target; null when not known. More
	// may be: reconcile asks the target.
	Confirmed *int64 `json:"confirmed_records"`

	ranges [2]int // of the lost ranges, that they lie in
}

func (r *LostRecords) lane() string {
	if r.Topic == nil {
		return fmt.Sprintf("lane %d, whose name is lost,", r.Lane)
	}
	return fmt.Sprintf("%s/%d", *r.Topic, *r.Partition)
}

// Lost reports whether anything that was acknowledged is lost or may be, beside what a crash tears.
func (p *SalvagePlan) Lost() bool {
	return slices.ContainsFunc(p.Ranges, func(r LostRange) bool { return !r.Doubtful }) || len(p.Records) > 0 || !p.Opens()
}

// Opens reports whether the log opens when all steps are done.
func (p *SalvagePlan) Opens() bool { return p.Verdict == SalvageNothing || p.Verdict == SalvageRepair }

// Exit is the command's exit code when nothing is left to do: 0 nothing is lost, 4 something is, or the log cannot be
// opened, 6 there was nothing.
func (p *SalvagePlan) Exit() int {
	switch {
	case p.Verdict == SalvageNoLog:
		return 6
	case p.Lost():
		return 4
	}
	return 0
}

// String is the plan for people, without a newline at its end.
func (p *SalvagePlan) String() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	for _, f := range p.Files {
		if f.Detail != "" {
			line("file  %s (%d bytes): %s: %s", p.path(f.Dir, f.Name), f.Size, f.What, f.Detail)
		}
	}
	for _, n := range p.Notes {
		line("note  %s", n)
	}
	for i := range p.Ranges {
		line("%s", &p.Ranges[i])
	}
	for i := range p.Records {
		line("%s", &p.Records[i])
	}
	if p.Unsure {
		line("lost  perhaps more records than are named here: of a lane that has nothing behind the last of these ranges nothing tells")
	}
	verb := ""
	if p.Done {
		verb = "done: "
	}
	for i, st := range p.Steps {
		st.Name = p.path(st.Dir, st.Name)
		line("step  %d. %s%s", i+1, verb, &st)
	}
	if e := p.Export; e != nil {
		line("step  %sexport all whole batches to %s", verb, e.Dir)
	}
	for _, s := range p.Needs {
		if s.Needs > 0 && !p.Done {
			line("space %s: %d bytes are needed, %d are free", s.Dir, s.Needs, s.Free)
		}
	}
	b.WriteString(p.Summary())
	return b.String()
}

// path names a file: in the first directory by its name alone.
func (p *SalvagePlan) path(dir, name string) string {
	if dir == filepath.Clean(p.Dir) {
		return name
	}
	return filepath.Join(dir, name)
}

// Summary is the last line of String.
func (p *SalvagePlan) Summary() string {
	held := fmt.Sprintf("%d segments, %d whole entries, %d batches, %d records, log bytes [%d, %d)", p.Segments, p.Entries, p.Batches, p.Count, p.First, p.End)
	if p.Export != nil && p.Done {
		held += fmt.Sprintf("; %d batches, %d records are exported to %s", p.Export.Batches, p.Export.Records, p.Export.Dir)
	}
	switch p.Verdict {
	case SalvageNothing:
		if p.Export != nil && !p.Done {
			return "plan: nothing to mend; all whole batches are exported: " + held
		}
		return "nothing to do: the log opens as it is: " + held
	case SalvageRepair:
		if p.Done {
			return "done: the log opens: " + held
		}
		return "plan: after these steps the log opens, nothing is deleted: " + held
	case SalvageInterrupted:
		return "plan: a salvage was interrupted; these renames finish it, then it is planned anew"
	case SalvageNewLog:
		if p.Done {
			return "done: the next start begins a new log: " + held
		}
		return "plan: the log cannot be opened: " + p.Why + "; what is whole is exported and a new log begun, nothing is deleted: " + held
	case SalvageWhich:
		return "which log? " + p.Why + "; say which it is with --log ID: the others are set aside; nothing was changed"
	case SalvageHopeless:
		return "the log cannot be opened: " + p.Why + "; nothing was changed: " + held
	}
	return p.Why
}

func (s *SalvageStep) String() string {
	switch s.Do {
	case DoRewrite:
		return fmt.Sprintf("write %s anew (%d bytes), keep the old file as %s: %s", s.Name, s.Size, s.To, s.Why)
	case DoCreate:
		return fmt.Sprintf("write %s (%d bytes): %s", s.Name, s.Size, s.Why)
	}
	return fmt.Sprintf("%s %s as %s: %s", s.Do, s.Name, s.To, s.Why)
}

func (r *LostRange) String() string {
	s := fmt.Sprintf("lost  log bytes [%d, %d)", r.FromLSN, r.ToLSN)
	if r.Doubtful {
		s = fmt.Sprintf("tail  log bytes [%d, %d)", r.FromLSN, r.ToLSN)
	}
	if r.To > r.From {
		s += fmt.Sprintf(", bytes [%d, %d) of %s", r.From, r.To, r.File)
	}
	return s + between(r.After, r.Before) + ": " + r.Why
}

func (r *LostRecords) String() string {
	n := int64(r.To - r.From)
	s := fmt.Sprintf("lost  %s ordinals %d to %d (%d records)%s", r.lane(), r.From, r.To-1, n, between(r.After, r.Before))
	if r.ToLSN > 0 {
		s += fmt.Sprintf(", log bytes [%d, %d)", r.FromLSN, r.ToLSN)
	} else {
		s += ", before the oldest segment"
	}
	switch {
	case r.Confirmed == nil:
		return s + ": whether they are at the target is not known"
	case *r.Confirmed == n:
		return s + ": confirmed at the target"
	case *r.Confirmed == 0:
		return s + ": not noted as confirmed at the target"
	}
	return s + fmt.Sprintf(": the first %d are confirmed at the target, the others not noted so", *r.Confirmed)
}

func between(after, before *time.Time) string {
	const layout = "2006-01-02T15:04:05.000Z"
	switch {
	case after != nil && before != nil:
		return fmt.Sprintf(", arrived between %s and %s", after.Format(layout), before.Format(layout))
	case after != nil:
		return ", arrived after " + after.Format(layout)
	case before != nil:
		return ", arrived before " + before.Format(layout)
	}
	return ""
}
