package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
	f.Add(Template(""))
	f.Add([]byte(smallest))
	f.Add([]byte("a: " + strings.Repeat("[", 1000)))
	f.Add([]byte(strings.Repeat("a:\n ", 100)))
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) > 16<<10 || strings.Contains(string(src), "file:") {
			return // time is allowed in proportion; no files of the machine are read
		}
		start := time.Now()
		c, findings := Parse("fuzz.yaml", src, lookup)
		if spent := time.Since(start); spent > 2*time.Second {
			t.Fatalf("took %s for %d bytes", spent, len(src))
		}
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
