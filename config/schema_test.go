package config

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// compiled is the schema as a validator that others wrote understands it.
func compiled(t testing.TB) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource(SchemaID, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(SchemaID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(s *jsonschema.Schema, src []byte) error {
	text, err := yaml.YAMLToJSON(src)
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

// TestTheSchemaTakesWhatTheReaderTakes holds the two to each other on every config that there is: the template, those of
// the tests, and the examples of the docs.
func TestTheSchemaTakesWhatTheReaderTakes(t *testing.T) {
	s := compiled(t)
	read := 0
	check := func(name string, src []byte) {
		t.Helper()
		c, findings := Parse(name, src, lookup)
		switch err := validate(s, src); {
		case c != nil && err != nil:
			t.Errorf("%s: the schema refuses what the reader takes: %v", name, err)
		case c != nil:
			read++
		case err == nil:
			for _, f := range findings {
				if strings.HasPrefix(f.Text, "unknown key") && !strings.Contains(f.Key, ".kafka.") && f.File == name {
					t.Errorf("%s: the schema takes %s", name, f)
				}
			}
		}
		if c != nil {
			if err := validate(s, c.Show()); err != nil {
				t.Errorf("%s: the schema refuses what Show prints: %v", name, err)
			}
		}
	}
	check("template", Template(""))
	check("smallest", []byte(smallest))
	check("everything", []byte(everything))
	files, err := filepath.Glob("testdata/findings/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(src), "<<") || strings.Contains(string(src), "---") {
			continue // not the same YAML to both
		}
		check(file, src)
	}
	if read < 4 {
		t.Errorf("only %d configs were taken", read)
	}
}

var fence = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```")

// TestExamplesOfTheDocsFitTheSchema takes parts of a config for what they are: the schema asks for none of the keys at the top.
func TestExamplesOfTheDocsFitTheSchema(t *testing.T) {
	s := compiled(t)
	files, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, file := range append(files, "../README.md") {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range fence.FindAllSubmatch(src, -1) {
			var v map[string]any
			if yaml.Unmarshal(m[1], &v) != nil {
				continue
			}
			ours := false
			for key := range v {
				ours = ours || declared.child(key) != nil
			}
			if !ours || bytes.Contains(m[1], []byte("…")) {
				continue // of another program
			}
			checked++
			if err := validate(s, m[1]); err != nil {
				t.Errorf("%s:\n%s%v", file, m[1], err)
			}
		}
	}
	if checked == 0 {
		t.Error("the docs have no example")
	}
}

func TestTheSchemaRefusesTypingErrors(t *testing.T) {
	s := compiled(t)
	for name, change := range map[string][2]string{
		"unknown key at the top":   {"version: 1", "version: 1\nstream: []"},
		"unknown key of a stream":  {"acks: remote", "ack: remote"},
		"word that is no choice":   {"acks: remote", "acks: all"},
		"size without a unit name": {"max_size: 10GiB", "max_size: 10G"},
		"rate without a time":      {"scrub: 8MiB/s", "scrub: 8MiB"},
		"duration without a unit":  {"ack_patience: 1.5s", "ack_patience: 15"},
		"address without a port":   {"address: 127.0.0.1:8790", "address: localhost"},
		"list in place of a text":  {"dir: ./streamdown-data", "dir: [a]"},
		"a version to come":        {"version: 1", "version: 2"},
	} {
		src := string(Template(""))
		if !strings.Contains(src, change[0]) {
			t.Fatalf("%s: %q is not in the template", name, change[0])
		}
		if validate(s, []byte(strings.Replace(src, change[0], change[1], 1))) == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestEveryKeyIsExplained(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal(Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	declared.walk("", func(path string, k *key) {
		switch {
		case path == "" || strings.HasSuffix(path, "[]") || strings.HasSuffix(path, ".NAME"):
		case k.told() == "" || strings.HasPrefix(k.told(), "."):
			t.Errorf("%s has no words", path)
		case k.form == formChoice && len(k.choices) == 0, k.form == formNumber && k.most == 0, k.form == formNamed && k.each == nil, k.form == formList && k.each == nil:
			t.Errorf("%s is not fully declared", path)
		case strings.ContainsAny(k.doc, "|\n"):
			t.Errorf("%s: the words do not fit into a table", path)
		}
	})
}
