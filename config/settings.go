package config

import (
	"crypto/sha256"
	"strings"
)

// fingerprint stands for a value that must not be shown where two of them are compared. It never leaves the process: who
// has it could guess a short password.
type fingerprint struct {
	sum  [sha256.Size]byte
	live bool
}

// hide notes which values below v must not be shown.
func (d *decoder) hide(v *value) {
	if v.secret {
		d.secrets[v.path] = true
		d.prints[v.path] = fingerprint{sum: sha256.Sum256([]byte(v.text)), live: v.key != nil && v.key.live}
	}
	for _, e := range v.entries {
		d.hide(e.value)
	}
	for _, item := range v.items {
		d.hide(item)
	}
}

// setting is one key of a config with what it is in effect, default or not.
type setting struct {
	key    string // systems.primary.kafka.client.id, streams[all].topics: items of lists by their names
	text   string // as Show has it
	secret bool
	sums   string // of a secret, to compare
	decl   *key   // nil for what is not declared, such as keys of a properties file
}

// settings takes apart what Show puts together, so that what is shown is what is compared.
func (c *Config) settings() []setting {
	d := &decoder{file: "shown", secrets: map[string]bool{}, prints: map[string]fingerprint{}}
	root := d.read(c.Show())
	if root == nil {
		return nil // Show writes YAML; a test holds it to that
	}
	bind(root, declared)
	var list []setting
	c.flatten(&list, root, "")
	for i := range c.Systems {
		s := &c.Systems[i]
		s.Kafka.show(func(string, string) {}, func(key, text string) {
			if own, ok := s.Kafka.connection(key); ok {
				text = own // as it was read, not as the file is by now
			}
			path := "systems." + s.Name + ".kafka." + key
			list = append(list, c.setting(declared.child("systems").each.child("kafka").child(key), path, path, text, c.secrets[path]))
		})
	}
	return list
}

func (c *Config) setting(decl *key, key, path, text string, secret bool) setting {
	s := setting{key: key, text: text, secret: secret, decl: decl}
	if secret {
		p := c.prints[path]
		s.text, s.sums = strings.Trim(redacted, `"`), string(p.sum[:])
	}
	return s
}

func (c *Config) flatten(list *[]setting, v *value, key string) {
	hidden := strings.Trim(redacted, `"`)
	switch {
	case v.kind == mapping:
		for _, e := range v.entries {
			c.flatten(list, e.value, join(key, e.key))
		}
	case v.kind == listKind && v.key != nil && v.key.form == formList:
		var names []string
		for _, item := range v.items {
			name := item.at("name")
			if name == nil {
				continue
			}
			names = append(names, name.text)
			c.flatten(list, item, key+"["+name.text+"]")
		}
		// The order counts, for streams at least.
		*list = append(*list, setting{key: key, text: strings.Join(names, ", "), decl: v.key})
	case v.kind == listKind:
		s := setting{key: key, decl: v.key}
		var texts []string
		for _, item := range v.items {
			texts = append(texts, item.text)
			if item.text == hidden {
				one, of := c.prints[v.path], c.prints[item.path]
				s.secret, s.sums = true, s.sums+string(one.sum[:])+string(of.sum[:])
			}
		}
		s.text = strings.Join(texts, ", ")
		*list = append(*list, s)
	default:
		*list = append(*list, c.setting(v.key, key, v.path, v.text, v.text == hidden))
	}
}
