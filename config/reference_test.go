package config

import (
	"bytes"
	"os"
	"testing"
)

// TestTheDocsListEveryKey keeps the tables of docs/configuration.md as the declarations are; -update writes them.
func TestTheDocsListEveryKey(t *testing.T) {
	const file = "../docs/configuration.md"
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const mark = "-update` -->\n"
	at := bytes.Index(page, []byte(mark))
	if at < 0 {
		t.Fatalf("%s has no line that ends with %q", file, mark)
	}
	want := append(page[:at+len(mark):at+len(mark)], append([]byte("\n"), Reference()...)...)
	if bytes.Equal(page, want) {
		return
	}
	if !*update {
		t.Fatalf("%s is not what the declarations say: go test ./config -run TestTheDocsListEveryKey -update", file)
	}
	if err := os.WriteFile(file, want, 0o644); err != nil {
		t.Fatal(err)
	}
}
