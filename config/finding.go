package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Severity says whether a finding stands in the way.
type Severity uint8

// The severities. The zero value is Error.
const (
	Error   Severity = iota // the config cannot be used
	Warning                 // it can, and is probably not what was meant
	Note                    // it can, and has a part without effect
)

// String names the severity.
func (s Severity) String() string {
	switch s {
	case Warning:
		return "warning"
	case Note:
		return "note"
	}
	return "error"
}

// Finding is one thing that is wrong.
type Finding struct {
	File         string
	Line, Column int    // from 1, in characters; 0 if the finding is about the whole file
	Key          string // path of the value, such as streams[1].to; empty if it is about the whole file
	Severity     Severity
	Text         string // what is wrong and what to do
	Meant        string // the word that was probably meant, empty if none is near
}

// String returns "file:line:col: key.path: text (did you mean "x"?)", with "warning: " or "note: " before the key of one.
func (f Finding) String() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", f.Line, f.Column)
	}
	b.WriteString(": ")
	if f.Severity != Error {
		b.WriteString(f.Severity.String() + ": ")
	}
	if f.Key != "" {
		b.WriteString(f.Key + ": ")
	}
	b.WriteString(f.Text)
	if f.Meant != "" {
		fmt.Fprintf(&b, " (did you mean %q?)", f.Meant)
	}
	return b.String()
}

// Findings are all that is wrong with a file, in the order of its lines, and then with the files that it names.
type Findings []Finding

// Err returns an error with every finding, one per line, if one of them is an Error, otherwise nil.
func (f Findings) Err() error {
	if !slices.ContainsFunc(f, func(x Finding) bool { return x.Severity == Error }) {
		return nil
	}
	return errors.New(f.String())
}

// String returns the findings one per line.
func (f Findings) String() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].String()
	}
	return strings.Join(lines, "\n")
}

// settle puts findings in order, those about other files than main behind, and makes each one printable line: what they
// quote comes from the file.
func (f Findings) settle(main string) {
	rank := func(x Finding) string {
		if x.File == main {
			return ""
		}
		return x.File
	}
	for i := range f {
		f[i].Text = printable(f[i].Text)
		if len(f[i].Key) > maxShownKey {
			f[i].Key = strings.ToValidUTF8(f[i].Key[:maxShownKey], "") + "…"
		}
	}
	slices.SortStableFunc(f, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// maxShownKey bounds what a finding shows of a path, in bytes.
const maxShownKey = 200

// maxFindings is how many are told at once.
const maxFindings = 500

// bounded cuts off what nobody reads. An error stays one.
func (f Findings) bounded() Findings {
	if len(f) <= maxFindings {
		return f
	}
	severity := Note
	for _, x := range f[maxFindings-1:] {
		severity = min(severity, x.Severity)
	}
	return append(f[:maxFindings-1:maxFindings-1], Finding{File: f[maxFindings-1].File, Line: f[maxFindings-1].Line, Column: f[maxFindings-1].Column, Severity: severity, Text: fmt.Sprintf("%d more findings; correct those above first", len(f)-maxFindings+1)})
}

// nearest returns the word of list that name was probably meant to be, or "".
func nearest(name string, list []string) string {
	best, found := max(1, len(name)/3)+1, ""
	for _, word := range list {
		if strings.EqualFold(word, name) {
			return word
		}
		if d := distance(strings.ToLower(name), strings.ToLower(word), best); d < best {
			best, found = d, word
		}
	}
	return found
}

// distance is the number of characters to insert, delete, replace or swap with their neighbour (optimal string
// alignment) that turn a into b. It gives up at limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		row, above, twoAbove := rows[i%3], rows[(i+2)%3], rows[(i+1)%3]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(row[j-1]+1, above[j]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], twoAbove[j-2]+1)
			}
		}
	}
	return rows[len(a)%3][len(b)]
}

// printable writes control characters and their like as Go would in a string literal.
func printable(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}
