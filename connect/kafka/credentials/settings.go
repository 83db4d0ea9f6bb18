package credentials

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// Setting is one key with its value.
type Setting struct {
	Key   string
	Value Value
}

// Settings are all keys that say how to log in to one cluster, and where they stand.
type Settings struct {
	Own  []Setting // in the configuration; they win over those of File. Only keys of Use Credential count.
	Dir  string    // relative paths of Own are looked up here
	File string    // a properties file, empty = none; its relative paths are looked up beside it
}

// Problem is one thing that is wrong with Settings. It quotes no value.
type Problem struct {
	Key     string // the key that it is about; it may be missing from the Settings
	Text    string // what is wrong and what to do, to follow the key
	Warning bool   // the Settings can be used all the same
}

// Load reads everything anew and returns how to log in now. The error names every key that stands in the way.
func (s Settings) Load() (*Login, error) {
	given, err := s.read()
	if err != nil {
		return nil, err
	}
	l, problems := derive(given)
	var errs []error
	for _, p := range problems {
		if !p.Warning {
			errs = append(errs, fmt.Errorf("%s %s", p.Key, p.Text))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return l, nil
}

// Check returns all that is wrong at once. What stands in files that cannot be read now, and certificates that cannot
// be used now, are warnings: they are read again whenever a connection is dialled.
func (s Settings) Check() []Problem {
	given, err := s.read()
	if err != nil {
		return []Problem{{Key: "properties_file", Text: err.Error(), Warning: true}}
	}
	l, problems := derive(given)
	if l != nil {
		problems = append(problems, l.check()...)
	}
	return problems
}

// given is what was said, by key.
type given map[string]said

type said struct{ text, dir string }

func (s Settings) read() (given, error) {
	g := make(given)
	if s.File != "" {
		src, err := ReadFile(s.File)
		if err != nil {
			return nil, err
		}
		entries, err := ParseProperties(src)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.File, err)
		}
		for _, e := range entries {
			g.set(e.Key, e.Value.Reveal(), filepath.Dir(s.File))
		}
	}
	for _, o := range s.Own {
		text, err := o.Value.Read()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.Key, err)
		}
		g.set(o.Key, text, s.Dir)
	}
	return g, nil
}

// set notes a value. Kafka's clients trim all they read; librdkafka's password, which they do not know, is left alone.
func (g given) set(key, text, dir string) {
	if use, _ := Key(key); use != Credential {
		return
	}
	if key != "sasl.password" {
		text = strings.TrimSpace(text)
	}
	g[key] = said{text, dir}
}

func (g given) text(key string) string { return g[key].text }

func (g given) has(key string) bool { _, ok := g[key]; return ok }

// path returns the place of the file that a key names, empty if it names none.
func (g given) path(key string) string {
	s := g[key]
	if s.text == "" || filepath.IsAbs(s.text) {
		return s.text
	}
	return filepath.Join(s.dir, s.text)
}

// first returns the first of the keys that says something, and what.
func (g given) first(names ...string) (name, text string) {
	for _, name := range names {
		if t := g.text(name); t != "" {
			return name, t
		}
	}
	return names[0], ""
}

// digest tells what was said from everything else that could have been.
func (g given) digest() [sha256.Size]byte {
	h := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(g)) {
		fmt.Fprintf(h, "%q=%q\n", key, g.text(key))
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// finder collects problems.
type finder struct{ problems []Problem }

func (f *finder) wrong(key, format string, args ...any) {
	f.problems = append(f.problems, Problem{Key: key, Text: fmt.Sprintf(format, args...)})
}

func (f *finder) warn(key, format string, args ...any) {
	f.problems = append(f.problems, Problem{Key: key, Text: fmt.Sprintf(format, args...), Warning: true})
}

// alone reports all but one of several keys that say the same thing in different ways.
func (f *finder) alone(g given, names ...string) {
	seen := ""
	for _, name := range names {
		switch {
		case g.text(name) == "":
		case seen == "":
			seen = name
		default:
			f.wrong(name, "says what %s says already; leave one of them out", seen)
		}
	}
}

var protocols = []string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}

// derive makes a Login of what was said. It is nil if there is a Problem that is no warning.
func derive(g given) (*Login, []Problem) {
	var f finder
	l := &Login{protocol: strings.ToUpper(g.text("security.protocol")), digest: g.digest()}
	if l.protocol == "" {
		l.protocol = "PLAINTEXT"
	}
	if !slices.Contains(protocols, l.protocol) {
		f.wrong("security.protocol", "is not a protocol; want %s", strings.Join(protocols, ", "))
		return nil, f.problems
	}
	encrypted, login := strings.HasSuffix(l.protocol, "SSL"), strings.HasPrefix(l.protocol, "SASL")
	for _, name := range slices.Sorted(maps.Keys(g)) {
		switch {
		case !encrypted && strings.HasPrefix(name, "ssl.") && g.text(name) != "":
			f.warn(name, "has no effect with security.protocol %s, which does not encrypt; want %s", l.protocol, with(l.protocol, "SSL"))
		case !login && strings.HasPrefix(name, "sasl.") && g.text(name) != "":
			f.warn(name, "has no effect with security.protocol %s, which does not log in; want %s", l.protocol, with(l.protocol, "SASL"))
		}
	}
	if encrypted {
		l.tls = deriveTLS(g, &f)
	}
	if login {
		deriveSASL(g, &f, l)
		if !encrypted && (l.mechanism == "PLAIN" || l.mechanism == "OAUTHBEARER") {
			f.warn("security.protocol", "%s sends the secret of %s readable over the network; want SASL_SSL", l.protocol, l.mechanism)
		}
	}
	for _, p := range f.problems {
		if !p.Warning {
			return nil, f.problems
		}
	}
	return l, f.problems
}

// with returns the protocol that also does what is missing.
func with(protocol, missing string) string {
	if protocol == "PLAINTEXT" {
		if missing == "SSL" {
			return "SSL or SASL_SSL"
		}
		return "SASL_SSL or SASL_PLAINTEXT"
	}
	return "SASL_SSL"
}
