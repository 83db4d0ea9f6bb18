package config

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/streamdown/streamdown/connect/kafka/credentials"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// environment is what the tests' configs may refer to.
var environment = map[string]string{
	"VERSION": "1", "PORT": "abc", "HOST": "gateway", "EMPTY": "", "API_TOKEN": "hunter2", "SERVERS": "k1:9092", "PRICE": "$5 ${HOST}",
}

func lookup(name string) (string, bool) {
	v, ok := environment[name]
	return v, ok
}

// TestEveryFindingAtOnce compares what is found in testdata/findings/*.yaml with the .txt beside it.
func TestEveryFindingAtOnce(t *testing.T) {
	files, err := filepath.Glob("testdata/findings/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c, findings := Parse(file, src, lookup)
			if (c == nil) != (findings.Err() != nil) {
				t.Errorf("config %v with error %v", c, findings.Err())
			}
			got := strings.ReplaceAll(findings.String(), filepath.Dir(file)+"/", "") + "\n"
			if strings.Contains(got, "hunter2") {
				t.Errorf("a secret is in the findings:\n%s", got)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", got)
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-update writes it):\n--- got\n%s--- want\n%s", file, got, want)
	}
}

const smallest = `
version: 1
data: { dir: ./data }
systems: { primary: { kafka: { bootstrap.servers: "k1:9092" } } }
streams: [{ name: all, topics: ["*"] }]
`

func parse(t *testing.T, src string) *Config {
	t.Helper()
	c, findings := Parse("test.yaml", []byte(src), lookup)
	if len(findings) > 0 {
		t.Fatalf("%s", findings)
	}
	return c
}

func TestDefaultsAreFilledIn(t *testing.T) {
	c := parse(t, smallest)
	want := &Config{
		Listen: Listen{
			Kafka: KafkaListener{Address: "127.0.0.1:19092", Advertise: "127.0.0.1:19092", Classes: []Class{{Normal, "127.0.0.1:19092", "127.0.0.1:19092"}}, MaxConnections: 10_000, MaxConnectionsPerAddress: 5_000},
			HTTP:  HTTPListener{Address: "127.0.0.1:8790", MaxBody: 8 * MiB},
		},
		Data: Data{Dir: "./data", MaxSize: 10 * GiB, Ledger: Ledger{Keep: 90 * 24 * time.Hour, MaxSize: GiB}, Scrub: 8 * Rate(MiB)},
		Systems: []System{{Name: "primary", Kafka: Kafka{
			Bootstrap: []string{"k1:9092"}, ClientID: "streamdown", RequestTimeout: 30 * time.Second,
			Security: credentials.Settings{Dir: ".", Own: []credentials.Setting{{Key: "security.protocol", Value: credentials.Text("PLAINTEXT")}}},
		}}},
		Streams: []Stream{{
			Name: "all", Topics: []string{"*"}, To: "primary", Acks: AcksRemote,
			AckPatience: 1500 * time.Millisecond, WhenIsolated: Accept, Priority: Normal, Retain: time.Hour,
		}},
		secrets: map[string]bool{}, prints: map[string]fingerprint{},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v\nwant %+v", c, want)
	}
	if s, ok := c.System("primary"); !ok || s.Name != "primary" {
		t.Error("no system primary")
	}
	if _, ok := c.System("other"); ok {
		t.Error("a system that is not there")
	}
}

func TestShowIsTheSameConfig(t *testing.T) {
	src, err := os.ReadFile("testdata/findings/ours.yaml")
	if err != nil {
		t.Fatal(err)
	}
	odd := strings.NewReplacer("./data", `"$${HOST}$$$$d ir\"\\\n#: ü\u0007 - {x}"`, "name: all", "name: yes", "primary:", "5k:").Replace(smallest)
	slow := strings.Replace(smallest, "./data", "./data, scrub: 300KB/s", 1)
	for _, src := range []string{smallest, string(src), odd, slow, string(Template("")), string(Template("k1:9092,k2:9092"))} {
		c := parse(t, src)
		shown := c.Show()
		again, findings := Parse("shown.yaml", shown, nil)
		if len(findings) > 0 || !reflect.DeepEqual(c, again) {
			t.Errorf("%s\n%s\nis read as %+v\nwant %+v", shown, findings, again, c)
		}
	}
	golden(t, "testdata/show.txt", string(parse(t, smallest).Show()))
}

func TestScrubbingCanBeTurnedOff(t *testing.T) {
	for _, off := range []string{"off", `"off"`, "0", `"${NONE:-off}"`} {
		src := strings.Replace(smallest, "./data", "./data, scrub: "+off, 1)
		c, findings := Parse("t.yaml", []byte(src), nil)
		if c == nil || c.Data.Scrub != 0 || len(findings) != 1 || findings[0].Key != "data.scrub" {
			t.Fatalf("%s: %+v, %s", off, c, findings)
		}
		if again, _ := Parse("shown.yaml", c.Show(), nil); again == nil || again.Data.Scrub != 0 {
			t.Errorf("%s: %s", off, c.Show())
		}
	}
	src := strings.Replace(smallest, "./data", "./data, max_size: 50TiB", 1)
	if _, findings := Parse("t.yaml", []byte(src), nil); len(findings) != 1 || findings[0].Key != "data.max_size" {
		t.Errorf("%s", findings)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "id"), []byte("hunter2\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	src := strings.NewReplacer(
		`"k1:9092"`, `"k1:9092", client.id: "${file:id}"`,
		"name: all", `name: "${API_TOKEN}"`,
		"dir: ./data", `dir: "./data/${HOST}"`,
	).Replace(smallest)
	c, findings := Parse(filepath.Join(dir, "c.yaml"), []byte(src), lookup)
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	if c.Systems[0].Kafka.ClientID != "hunter2" || c.Streams[0].Name != "hunter2" {
		t.Fatalf("read as %+v", c)
	}
	shown := string(c.Show())
	if strings.Contains(shown, "hunter2") || strings.Count(shown, redacted) != 2 || !strings.Contains(shown, "./data/gateway") {
		t.Fatalf("%s", shown)
	}
}

func TestReferencesAreFilledIn(t *testing.T) {
	for raw, want := range map[string]string{
		"${HOST}":            "gateway",
		"a${HOST}b${HOST}c":  "agatewaybgatewayc",
		"${NONE:-x}":         "x",
		"${EMPTY:-x}":        "x",
		"${HOST:-x}":         "gateway",
		"${NONE:-}y":         "y",
		"${NONE:-a:b-c?d e}": "a:b-c?d e",
		"${HOST:?no}":        "gateway",
		"a${EMPTY}b":         "ab",
		"$$":                 "$",
		"$${HOST}":           "${HOST}",
		"$HOST":              "$HOST",
		"cost$":              "cost$",
		"${PRICE}":           "$5 ${HOST}", // what is filled in is not read again
	} {
		c, findings := Parse("t.yaml", []byte(strings.Replace(smallest, "./data", `"`+raw+`"`, 1)), lookup)
		if len(findings) > 0 {
			t.Errorf("%s: %s", raw, findings)
		} else if c.Data.Dir != want {
			t.Errorf("%s: got %q, want %q", raw, c.Data.Dir, want)
		}
	}
}

func TestFilledInTextNeverBecomesStructure(t *testing.T) {
	env := func(string) (string, bool) { return "x\nversion: 2\nevil: { a: b }", true }
	c, findings := Parse("t.yaml", []byte(strings.Replace(smallest, "./data", `"${DIR}"`, 1)), env)
	if len(findings) > 0 || c.Data.Dir != "x\nversion: 2\nevil: { a: b }" {
		t.Fatalf("%+v: %s", c, findings)
	}
}

func TestLoadSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "none.yaml")
	for file, want := range map[string]string{
		path: path + ": no such file or directory; name another file with -c, or write one with: streamdown init",
		dir:  dir + ": not a regular file; name another file with -c, or write one with: streamdown init",
	} {
		if c, findings := Load(file); c != nil || findings.String() != want {
			t.Errorf("got %s\nwant %s", findings, want)
		}
	}
	if err := os.WriteFile(path, Template("k1:9092"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, findings := Load(path); len(findings) > 0 || c.Systems[0].Kafka.Bootstrap[0] != "k1:9092" {
		t.Errorf("%+v: %s", c, findings)
	}
}

func TestTemplateParsesClean(t *testing.T) {
	for _, bootstrap := range []string{"", "k1:9092", "k1:9092,[::1]:9093"} {
		c := parse(t, string(Template(bootstrap)))
		if got := strings.Join(c.Systems[0].Kafka.Bootstrap, ","); got != bootstrap && bootstrap != "" {
			t.Errorf("bootstrap %q became %q", bootstrap, got)
		}
	}
	// What the template writes out is what it would be without: the comments cannot lie about defaults.
	short := parse(t, strings.NewReplacer("k1:9092", "localhost:9092", "./data", "./streamdown-data").Replace(smallest))
	if long := parse(t, string(Template(""))); !reflect.DeepEqual(long, short) {
		t.Errorf("%+v\nis not %+v", long, short)
	}
}

func TestNoWarningStandsInTheWay(t *testing.T) {
	src, err := os.ReadFile("testdata/findings/warnings.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, findings := Parse("w.yaml", src, nil)
	if c == nil || findings.Err() != nil || len(findings) == 0 {
		t.Fatalf("%v: %s", c, findings)
	}
}
