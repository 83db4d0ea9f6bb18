package main

import (
	"slices"
	"strings"

	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/ui"
)

// withLedger adds the line about the ledger behind that about the scrub, if the process has told of it.
func withLedger(rows []string, s *api.Status) []string {
	if s.Log.Ledger == nil {
		return rows
	}
	i := slices.IndexFunc(rows, func(r string) bool { return strings.HasPrefix(r, "SCRUB") })
	return slices.Insert(rows, i+1, row("LEDGER", ledgerLine(s)))
}

// ledgerLine says how far back what was accepted can be proved, trouble first.
func ledgerLine(s *api.Status) string {
	l := s.Log.Ledger
	var parts []string
	if l.Trouble != "" {
		parts = append(parts, "cannot be written: "+plain(l.Trouble)+"; the log keeps what has no rows in it")
	}
	if n := len(l.Damaged); n > 0 {
		parts = append(parts, count(n, "damaged file")+": "+plain(strings.Join(l.Damaged[:min(n, 3)], ", ")))
	}
	if l.SkippedBytes > 0 {
		parts = append(parts, ui.Bytes(float64(l.SkippedBytes))+" of the log were released without rows, for want of room")
	}
	if l.LostBatches > 0 {
		parts = append(parts, ui.Exact(l.LostBatches)+" batches in it that the log has lost")
	}
	if l.Oldest == nil {
		return strings.Join(append(parts, "empty"), "; ")
	}
	return strings.Join(append(parts, ui.Bytes(float64(l.SizeBytes))+", reaches back "+since(s.Now, *l.Oldest)), "; ")
}
