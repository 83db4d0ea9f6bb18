package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Change is one key that differs between two configs, in effect and not in how it is written.
type Change struct {
	Key string // such as streams[all].acks; items of lists by their names
	// Was and Is are what Show has for it; empty = the key is not there. A secret is "<redacted>" in both.
	Was, Is string
	Live    bool   // a reload applies it; otherwise it needs a restart
	Note    string // what to know about that; empty if there is nothing
}

// String returns "key: was → is".
func (c Change) String() string {
	word := func(s string) string {
		if s == "" {
			return "(not set)"
		}
		return printable(s)
	}
	return fmt.Sprintf("%s: %s → %s", c.Key, word(c.Was), word(c.Is))
}

// Hash is the SHA-256 of what Show returns, in hexadecimal digits. Secrets have no part in it.
func (c *Config) Hash() string {
	sum := sha256.Sum256(c.Show())
	return hex.EncodeToString(sum[:])
}

// Diff returns what is different in b, and what of it a reload would apply in a process that runs with a.
func Diff(a, b *Config) []Change {
	return diff(a, b, Apply(a, b))
}

// DiffShown is Diff for a that was shown by another process. Secrets that both have are hidden: they are not compared.
func DiffShown(a []byte, b *Config) (changes []Change, hidden []string) {
	d := &decoder{file: "shown", secrets: map[string]bool{}, prints: map[string]fingerprint{}}
	was := map[string]setting{}
	var before []setting
	if root := d.read(a); root != nil {
		bind(root, declared)
		(&Config{}).flatten(&before, root, "")
	}
	for _, s := range before {
		was[s.key] = s
	}
	add := func(path, was, is string, decl *key) {
		c := Change{Key: path, Was: was, Is: is}
		if decl != nil {
			c.Live, c.Note = decl.live || decl.form == formList, decl.when
		}
		changes = append(changes, c)
	}
	for _, s := range b.settings() {
		w, there := was[s.key]
		delete(was, s.key)
		switch {
		case there && s.secret:
			hidden = append(hidden, s.key)
		case !there && !s.secret && s.decl == nil, there && w.text == s.text:
		default:
			add(s.key, w.text, s.text, s.decl)
		}
	}
	for _, s := range before {
		if _, gone := was[s.key]; gone {
			add(s.key, s.text, "", s.decl)
		}
	}
	return changes, hidden
}

// diff compares a to b; what is in applied as in b is live.
func diff(a, b, applied *Config) []Change {
	index := func(list []setting) map[string]setting {
		m := make(map[string]setting, len(list))
		for _, s := range list {
			m[s.key] = s
		}
		return m
	}
	before, after := a.settings(), b.settings()
	was, is, now := index(before), index(after), index(applied.settings())
	same := func(x, y setting) bool { return x.text == y.text && x.sums == y.sums && x.secret == y.secret }
	var changes []Change
	tell := func(key string) {
		w, i := was[key], is[key]
		if same(w, i) {
			return
		}
		decl := i.decl
		if decl == nil {
			decl = w.decl
		}
		c := Change{Key: key, Was: w.text, Is: i.text, Live: same(now[key], i)}
		if decl != nil {
			c.Note = decl.when
		}
		changes = append(changes, c)
	}
	for _, s := range after {
		tell(s.key)
	}
	for _, s := range before {
		if _, still := is[s.key]; !still {
			tell(s.key)
		}
	}
	return changes
}
