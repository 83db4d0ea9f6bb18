package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// SchemaID names the JSON Schema of the file.
const SchemaID = "https://github.com/streamdown/streamdown/schemas/config.v1.json"

// object is a JSON object whose keys keep their order.
type object []member

type member struct {
	key   string
	value any
}

// MarshalJSON implements json.Marshaler.
func (o object) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		k, err := json.Marshal(m.key)
		if err != nil {
			return nil, err
		}
		var v bytes.Buffer
		e := json.NewEncoder(&v)
		e.SetEscapeHTML(false)
		if err := e.Encode(m.value); err != nil {
			return nil, err
		}
		b = append(append(append(b, k...), ':'), bytes.TrimSpace(v.Bytes())...)
	}
	return append(b, '}'), nil
}

// Schema returns the JSON Schema (draft 2020-12) of the file, for editors. It takes every file that the reader takes; the
// reader knows more: what contradicts itself, and what is not there.
func Schema() []byte {
	s := append(object{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"$id", SchemaID},
		{"title", "streamdown.yaml"},
	}, schemaOf(declared)...)
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(s); err != nil {
		panic(err) // strings, numbers, and lists and maps of them
	}
	return b.Bytes()
}

// reference matches a value that is filled in from elsewhere, whatever its form.
const reference = `\$\{`

func schemaOf(k *key) object {
	s := object{}
	if text := k.told(); text != "" {
		s = append(s, member{"description", text})
	}
	if k.initial != "" {
		s = append(s, member{"default", k.defaultValue()})
	}
	if k.later != "" {
		return append(s, member{"not", object{}})
	}
	filledIn := object{{"type", "string"}, {"pattern", reference}}
	// A number has no unit: one of bytes is a size, and 0 is the only other that means something.
	pattern := func(p string, number object) object {
		return append(s, member{"anyOf", []object{{{"type", "string"}, {"pattern", p + "|" + reference}}, number}})
	}
	zero := object{{"const", 0}}
	switch k.form {
	case formMapping:
		return append(s, k.mappingSchema()...)
	case formNamed:
		return append(s, member{"type", "object"}, member{"propertyNames", object{{"pattern", goodName.String()}}},
			member{"minProperties", 1}, member{"additionalProperties", schemaOf(k.each)})
	case formList:
		types := []string{"array", "null"}
		if k.required {
			types = types[:1]
		}
		return append(s, member{"type", types}, member{"items", schemaOf(k.each)})
	case formGlobs:
		return append(s, member{"type", "array"}, member{"minItems", 1}, member{"items", object{{"type", "string"}, {"pattern", `^[A-Za-z0-9._*?-]+$|` + reference}}})
	case formTexts:
		item := object{{"type", "string"}, {"minLength", 1}}
		if len(k.choices) > 0 {
			item = object{{"anyOf", []object{{{"enum", k.choices}}, filledIn}}}
		}
		many := object{{"type", "array"}, {"minItems", 1}, {"items", item}}
		if k.list {
			return append(s, many...)
		}
		return append(s, member{"anyOf", []object{item, many}})
	case formChoice:
		var choices []any
		for _, c := range k.choices {
			choices = append(choices, c)
			if k.anyCase {
				choices = append(choices, strings.ToLower(c))
			} else if numeric(c) {
				choices = append(choices, json.Number(c))
			}
		}
		return append(s, member{"anyOf", []object{{{"enum", choices}}, filledIn}})
	case formFlag:
		return append(s, member{"type", "boolean"})
	case formNumber:
		return append(s, member{"anyOf", []object{
			{{"type", "integer"}, {"minimum", k.least}, {"maximum", k.most}},
			{{"type", "string"}, {"pattern", `^[0-9]+$|` + reference}},
		}})
	case formSize:
		return pattern(`^\s*[0-9]+(\.[0-9]+)?\s*(`+strings.Join(unitNames(), "|")+`)?\s*$`, object{{"type", "number"}, {"minimum", 0}})
	case formRate:
		return pattern(`^\s*(off|0|[0-9]+(\.[0-9]+)?\s*(`+strings.Join(unitNames(), "|")+`)?/s)\s*$`, zero)
	case formDuration:
		return pattern(`^\s*(0|([0-9]+(\.[0-9]*)?|\.[0-9]+)(d|h|ms|m|s|us|µs|ns)([0-9.]+(d|h|ms|m|s|us|µs|ns))*)\s*$`, zero)
	case formAddress:
		return append(s, member{"type", "string"}, member{"pattern", `^(\[[^\]\s]+\]|[^:\s/]+):[0-9]+$|` + reference})
	case formKafka:
		return append(s, member{"type", []string{"string", "number", "boolean"}})
	}
	return append(s, member{"type", "string"}, member{"minLength", 1})
}

func (k *key) mappingSchema() object {
	properties, required := object{}, []string{}
	for _, c := range k.keys {
		properties = append(properties, member{c.name, schemaOf(c)})
		if c.required && !k.elsewhere {
			required = append(required, c.name)
		}
	}
	types := []string{"object", "null"}
	if len(required) > 0 {
		types = types[:1]
	}
	s := object{{"type", types}, {"properties", properties}}
	if len(required) > 0 {
		s = append(s, member{"required", required})
	}
	if k.foreign {
		// Other settings of Kafka's clients are taken, with a note that they have no effect.
		return append(s, member{"additionalProperties", object{{"type", []string{"string", "number", "boolean", "null"}}}})
	}
	return append(s, member{"additionalProperties", false})
}

// told is what the schema and the docs say about a key.
func (k *key) told() string {
	switch {
	case k.later != "":
		return sentence(k.later)
	case k.derived != "":
		return sentence(k.doc) + " Default: " + k.derived + "."
	}
	return sentence(k.doc)
}

func (k *key) defaultValue() any {
	switch k.form {
	case formNumber:
		return json.Number(k.initial)
	case formFlag:
		return k.initial == "true"
	}
	return k.initial
}

func numeric(s string) bool {
	return s != "" && strings.Trim(s, "0123456789.") == ""
}

func unitNames() (names []string) {
	for _, u := range sizeUnits {
		names = append(names, u.name)
	}
	return slices.Clip(names)
}

// wanted says in words how a value is written, for the docs.
func (k *key) wanted() string {
	switch k.form {
	case formPath:
		return "path"
	case formAddress:
		return "host:port"
	case formSize:
		return "size"
	case formRate:
		return "rate or `off`"
	case formDuration:
		return "duration"
	case formNumber:
		if k.least == k.most {
			return fmt.Sprintf("%d", k.least)
		}
		return fmt.Sprintf("%d to %d", k.least, k.most)
	case formFlag:
		return "true or false"
	case formChoice:
		return "`" + strings.Join(k.choices, "`, `") + "`"
	case formTexts:
		if len(k.choices) > 0 {
			return "list of `" + strings.Join(k.choices, "`, `") + "`"
		}
		if k.list {
			return "list"
		}
		return "text or list"
	case formGlobs:
		return "list of patterns"
	}
	return "text"
}
