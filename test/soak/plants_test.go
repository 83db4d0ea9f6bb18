package main

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"testing"
)

// TestPlantsHaveTheirPlace notices when the code that a plant changes is not what it was.
func TestPlantsHaveTheirPlace(t *testing.T) {
	for _, p := range plants {
		b, err := os.ReadFile(filepath.Join("..", "..", p.file))
		if err != nil {
			t.Fatal(err)
		}
		text, err := p.apply(string(b))
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := parser.ParseFile(token.NewFileSet(), p.file, text, parser.SkipObjectResolution); err != nil {
			t.Errorf("plant %q: %v", p.name, err)
		}
	}
}
