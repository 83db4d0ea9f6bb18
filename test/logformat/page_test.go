package logformat

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/streamdown/streamdown/vfs"
)

const (
	pagePath   = "../../docs/log-format.md"
	goldenPath = "../../wal/testdata/golden-v1"
)

var updatePage = flag.Bool("update-page", false, "write the dumps on the page anew")

func readPage(t *testing.T) (*Page, string) {
	t.Helper()
	text, err := os.ReadFile(pagePath)
	if err != nil {
		t.Fatal(err)
	}
	p, err := ReadPage(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return p, string(text)
}

func explain(t *testing.T, p *Page, files map[string][]byte, strict bool) []*Segment {
	t.Helper()
	out, err := p.Explain(files, strict)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestThePageShowsEveryByte explains the golden log and one with an entry of every kind, and holds the page's dumps to be
// what comes out.
func TestThePageShowsEveryByte(t *testing.T) {
	p, text := readPage(t)
	golden := contents(t, vfs.OS{}, goldenPath)
	old := explain(t, p, golden, false)[0]
	files, second := small(t)
	all := explain(t, p, files, true)
	for name := range second {
		if p.File(name) == "" {
			t.Errorf("file %s of the refuge is in no row", name)
		}
	}
	if err := p.object("refuge", second["refuge"]); err != nil {
		t.Error(err)
	}
	over, every := all[len(all)-2], all[len(all)-1]
	if len(over.File) == len(over.Fields[0].Bytes) || over.Fields[len(over.Fields)-1].Name != "earlier life" {
		t.Errorf("%s ends with %q: it was not written over", over.Name, over.Fields[len(over.Fields)-1].Name)
	}
	kinds := map[uint64]bool{}
	for _, e := range every.Entries {
		kinds[e.Kind] = true
	}
	if len(kinds) != len(p.choices["kind"]) {
		t.Errorf("%s has entries of %d kinds; the page has %d", every.Name, len(kinds), len(p.choices["kind"]))
	}
	for _, unused := range p.Unused() {
		if !strings.HasPrefix(unused, "file ") && !strings.HasPrefix(unused, "keys mov") { // TestThePageNamesEveryFile has these
			t.Errorf("nothing needs this row, so nothing shows that it is true: %s", unused)
		}
	}
	want := text
	for block, content := range map[string]string{
		"vectors": old.Vectors(), "example": old.Example(3), "listing": "```text\n" + old.Listing() + "```\n", "golden": old.Dump(),
		"golden manifest": plain(golden["manifest"]), "written over": title(over), "every kind": title(every),
		"small manifest": plain(files["manifest"], second["refuge"]),
	} {
		var err error
		if want, err = Replace(want, block, content); err != nil {
			t.Error(err)
		}
	}
	switch {
	case t.Failed() || want == text:
	case *updatePage:
		if err := os.WriteFile(pagePath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the dumps on %s are not what the tables make of the logs; look at what `go test ./test/logformat -update-page` changes:\n%s", pagePath, difference(text, want))
	}
}

func plain(files ...[]byte) string { return "```text\n" + string(bytes.Join(files, nil)) + "```\n" }

func title(s *Segment) string { return "`" + s.Name + "`:\n\n" + s.Dump() }

// difference is the first line in which two texts differ.
func difference(is, want string) string {
	a, b := strings.Split(is, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return "is   " + a[i] + "\nwant " + b[i]
		}
	}
	return "one is longer"
}

// TestTheSmallLogIsTheSameEachTime: otherwise the page could not show it.
func TestTheSmallLogIsTheSameEachTime(t *testing.T) {
	a, _ := small(t)
	b, _ := small(t)
	if !maps.EqualFunc(a, b, bytes.Equal) {
		t.Errorf("%q and %q differ", slices.Sorted(maps.Keys(a)), slices.Sorted(maps.Keys(b)))
	}
}
