package config

import (
	"os"
	"strings"
	"testing"

	"github.com/streamdown/streamdown/test/budget"
)

// hostile reads testdata/hostile.txt: configs that are wrong by accident or on purpose, each after a line "== name".
func hostile(t testing.TB) (names, texts []string) {
	t.Helper()
	table, err := os.ReadFile("testdata/hostile.txt")
	if err != nil {
		t.Fatal(err)
	}
	for part := range strings.SplitSeq("\n"+string(table), "\n== ") {
		if name, text, found := strings.Cut(part, "\n"); found && part != "" {
			names, texts = append(names, name), append(texts, text+"\n")
		}
	}
	return names, texts
}

// readingCosts is what reading so many bytes may allocate: the YAML parser makes a token and a node for each few bytes.
func readingCosts(size int) uint64 { return 4<<20 + 1000*uint64(size) }

// TestHostileConfigsAreRefusedWithTheirPlaceInNoTime: each at a line, within 10 ms of processor time and a bound of memory.
func TestHostileConfigsAreRefusedWithTheirPlaceInNoTime(t *testing.T) {
	names, texts := hostile(t)
	if len(names) < 250 {
		t.Errorf("only %d", len(names))
	}
	for i, text := range texts {
		t.Run(names[i], func(t *testing.T) {
			var c *Config
			var findings Findings
			budget.Allow(t, readingCosts(len(text)), func() { c, findings = Parse("hostile.yaml", []byte(text), nil) })
			if c != nil {
				t.Fatalf("is taken: %s", findings)
			}
			for _, f := range findings {
				if f.Severity == Error && f.Line < 1 {
					t.Errorf("no place: %s", f)
				}
				if strings.ContainsAny(f.String(), "\n\x1b") || len(f.String()) > 2000 {
					t.Errorf("%.3000q", f)
				}
			}
		})
	}
}
