package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/streamdown/streamdown/ui"
)

// printJSON writes v as one JSON value, on one line if it is one of many.
func printJSON(w io.Writer, v any, oneLine bool) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	if !oneLine {
		e.SetIndent("", "  ")
	}
	return e.Encode(v)
}

// row is one line of a table.
func row(cells ...string) string { return strings.Join(cells, "\t") }

// table writes rows with aligned columns.
func table(w io.Writer, rows ...string) {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(t, row)
	}
	_ = t.Flush() // to memory
	for line := range strings.Lines(b.String()) {
		fmt.Fprintln(w, strings.TrimRight(line, " \n"))
	}
}

// plain makes text that came from elsewhere safe for a terminal and for one cell.
func plain(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return s
	}
	quoted := strconv.Quote(s)
	return quoted[1 : len(quoted)-1]
}

// plainLines is plain for a text of several lines.
func plainLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = plain(lines[i])
	}
	return strings.Join(lines, "\n")
}

// seconds writes a number of seconds that may not be known.
func seconds(s *float64) string {
	if s == nil {
		return ui.Unknown
	}
	return ui.Seconds(time.Duration(*s * float64(time.Second)))
}

// since writes how long ago at was; the two clocks may differ by a little.
func since(now, at time.Time) string { return ui.Seconds(max(now.Sub(at), 0)) }

// count writes "1 lane" or "3,000 lanes".
func count[N ~int | ~int64 | ~uint64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return ui.Exact(n) + " " + what + "s"
}

// countOf is count for what does not take an s.
func countOf[N ~int | ~int64 | ~uint64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return ui.Exact(n) + " " + many
}

// output describes where w goes: to a file of the system, or to memory.
func output(w io.Writer) ui.Config {
	if f, ok := w.(*os.File); ok {
		return ui.Detect(f, os.Getenv)
	}
	return ui.Config{Out: w}
}

// painter reports whether w is a terminal where colors are wanted (no-color.org).
func painter(w io.Writer) bool { return output(w).Color }

// at is a time of the log or of a record, in UTC.
func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// stamp writes a time.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
