package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/streamdown/streamdown/test/budget"
)

// FuzzParse holds Parse to an answer in time, without a panic, that is either a config or an error; and every config to
// a Show that reads back clean.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/findings/*.yaml")
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	_, texts := hostile(f)
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Add(Template(""))
	f.Add([]byte(smallest))
	f.Add([]byte("a: " + strings.Repeat("[", 1000)))
	f.Add([]byte(strings.Repeat("a:\n ", 100)))
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) > 4<<10 || strings.Contains(string(src), "file") || strings.Contains(string(src), "include") {
			return // the budget is for a screenful; no files of the machine are read
		}
		var c *Config
		var findings Findings
		budget.Allow(t, readingCosts(len(src)), func() { c, findings = Parse("fuzz.yaml", src, lookup) })
		if (c == nil) != (findings.Err() != nil) {
			t.Fatalf("config %v with %v", c, findings)
		}
		for _, x := range findings {
			if strings.ContainsAny(x.String(), "\n\x1b") || x.Line < 0 || x.Text == "" {
				t.Fatalf("finding %q", x)
			}
		}
		if c == nil || len(c.secrets) > 0 {
			return
		}
		if again, findings := Parse("shown.yaml", c.Show(), nil); again == nil {
			t.Fatalf("%s\n%s", c.Show(), findings)
		}
	})
}
