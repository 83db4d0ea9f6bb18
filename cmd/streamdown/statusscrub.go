package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/ui"
)

// scrubLine says what reading the log again found: damage first, and never "no damage" of what was not read.
func scrubLine(s *api.Status) string {
	sc := s.Log.Scrub
	switch {
	case sc == nil:
		return "not known"
	case sc.BytesPerSecond == 0:
		return "off (data.scrub): rot is found when the data is needed"
	}
	var parts []string
	if sc.Ranges > 0 {
		damage := count(sc.Ranges, "damaged range")
		if n := urgentRot(sc); n > 0 {
			damage += ", " + ui.Exact(n) + " where records may be that are only on this disk"
		}
		parts = append(parts, damage+" (below)")
	}
	switch {
	case sc.WholeAt != nil && sc.WholeBytes != nil:
		parts = append(parts, fmt.Sprintf("%s checked, last whole pass %s ago", ui.Bytes(float64(*sc.WholeBytes)), since(s.Now, *sc.WholeAt)))
	case sc.CheckedBytes == 0:
		parts = append(parts, "not checked yet")
	case sc.Pass != nil && sc.Passes == 0:
		parts = append(parts, fmt.Sprintf("%s of %s checked, no whole pass yet", ui.Bytes(float64(sc.Pass.Done)), ui.Bytes(float64(sc.Pass.Total))))
	default:
		parts = append(parts, ui.Bytes(float64(sc.CheckedBytes))+" checked, no whole pass yet")
	}
	if sc.Ranges == 0 && sc.WholeAt != nil {
		parts = append(parts, "no damage")
	}
	text := strings.Join(parts, ", ")
	if n := sc.Found - sc.Ranges; n > 0 {
		text += fmt.Sprintf("; %s found since the start, not there any more", count(n, "damaged range"))
	}
	if sc.Way == "evict" || sc.Way == "cached" {
		text += "; read through the page cache: what is in memory hides what the disk has"
	}
	if sc.Trouble != "" {
		text += "; the last pass was not whole: " + plain(sc.Trouble)
	}
	return text
}

// urgentRot counts the damage where records may be that are only on this disk.
func urgentRot(sc *api.Scrub) (n int) {
	if sc == nil {
		return 0
	}
	for i := range sc.Damage {
		if !sc.Damage[i].Confirmed {
			n++
		}
	}
	return n
}

// rotLines names each damaged place, the urgent ones first.
func rotLines(s *api.Status) (lines []string) {
	if s.Log.Scrub == nil {
		return nil
	}
	rot := slices.Clone(s.Log.Scrub.Damage)
	slices.SortStableFunc(rot, func(a, b api.Rot) int {
		switch {
		case a.Confirmed == b.Confirmed:
			return 0
		case b.Confirmed:
			return -1
		}
		return 1
	})
	for i := range rot {
		r := &rot[i]
		what := "records may be there that are only on this disk"
		switch {
		case r.From == r.To:
			what = "it holds no record; opening uses another one"
		case r.Confirmed:
			what = "its records are confirmed"
		}
		place := fmt.Sprintf("bytes %d to %d of %s", r.FromByte, r.ToByte-1, plain(r.Segment))
		if r.ToByte == r.FromByte {
			place = fmt.Sprintf("log bytes %d to %d of %s", r.From, r.To-1, plain(r.Segment))
		}
		lines = append(lines, fmt.Sprintf("rot      %s, seen %s ago: %s; %s (%s)", place, since(s.Now, r.FirstSeen), plain(r.Kind), what, plain(r.Detail)))
	}
	return lines
}
