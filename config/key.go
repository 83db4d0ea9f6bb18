package config

import (
	"slices"
	"strings"
)

// form is how the value of a key is written.
type form uint8

const (
	formText     form = iota // any text
	formPath                 // a file or a directory
	formAddress              // host:port
	formSize                 // 50GiB
	formRate                 // 8MiB/s, or off
	formDuration             // 1.5s
	formNumber               // between least and most
	formFlag                 // true or false
	formChoice               // one of choices
	formTexts                // a text or a list of texts
	formGlobs                // a list of patterns of topics
	formKafka                // as Kafka has it: text, a number, true or false
	formMapping              // keys
	formNamed                // names of ours, each with what each says
	formList                 // a list of what each says
)

// key declares one key of the file. What the strict reader knows, the JSON Schema, docs/configuration.md and what a
// reload applies all come from here, and nowhere else: a key that is not declared is unknown to the reader.
type key struct {
	name     string
	doc      string // a sentence or two, for the schema and the docs
	form     form
	initial  string   // the default as it would be written; empty = none
	derived  string   // in words, where the default depends on something
	choices  []string // of formChoice, and of the items of formTexts
	least    int64    // of formNumber
	most     int64
	required bool
	live     bool   // a reload applies it; otherwise it needs a restart, as does all that is not said to be live
	when     string // what to know about that, empty if there is nothing
	later    string // right by the design and not in this version: the answer that it gets
	secret   bool   // its value is never shown
	joined   bool   // of formList: included files add to it

	list      bool // of formTexts: one text alone will not do
	anyCase   bool // of formChoice: small letters will do
	elsewhere bool // of formMapping: what is required may stand in another file
	foreign   bool // of formMapping: keys of others are taken and have no effect

	keys []*key // of formMapping
	each *key   // of formNamed and formList
}

// child returns the declaration of a key below k, nil if there is none.
func (k *key) child(name string) *key {
	if k == nil {
		return nil
	}
	i := slices.IndexFunc(k.keys, func(c *key) bool { return c.name == name })
	if i < 0 {
		return nil
	}
	return k.keys[i]
}

// names are the keys below k that are in this version.
func (k *key) names() (names []string) {
	if k == nil {
		return nil
	}
	for _, c := range k.keys {
		if c.later == "" {
			names = append(names, c.name)
		}
	}
	return names
}

// walk calls f for k and all below it, with paths such as streams[].name and systems.NAME.kafka.
func (k *key) walk(path string, f func(path string, k *key)) {
	f(path, k)
	for _, c := range k.keys {
		at := c.name
		if path != "" {
			at = path + "." + c.name
		}
		c.walk(at, f)
	}
	switch {
	case k.each == nil:
	case k.form == formNamed:
		k.each.walk(path+".NAME", f)
	default:
		k.each.walk(path+"[]", f)
	}
}

// bind tells every value which key it is the value of, as far as it is one.
func bind(v *value, k *key) {
	if v == nil || k == nil {
		return
	}
	v.key = k
	for _, e := range v.entries {
		if k.form == formNamed {
			bind(e.value, k.each)
		} else {
			bind(e.value, k.child(e.key))
		}
	}
	for _, item := range v.items {
		bind(item, k.each)
	}
}

// sentence is text with a capital and a full stop.
func sentence(text string) string {
	if text == "" || strings.HasSuffix(text, ".") {
		return text
	}
	return text + "."
}
