package config

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// everything has a value for each part of the file, so that each key has a place to be tried at.
const everything = `
version: 1
listen:
  kafka:
    address: 0.0.0.0:19092
    advertise: gateway:19092
    tls: { cert: /none/tls.crt, key: /none/tls.key, client_ca: /none/ca.crt, client_auth: optional }
    sasl: { mechanisms: [SCRAM-SHA-512, OAUTHBEARER] }
  http:
    address: 127.0.0.1:8790
    tls: { cert: /none/tls.crt, key: /none/tls.key, client_ca: /none/ca.crt, client_auth: optional }
auth:
  users: [{ name: shop, password: "${SHOP:-long enough to be none}", topics: ["orders.*"] }]
  certificates: { from: subject }
  oauth: { issuer: "https://idp", audience: kafka, keys: "/none/jwks.json" }
data: { dir: ./data }
systems: { primary: { kafka: { bootstrap.servers: "k1:9092" } } }
streams:
  - { name: all, topics: ["a*"], to: primary, priority: critical }
  - { name: high, topics: ["b*"], to: primary, priority: high }
  - { name: normal, topics: ["c*"], to: primary }
  - { name: low, topics: ["d*"], to: primary, priority: low }
`

// tree is everything as maps and lists.
func tree(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	if err := yaml.Unmarshal([]byte(everything), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// put sets the value at a path of declared, in the first item of lists and the first system.
func put(t *testing.T, root map[string]any, path string, v any) {
	t.Helper()
	at := root
	steps := pathSteps(path)
	for i, step := range steps {
		if i == len(steps)-1 {
			if v == nil {
				delete(at, step)
			} else {
				at[step] = v
			}
			return
		}
		name, list := strings.CutSuffix(step, "[]")
		next, ok := at[name]
		if !ok {
			next = map[string]any{}
			at[name] = next
		}
		if list {
			next = next.([]any)[0]
		}
		at = next.(map[string]any)
	}
}

// pathSteps takes a path apart; keys of Kafka's have dots of their own.
func pathSteps(path string) []string {
	if at := strings.Index(path, ".NAME.kafka"); at >= 0 {
		steps := []string{"systems", "primary", "kafka"}
		if rest := strings.TrimPrefix(path[at+len(".NAME.kafka"):], "."); rest != "" {
			steps = append(steps, rest)
		}
		return steps
	}
	return strings.Split(path, ".")
}

func tried(t *testing.T, path string, v any) (*Config, Findings) {
	t.Helper()
	root := tree(t)
	put(t, root, path, v)
	src, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	return Parse("tried.yaml", src, func(string) (string, bool) { return "", false })
}

// eachKey calls f for the keys that have a value of their own.
func eachKey(f func(path string, k *key)) {
	declared.walk("", func(path string, k *key) {
		if path == "" || k.later != "" || strings.HasSuffix(path, "[]") || strings.HasSuffix(path, ".NAME") {
			return
		}
		f(path, k)
	})
}

// TestEveryDeclaredKeyIsRead gives each key a value of a kind that no key has: a reader that says nothing does not read it.
func TestEveryDeclaredKeyIsRead(t *testing.T) {
	eachKey(func(path string, k *key) {
		var wrong any = []any{map[string]any{"nonsense": true}}
		if k.form == formMapping || k.form == formNamed || k.form == formList {
			wrong = "nonsense"
		}
		want := strings.NewReplacer("[]", "[0]", "NAME", "primary").Replace(path)
		_, findings := tried(t, path, wrong)
		if strings.HasPrefix(path, "listen.kafka.classes.critical") {
			return // the highest class has its address elsewhere, and its keys here answer just that
		}
		if !slices.ContainsFunc(findings, func(f Finding) bool { return strings.HasPrefix(f.Key, want) && f.Text != "unknown key" }) {
			t.Errorf("%s is declared and not read: %s", path, findings)
		}
	})
}

// TestWhatComesLaterSaysSo: a key of the design is not an unknown one.
func TestWhatComesLaterSaysSo(t *testing.T) {
	declared.walk("", func(path string, k *key) {
		if k.later == "" {
			return
		}
		_, findings := tried(t, strings.Replace(path, "systems.NAME.", "systems.primary.", 1), "x")
		if !strings.Contains(findings.String(), k.later) {
			t.Errorf("%s: %s", path, findings)
		}
	})
}

// TestDeclaredDefaultsAreThoseOfTheReader: a key with its default written out is a key left out.
func TestDeclaredDefaultsAreThoseOfTheReader(t *testing.T) {
	eachKey(func(path string, k *key) {
		if k.initial == "" {
			return
		}
		var v any = k.initial
		if k.form == formFlag {
			v = k.initial == "true"
		}
		without, findings := tried(t, path, nil)
		if without == nil {
			t.Fatalf("%s: %s", path, findings)
		}
		with, findings := tried(t, path, v)
		if with == nil {
			t.Errorf("%s: its default %s is refused: %s", path, k.initial, findings)
			return
		}
		if changes := Diff(without, with); len(changes) > 0 {
			t.Errorf("%s: %s is not the default: %v", path, k.initial, changes)
		}
	})
}

// TestChoicesAreThoseOfTheReader tries each word, and one that is none.
func TestChoicesAreThoseOfTheReader(t *testing.T) {
	eachKey(func(path string, k *key) {
		about := func(findings Findings) bool {
			return slices.ContainsFunc(findings, func(f Finding) bool {
				return f.Severity == Error && strings.HasSuffix(strings.TrimSuffix(f.Key, "[0]"), k.name) &&
					(strings.Contains(f.Text, "choice") || strings.Contains(f.Text, "want") || strings.Contains(f.Text, "is no "))
			})
		}
		for _, word := range k.choices {
			var v any = word
			if k.form == formTexts {
				v = []any{word}
			}
			if _, findings := tried(t, path, v); about(findings) && !strings.Contains(path, "kafka.sasl.mechanism") {
				t.Errorf("%s: %s is refused: %s", path, word, findings)
			}
		}
		if len(k.choices) > 0 {
			var v any = "nonsense"
			if k.form == formTexts {
				v = []any{v}
			}
			if c, findings := tried(t, path, v); c != nil && !strings.Contains(path, "kafka.sasl.mechanism") {
				t.Errorf("%s: nonsense is taken: %s", path, findings)
			}
		}
	})
}

// samples are two values of a key that are both right in everything, where those of its form are not.
var samples = map[string][2]any{
	"include":                                 {nil, nil},
	"listen.kafka.classes.critical.address":   {nil, nil},
	"listen.kafka.classes.critical.advertise": {nil, nil},
	"streams[].priority":                      {nil, nil}, // comes with a port
	"version":                                 {nil, nil},
	"listen.kafka.advertise":                  {"a:1", "b:1"},
	"listen.kafka.tls.client_auth":            {"optional", "required"},
	"listen.kafka.tls.min_version":            {"1.2", "1.3"},
	"listen.kafka.sasl.mechanisms":            {[]any{"SCRAM-SHA-512"}, []any{"SCRAM-SHA-256"}},
	"listen.kafka.sasl.session_lifetime":      {"1h", "2h"},
	"listen.http.address":                     {"127.0.0.1:1", "127.0.0.1:2"},
	"auth.acls":                               {nil, nil}, // there is one system
	"auth.users[].scram":                      {nil, nil}, // hidden_test has it
	"auth.certificates.rules":                 {"DEFAULT", "RULE:^CN=(.*)$/$1/"},
	"auth.oauth.keys":                         {"/none/a.json", "/none/b.json"},
	"data.ledger.keep":                        {"1h", "2h"},
	"data.scrub":                              {"8MiB/s", "9MiB/s"},
	"streams[].to":                            {nil, nil},
	"systems.NAME.kafka.bootstrap.servers":    {"k1:1", "k2:2"},
	"systems.NAME.kafka.properties_file":      {nil, nil},
	"systems.NAME.kafka.metadata.broker.list": {nil, nil},
}

func errorsOf(findings Findings) Findings {
	return slices.DeleteFunc(slices.Clone(findings), func(f Finding) bool { return f.Severity != Error })
}

func sampleOf(path string, k *key) (a, b any) {
	if s, ok := samples[path]; ok {
		return s[0], s[1]
	}
	switch k.form {
	case formAddress:
		return "127.0.0.1:1", "127.0.0.1:2"
	case formSize:
		return "20MiB", "30MiB"
	case formRate:
		return "8MiB/s", "9MiB/s"
	case formDuration:
		return "2s", "3s"
	case formNumber:
		return k.least + 100, k.least + 200
	case formFlag:
		return false, true
	case formChoice:
		return k.choices[0], k.choices[1]
	case formTexts, formGlobs:
		if len(k.choices) > 1 {
			return []any{k.choices[0]}, []any{k.choices[1]}
		}
		return []any{"a"}, []any{"b"}
	}
	return "first-of-two", "second-of-two"
}

// TestAReloadAppliesWhatIsDeclaredLive changes each key, and sees whether Apply takes it over as the declaration says, and
// nothing else.
func TestAReloadAppliesWhatIsDeclaredLive(t *testing.T) {
	checked := 0
	eachKey(func(path string, k *key) {
		if k.form == formMapping || k.form == formNamed || k.form == formList {
			return
		}
		va, vb := sampleOf(path, k)
		if va == nil {
			return
		}
		if strings.Contains(path, ".NAME.kafka.s") && strings.Contains(path, "l.") {
			return // credentials go together: TestCredentialsAreTakenOver
		}
		a, fa := tried(t, path, va)
		b, fb := tried(t, path, vb)
		if a == nil || b == nil {
			t.Errorf("%s: give it samples that are right: %s\n%s", path, errorsOf(fa), errorsOf(fb))
			return
		}
		changes := Diff(a, b)
		if len(changes) == 0 {
			t.Errorf("%s: config show does not have it", path)
			return
		}
		checked++
		applied := Apply(a, b)
		for _, c := range changes {
			if c.Live != k.live && !strings.HasSuffix(c.Key, "streams") {
				t.Errorf("%s: declared live: %t, Apply: %t (%s)", path, k.live, c.Live, c)
			}
			if k.secret && (c.Was != "<redacted>" || c.Is != "<redacted>") {
				t.Errorf("%s is shown: %s", path, c)
			}
		}
		if k.live && len(diff(applied, b, b)) > 0 || !k.live && len(diff(a, applied, b)) > 0 {
			t.Errorf("%s: more or less than the key was taken over: %v", path, diff(a, applied, b))
		}
	})
	if checked < 25 {
		t.Errorf("only %d keys were tried", checked)
	}
}

func ExampleDiff() {
	parse := func(src string) *Config {
		c, _ := Parse("streamdown.yaml", []byte(src), nil)
		return c
	}
	running := parse(smallest)
	next := parse(strings.NewReplacer("name: all,", "name: all, acks: wal,", "./data", "./other").Replace(smallest))
	for _, c := range Diff(running, next) {
		fmt.Println(c, c.Live)
	}
	// Output:
	// data.dir: ./data → ./other false
	// streams[all].acks: remote → wal true
	// streams[all].ack_patience: 1.5s → (not set) true
	// streams[all].when_isolated: accept → (not set) true
}
