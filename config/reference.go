package config

import (
	"fmt"
	"strings"
)

// Reference returns the tables of docs/configuration.md: every key, by section, in Markdown.
func Reference() []byte {
	var b strings.Builder
	section(&b, "", declared)
	return []byte(b.String())
}

// section writes the table of the keys below k, and then those of the mappings among them.
func section(b *strings.Builder, path string, k *key) {
	title := "The file"
	if path != "" {
		title = "`" + path + "`"
	}
	fmt.Fprintf(b, "### %s\n\n", title)
	if k.doc != "" {
		fmt.Fprintf(b, "%s\n\n", sentence(k.doc))
	}
	if path == "systems.NAME.kafka" {
		fmt.Fprintf(b, "Beside these there are the keys that say how to log in; a reload applies them to connections that are opened from then on:\n")
		for _, c := range k.keys {
			if c.form == formKafka || len(c.choices) > 0 {
				fmt.Fprintf(b, "`%s` ", c.name)
			}
		}
		fmt.Fprintf(b, "\n\n")
	}
	b.WriteString("| key | value | default | reload | |\n|---|---|---|---|---|\n")
	for _, c := range k.keys {
		if c.later != "" || path == "systems.NAME.kafka" && (c.form == formKafka || len(c.choices) > 0) {
			continue
		}
		value, initial, reload, words := c.wanted(), c.initial, "restart", sentence(c.doc)
		switch {
		case c.form == formMapping || c.form == formNamed || c.form == formList:
			at := c.below(path)
			value, reload = fmt.Sprintf("see [%s](#%s)", at, anchor(at)), ""
		case c.live:
			reload = "at once"
		}
		switch {
		case c.required:
			initial = "required"
		case c.derived != "":
			initial = c.derived
		case initial != "":
			initial = "`" + initial + "`"
		}
		if c.when != "" {
			words += " On a reload: " + c.when + "."
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", c.name, strings.ReplaceAll(value, "|", `\|`), initial, reload, words)
	}
	b.WriteString("\n")
	for _, c := range k.keys {
		at, inner := c.below(path), c
		if c.later != "" {
			continue
		}
		if c.each != nil {
			inner = c.each
			if len(inner.keys) == 0 {
				continue
			}
		}
		if inner.form == formMapping {
			section(b, at, inner)
		}
	}
}

// below is the path of what stands below a key: of its items, if it has some.
func (k *key) below(path string) string {
	if path != "" {
		path += "."
	}
	path += k.name
	switch k.form {
	case formList:
		return path + "[]"
	case formNamed:
		return path + ".NAME"
	}
	return path
}

// anchor is how a heading is linked to.
func anchor(title string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(".[]`", r) {
			return -1
		}
		return r
	}, strings.ToLower(title))
}
