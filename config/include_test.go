package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// folder writes files and returns the path of the first.
func folder(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, files[0])
}

// TestAConfigInPartsIsTheConfigInOneFile, with lists that add up and values that are filled in beside the file that names
// them.
func TestAConfigInPartsIsTheConfigInOneFile(t *testing.T) {
	main := folder(t,
		"main.yaml", "version: 1\ninclude: [systems.yaml, conf.d/*.yaml]\ndata: { dir: ./data }\nstreams: [{ name: a, topics: [a] }]\n",
		"systems.yaml", "systems: { primary: { kafka: { client.id: \"${file:name}\" } } }\n",
		"name", "renamed\n",
		"conf.d/2.yaml", "version: 1\nstreams: [{ name: rest, topics: [\"*\"] }]\nsystems: { primary: { kafka: { bootstrap.servers: \"${file:servers}\" } } }\n",
		"conf.d/1.yaml", "streams: [{ name: b, topics: [b] }, { name: c, topics: [c] }]\ninclude: more/listen.inc\n",
		"conf.d/more/listen.inc", "listen: { kafka: { max_connections: 7 } }\n",
		"conf.d/servers", "k1:9092\n", "conf.d/readme.txt", "no YAML: [",
	)
	c, findings := Load(main)
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	whole := parse(t, `
version: 1
listen: { kafka: { max_connections: 7 } }
data: { dir: ./data }
systems: { primary: { kafka: { bootstrap.servers: "k1:9092", client.id: renamed } } }
streams: [{ name: a, topics: [a] }, { name: b, topics: [b] }, { name: c, topics: [c] }, { name: rest, topics: ["*"] }]
`)
	for _, change := range Diff(whole, c) {
		if change.Is != "<redacted>" { // they came from files
			t.Error(change)
		}
	}
	if !reflect.DeepEqual(c.Streams, whole.Streams) {
		t.Errorf("%+v", c.Streams)
	}
	w := NewWatch(main, c)
	for _, file := range []string{"conf.d/servers", "conf.d/more/listen.inc", "name", "systems.yaml", "main.yaml"} {
		path := filepath.Join(filepath.Dir(main), file)
		if w.Changed() {
			t.Fatal("nothing has changed")
		}
		if err := os.WriteFile(path, []byte("changed "+file), 0o600); err != nil {
			t.Fatal(err)
		}
		if !w.Changed() || w.Changed() {
			t.Errorf("%s: its change is not told once", file)
		}
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(main), "conf.d/3.yaml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if !w.Changed() {
		t.Error("a new file in conf.d is not seen")
	}
}

func TestIncludesAreBounded(t *testing.T) {
	chain := []string{"0.yaml", smallest + "include: 1.yaml\n"}
	for i := 1; i < 9; i++ {
		chain = append(chain, fmt.Sprintf("%d.yaml", i), fmt.Sprintf("include: %d.yaml\n", i+1))
	}
	many := []string{"main.yaml", smallest + "include: d/*.yaml\n"}
	for i := range 120 {
		many = append(many, fmt.Sprintf("d/%03d.yaml", i), "# empty\n")
	}
	large := []string{"main.yaml", smallest + "include: d/*.yaml\n"}
	for i := range 6 {
		large = append(large, fmt.Sprintf("d/%d.yaml", i), strings.Repeat("# a long comment\n", 60_000))
	}
	for name, c := range map[string]struct {
		files []string
		want  string
	}{
		"itself":   {[]string{"main.yaml", smallest + "include: main.yaml\n"}, "include: goes in a circle: "},
		"a link":   {[]string{"main.yaml", smallest + "include: d/../main.yaml\n", "d/x", ""}, "include: goes in a circle: "},
		"depth":    {chain, "4.yaml:1:10: include: is nested too deeply: "},
		"number":   {many, "include: leads to more than 100 files"},
		"size":     {large, "include: leads to more than 4 MiB of files"},
		"one file": {[]string{"main.yaml", smallest + "include: big.yaml\n", "big.yaml", strings.Repeat("# xxxx\n", 200_000)}, "big.yaml cannot be read: larger than 1 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			c2, findings := Load(folder(t, c.files...))
			if c2 != nil || len(findings) != 1 || !strings.Contains(findings.String(), c.want) {
				t.Errorf("%.1000s", findings)
			}
		})
	}
}

// TestAWatchSeesWhatEditorsAndKubernetesDo: a file renamed into place, and a ConfigMap whose link is swapped.
func TestAWatchSeesWhatEditorsAndKubernetesDo(t *testing.T) {
	main := folder(t, "streamdown.yaml", smallest)
	c, _ := Load(main)
	w := NewWatch(main, c)
	replace := func(text string) {
		if err := os.WriteFile(main+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(main+".new", main); err != nil {
			t.Fatal(err)
		}
	}
	if replace(smallest); w.Changed() {
		t.Error("the same content is a change")
	}
	if replace(smallest + "\n"); !w.Changed() {
		t.Error("a rename is not seen")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"..1/streamdown.yaml": smallest, "..2/streamdown.yaml": smallest + "# two\n"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) {
		if err := os.Symlink(to, filepath.Join(dir, "tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "tmp"), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("..1", "..data")
	link("..data/streamdown.yaml", "streamdown.yaml")
	main = filepath.Join(dir, "streamdown.yaml")
	c, findings := Load(main)
	if c == nil {
		t.Fatal(findings)
	}
	if w = NewWatch(main, c); w.Changed() {
		t.Error("a change before there is one")
	}
	if link("..2", "..data"); !w.Changed() || w.Changed() {
		t.Error("the swap is not told once")
	}
	if err := os.Remove(filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	if !w.Changed() || w.Changed() {
		t.Error("that the file is gone is not told once")
	}
	w.Reading()
	w.Read(nil) // it could not be read
	if link("..1", "..data"); !w.Changed() {
		t.Error("that it is there again is not told")
	}
}
