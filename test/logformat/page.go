package logformat

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Page is what the tables of the page say. Not for concurrent use: it notes which rows were of use.
type Page struct {
	layouts map[string][]*Row
	choices map[string][]*Choice // what follows a number: by the name of the field that holds it
	keys    map[string][]*Key
	files   []*Name
}

// Row is one row of a table of bytes.
type Row struct {
	At   int    // from the beginning of the structure; -1 = behind the row before
	Size string // a number, the name of a field, "1–10", "to N", "rest", or empty: as it comes
	Type string
	Unit string // how people read it; of JSON, its table of keys
	Name string
	Each string // how often: "…" to the end, or the name of a field; empty = once
	If   string // name of a field; empty = always
	Op   string
	Than uint64

	Used bool
}

// Choice is one row of a table of kinds: a structure that a number stands for.
type Choice struct {
	Value  uint64
	Name   string
	Layout string // empty = nothing
	Used   bool
}

// Key is one row of a table of a JSON object.
type Key struct {
	Name, Type string
	Used       bool
}

// Name is one row of the table of files.
type Name struct {
	Pattern string
	match   *regexp.Regexp
	Used    bool
}

var (
	tableMark = regexp.MustCompile(`^<!-- (layout|choice|keys|files): ?([\w -]*) -->$`)
	typeCell  = regexp.MustCompile(`^([\w-]+)(?: ([\w-]+(?: of \w+)?))??(?: × ([\w ]+)| (…))?(?: if ([\w ]+) ([>=]|has) (\d+))?$`)
	words     = strings.NewReplacer("NUMBER", `\d{10,}`, "LSN", `\d{20}`, "TIME", `\d+`, "NAME", `.+`, "N", `\d`)
)

// ReadPage takes the tables out of the text of the page. Each is announced by a comment that people do not see.
func ReadPage(text string) (*Page, error) {
	p := &Page{layouts: map[string][]*Row{}, choices: map[string][]*Choice{}, keys: map[string][]*Key{}}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		m := tableMark.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		rows := table(lines[i+1:])
		if len(rows) == 0 {
			return nil, fmt.Errorf("line %d: no table follows %s", i+1, line)
		}
		for n, cells := range rows {
			if err := p.add(m[1], m[2], cells); err != nil {
				return nil, fmt.Errorf("%s, row %d: %w", line, n+1, err)
			}
		}
	}
	return p, nil
}

// table returns the cells of the rows of a table, without its head.
func table(lines []string) (rows [][]string) {
	for len(lines) > 0 && lines[0] == "" {
		lines = lines[1:]
	}
	for n, line := range lines {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.ReplaceAll(strings.TrimSpace(cells[i]), "`", "")
		}
		if n >= 2 {
			rows = append(rows, cells)
		}
	}
	return rows
}

func (p *Page) add(what, name string, cells []string) error {
	need := map[string]int{"layout": 4, "choice": 3, "keys": 2, "files": 1}[what]
	if len(cells) < need {
		return fmt.Errorf("%d cells, want %d", len(cells), need)
	}
	switch what {
	case "layout":
		row, err := parseRow(cells)
		p.layouts[name] = append(p.layouts[name], row)
		return err
	case "choice":
		v, err := strconv.ParseUint(cells[0], 10, 64)
		p.choices[name] = append(p.choices[name], &Choice{Value: v, Name: cells[1], Layout: strings.Trim(cells[2], "—")})
		return err
	case "keys":
		p.keys[name] = append(p.keys[name], &Key{Name: cells[0], Type: cells[1]})
	case "files":
		match, err := regexp.Compile("^" + words.Replace(regexp.QuoteMeta(cells[0])) + "$")
		p.files = append(p.files, &Name{Pattern: cells[0], match: match})
		return err
	}
	return nil
}

func parseRow(cells []string) (*Row, error) {
	r := &Row{At: -1, Size: cells[1], Name: cells[3]}
	if cells[0] != "" {
		at, err := strconv.Atoi(cells[0])
		if err != nil {
			return r, fmt.Errorf("at %q: %w", cells[0], err)
		}
		r.At = at
	}
	m := typeCell.FindStringSubmatch(cells[2])
	if m == nil {
		return r, fmt.Errorf("%q is no type", cells[2])
	}
	r.Type, r.Unit, r.Each, r.If, r.Op = m[1], m[2], m[3]+m[4], m[5], m[6]
	if m[7] != "" {
		r.Than, _ = strconv.ParseUint(m[7], 10, 64) // digits
	}
	return r, nil
}

// Unused lists the rows that nothing needed so far: whether they are true is not known.
func (p *Page) Unused() (out []string) {
	for name, rows := range p.layouts {
		for _, r := range rows {
			if !r.Used {
				out = append(out, "layout "+name+": "+r.Name)
			}
		}
	}
	for name, rows := range p.choices {
		for _, c := range rows {
			if !c.Used {
				out = append(out, name+" "+c.Name)
			}
		}
	}
	for name, rows := range p.keys {
		for _, k := range rows {
			if !k.Used {
				out = append(out, "keys "+name+": "+k.Name)
			}
		}
	}
	for _, n := range p.files {
		if !n.Used {
			out = append(out, "file "+n.Pattern)
		}
	}
	return out
}

// File says which row of the table of files a name belongs to; empty = none.
func (p *Page) File(name string) string {
	for _, n := range p.files {
		if n.match.MatchString(name) {
			n.Used = true
			return n.Pattern
		}
	}
	return ""
}

// Replace puts text between the marks of a block of the page.
func Replace(page, block, text string) (string, error) {
	begin, end := "<!-- begin: "+block+" -->\n", "<!-- end: "+block+" -->"
	i := strings.Index(page, begin)
	j := strings.Index(page, end)
	if i < 0 || j < i {
		return page, fmt.Errorf("the page has no block %q", block)
	}
	return page[:i+len(begin)] + text + page[j:], nil
}
