package config

import (
	"path/filepath"
	"strings"

	"github.com/streamdown/streamdown/connect/kafka/credentials"
)

// expand sets the text of v to raw with its references filled in. What was filled in is not looked at again.
func (d *decoder) expand(v *value, raw string) {
	var b strings.Builder
	var source credentials.Value
	literal := func(s string) {
		b.WriteString(s)
		source = source.And(credentials.Text(s))
	}
	for {
		before, rest, found := strings.Cut(raw, "$")
		literal(before)
		if !found {
			break
		}
		switch {
		case strings.HasPrefix(rest, "$"):
			literal("$")
			raw = rest[1:]
		case strings.HasPrefix(rest, "{"):
			ref, after, closed := strings.Cut(rest[1:], "}")
			if !closed {
				d.wrong(v, `a "${" is not closed; write $$ for a dollar sign`)
				return
			}
			if strings.Contains(ref, "${") {
				d.wrong(v, "references cannot be nested; give the inner one a variable of its own")
				return
			}
			content := d.reference(v, ref)
			if path, ok := strings.CutPrefix(ref, "file:"); ok {
				b.WriteString(content)
				source = source.And(credentials.File(d.beside(path)))
			} else {
				literal(content)
			}
			raw = after
		default:
			literal("$")
			raw = rest
		}
	}
	v.text, v.source = b.String(), source
}

// beside returns the path of a file that the config names.
func (d *decoder) beside(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(d.file), path)
}

// reference returns what ${ref} stands for, and reports it if that is nothing.
func (d *decoder) reference(v *value, ref string) string {
	if path, ok := strings.CutPrefix(ref, "file:"); ok {
		v.secret = true
		path = d.beside(path)
		d.files = append(d.files, path)
		content, err := readFile(path)
		if err != nil {
			d.wrong(v, "the file %s cannot be read: %v", path, err)
		}
		return strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
	}
	end := 0
	for end < len(ref) && (ref[end] == '_' || ref[end] >= 'A' && ref[end] <= 'Z' || ref[end] >= 'a' && ref[end] <= 'z' ||
		end > 0 && ref[end] >= '0' && ref[end] <= '9') {
		end++
	}
	name, rest := ref[:end], ref[end:]
	if name == "" {
		d.wrong(v, "${%s} names no variable; want ${NAME}, ${NAME:-default}, ${NAME:?message}, ${file:/path}, or $$ for a dollar sign", ref)
		return ""
	}
	v.secret = v.secret || secretive(name)
	content, set := d.env(name)
	switch {
	case rest == "":
		if !set {
			d.wrong(v, "the environment variable %s is not set; set it or write ${%s:-default}", name, name)
		}
	case strings.HasPrefix(rest, ":-"):
		if content == "" {
			content = rest[2:]
		}
	case strings.HasPrefix(rest, ":?"):
		if content == "" {
			message := rest[2:]
			if message == "" {
				message = "set it"
			}
			d.wrong(v, "the environment variable %s is not set: %s", name, message)
		}
	default:
		d.wrong(v, "${%s} is no reference; want ${%s}, ${%s:-default} or ${%s:?message}", ref, name, name, name)
		return ""
	}
	return content
}

// secretWords are the parts of names whose values are never printed.
var secretWords = []string{"password", "passwd", "secret", "token", "jaas", "credential", "private", "key", "scram"}

// places are keys that sound like a secret and name the file that holds it.
var places = map[string]bool{"listen.kafka.tls.key": true, "listen.http.tls.key": true, "auth.oauth.keys": true}

// secretive reports whether the name of a key or of a variable sounds like a secret. Kafka's own keys are known better.
func secretive(name string) bool {
	if credentials.Open(name) {
		return false
	}
	name = strings.ToLower(name)
	for _, word := range secretWords {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}
