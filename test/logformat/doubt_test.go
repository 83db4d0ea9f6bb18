package logformat

import (
	"bytes"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/streamdown/streamdown/vfs"
)

// logs are those that the page is tried on.
func logs(t *testing.T) map[string]map[string][]byte {
	t.Helper()
	files, _ := small(t)
	return map[string]map[string][]byte{"golden": contents(t, vfs.OS{}, goldenPath), "small": files}
}

// TestEveryByteCounts changes each byte of the files that the page shows: what it says of it is not true any more then, but
// of what a file held in an earlier life, which may be anything.
func TestEveryByteCounts(t *testing.T) {
	p, _ := readPage(t)
	for what, files := range logs(t) {
		m, err := p.manifest(files["manifest"])
		if err != nil {
			t.Fatal(err)
		}
		limit := m.Durable
		all := explain(t, p, files, false)
		for n := range slices.Backward(all) {
			s := all[n]
			end := limit
			limit = first(s.Name)
			if n < len(all)-2 {
				break // as those before; they are large
			}
			fails := func(b []byte, how string, args ...any) {
				if _, err := p.segment(s.Name, b, m.Log, end, false); err == nil {
					t.Errorf("%s, %s: nobody minds "+how, append([]any{what, s.Name}, args...)...)
				}
			}
			own, old := len(s.File), s.Fields[len(s.Fields)-1]
			if old.Name == "earlier life" {
				own = old.At
			} else {
				fails(append(bytes.Clone(s.File), 0), "a byte behind its end")
			}
			for i := range own {
				b := bytes.Clone(s.File)
				b[i] ^= 1 << (i % 8)
				fails(b, "that byte %d is another", i)
			}
			for _, size := range []int{0, 1, 63, 64, 100, len(s.File) - 1} {
				fails(s.File[:size], "that it ends at byte %d", size)
			}
		}
		for i := range files["manifest"] {
			b := bytes.Clone(files["manifest"])
			b[i] ^= 1 << (i % 8)
			if _, err := p.manifest(b); err == nil {
				t.Errorf("%s: nobody minds that byte %d of the manifest is another", what, i)
			}
		}
	}
}

// TestEveryRowCounts takes each row off the page: without it some log is not explained.
func TestEveryRowCounts(t *testing.T) {
	p, _ := readPage(t)
	all := logs(t)
	missed := func(what string) {
		for _, files := range all {
			if _, err := p.Explain(files, false); err != nil {
				return
			}
		}
		t.Errorf("nobody misses %s", what)
	}
	for name, rows := range p.layouts {
		for i := range rows {
			p.layouts[name] = slices.Delete(slices.Clone(rows), i, i+1)
			missed("row " + rows[i].Name + " of " + name)
		}
		p.layouts[name] = rows
	}
	for name, rows := range p.choices {
		for i := range rows {
			p.choices[name] = slices.Delete(slices.Clone(rows), i, i+1)
			missed(name + " " + rows[i].Name)
		}
		p.choices[name] = rows
	}
	for name, rows := range p.keys {
		if name == "refuge" || strings.HasPrefix(name, "mov") {
			continue // TestThePageNamesEveryFile reads these
		}
		for i := range rows {
			p.keys[name] = slices.Delete(slices.Clone(rows), i, i+1)
			missed("key " + rows[i].Name + " of " + name)
		}
		p.keys[name] = rows
	}
	for _, name := range []string{"core", "0000000001-64.wal", "lock.old"} {
		if row := p.File(name); row != "" {
			t.Errorf("file %s is in row %s", name, row)
		}
	}
}

// TestTheReaderKnowsNothingOfOurs: it could make the writer's mistakes otherwise.
func TestTheReaderKnowsNothingOfOurs(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			if strings.Contains(i.Path.Value, ".") {
				t.Errorf("%s imports %s", name, i.Path.Value)
			}
		}
	}
}
