package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/ui"
)

// topicRow is a topic in the table: its lanes together.
type topicRow struct {
	name    string
	lanes   int
	backlog int64
	states  map[string]int
}

func writeTopics(w io.Writer, s *api.Status) {
	rows := topicRows(s.Lanes)
	if len(rows) == 0 {
		return
	}
	fmt.Fprintln(w)
	lines := []string{row("TOPIC", "LANES", "BACKLOG", "STATE")}
	for _, r := range rows[:min(len(rows), maxTopics)] {
		lines = append(lines, row(plain(r.name), ui.Exact(r.lanes), ui.Exact(r.backlog), r.state()))
	}
	table(w, lines...)
	if n := len(rows) - maxTopics; n > 0 {
		fmt.Fprintf(w, "... and %s with smaller backlogs; --format json has all\n", count(n, "more topic"))
	}
}

// topicRows puts stopped topics first, then those with the largest backlog.
func topicRows(lanes []api.Lane) []topicRow {
	index := map[string]int{}
	var rows []topicRow
	for i := range lanes {
		l := &lanes[i]
		at, ok := index[l.Topic]
		if !ok {
			at = len(rows)
			index[l.Topic] = at
			rows = append(rows, topicRow{name: l.Topic, states: map[string]int{}})
		}
		rows[at].lanes++
		rows[at].backlog += l.Backlog
		rows[at].states[l.State]++
	}
	slices.SortStableFunc(rows, func(a, b topicRow) int {
		return cmp.Or(cmp.Compare(b.states["stopped"], a.states["stopped"]), cmp.Compare(b.backlog, a.backlog), strings.Compare(a.name, b.name))
	})
	return rows
}

// state is "idle", or "2 warm, 1 stopped" when the lanes differ.
func (r *topicRow) state() string {
	var parts []string
	for state, n := range r.states {
		if n == r.lanes {
			return plain(state)
		}
		parts = append(parts, fmt.Sprintf("%d %s", n, plain(state)))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
