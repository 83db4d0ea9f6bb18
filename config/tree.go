package config

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/streamdown/streamdown/connect/kafka/credentials"
)

// kind is what a value is in YAML.
type kind uint8

const (
	nothing kind = iota // null, or no value after the colon
	text
	number
	boolean
	mapping
	list
)

var kindNames = [...]string{"nothing", "text", "a number", "true or false", "a mapping", "a list"}

func (k kind) String() string { return kindNames[k] }

// value is one node of the file, freed of YAML: the rest of the package knows nothing else.
type value struct {
	key          *key // what it is the value of, nil if nothing is declared here
	path         string
	file         string // where it stands, empty = in the config itself
	line, column int
	kind         kind
	text         string            // of a scalar, references filled in
	source       credentials.Value // of a scalar: what text was filled in from
	secret       bool              // text must not be printed
	literal      bool              // text stands in the file and came from nowhere else
	property     bool              // stands in a properties file
	broken       bool              // an error was found with it already; one is enough
	entries      []entry
	items        []*value
}

// entry is a key with its value.
type entry struct {
	key          string
	line, column int
	value        *value
}

// decoder carries what reading one file needs and what it found.
type decoder struct {
	file     string
	env      func(string) (string, bool)
	findings Findings
	secrets  map[string]bool
	prints   map[string]fingerprint
	files    []string
	part     bool // of a config: the file is included by another
}

//nolint:unparam // its callers say how grave it is, as those of foundIn do
func (d *decoder) found(s Severity, line, column int, key, format string, args ...any) *Finding {
	return d.foundIn("", s, line, column, key, format, args...)
}

// foundIn notes a finding in another file; "" is the config itself.
func (d *decoder) foundIn(file string, s Severity, line, column int, key, format string, args ...any) *Finding {
	if file == "" {
		file = d.file
	}
	d.findings = append(d.findings, Finding{
		File: file, Line: line, Column: column, Key: key, Severity: s, Text: fmt.Sprintf(format, args...),
	})
	return &d.findings[len(d.findings)-1]
}

func (d *decoder) wrong(v *value, format string, args ...any) *Finding {
	v.broken = true
	return d.foundIn(v.file, Error, v.line, v.column, v.path, format, args...)
}

func (d *decoder) warn(v *value, format string, args ...any) {
	d.foundIn(v.file, Warning, v.line, v.column, v.path, format, args...)
}

// read turns the source into values. It returns nil if nothing can be made of it, and has said why.
func (d *decoder) read(src []byte) *value {
	if len(src) > maxSourceSize {
		d.found(Error, 0, 0, "", "is larger than 1 MiB")
		return nil
	}
	if line, column, wrong := shape(src); wrong != "" {
		d.found(Error, line, column, "", "%s", wrong)
		return nil
	}
	file, err := parseYAML(src)
	if err != nil {
		var at yaml.Error
		if errors.As(err, &at) && at.GetToken() != nil && at.GetToken().Position != nil {
			p := at.GetToken().Position
			hint := ""
			if lines := bytes.Split(src, []byte("\n")); p.Line >= 1 && p.Line <= len(lines) && bytes.Contains(lines[p.Line-1], []byte("${")) {
				hint = `; within braces or brackets a value with ${…} needs quotes: "${…}"`
			}
			d.found(Error, p.Line, p.Column, "", "is not YAML: %s%s", at.GetMessage(), hint)
		} else {
			line, _, _ := strings.Cut(err.Error(), "\n") // what follows quotes the file, secrets included
			d.found(Error, 0, 0, "", "is not YAML: %s", line)
		}
		return nil
	}
	var bodies []ast.Node
	for _, doc := range file.Docs {
		if doc != nil && doc.Body != nil {
			bodies = append(bodies, doc.Body)
		}
	}
	if len(bodies) == 0 {
		if d.part {
			return &value{kind: mapping, line: 1, column: 1}
		}
		d.found(Error, 0, 0, "", "is empty; to get a commented example: streamdown init")
		return nil
	}
	root := d.convert(bodies[0], "", false, 1, 1, 0)
	if len(bodies) > 1 {
		line, column := position(bodies[1], 0, 0)
		d.found(Error, line, column, "", "a second document begins here; one file holds one config")
	}
	if root.kind != mapping {
		d.found(Error, root.line, root.column, "", "holds %s; want a mapping that begins with: version: 1", root.kind)
		return nil
	}
	return root
}

// parseYAML guards against a parser that gives up loudly: its input is a file that a person is still writing.
func parseYAML(src []byte) (file *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the parser cannot read it (%v)", r)
		}
	}()
	return parser.ParseBytes(src, 0, parser.AllowDuplicateMapKey())
}

// maxDepth is more than any config has, and less than what exhausts the stack.
const maxDepth = 20

// convert makes a value of a node. line and column are those of its key, for nodes that have no place of their own;
// secret says that the key sounds like one.
func (d *decoder) convert(n ast.Node, path string, secret bool, line, column, depth int) *value {
	v := &value{path: path, secret: secret}
	v.line, v.column = position(n, line, column)
	if depth > maxDepth {
		d.wrong(v, "is nested too deeply")
		return v
	}
	switch n := n.(type) {
	case nil, *ast.NullNode:
	case *ast.MappingNode:
		d.entries(v, n.Values, depth)
	case *ast.MappingValueNode:
		d.entries(v, []*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		v.kind = list
		for i, item := range n.Values {
			line, column := v.line, v.column
			if i < len(n.Entries) && n.Entries[i] != nil && n.Entries[i].Start != nil && n.Entries[i].Start.Position != nil {
				line, column = n.Entries[i].Start.Position.Line, n.Entries[i].Start.Position.Column
			}
			v.items = append(v.items, d.convert(item, fmt.Sprintf("%s[%d]", path, i), secret, line, column, depth+1))
		}
	case *ast.StringNode:
		d.scalar(v, text, n.Value)
	case *ast.LiteralNode:
		content := ""
		if n.Value != nil {
			content = n.Value.Value
		}
		d.scalar(v, text, content)
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		d.scalar(v, number, n.GetToken().Value)
	case *ast.BoolNode:
		d.scalar(v, boolean, n.GetToken().Value)
	case *ast.AnchorNode, *ast.AliasNode:
		d.wrong(v, "anchors and aliases are not used here; write the value itself")
	case *ast.TagNode:
		d.wrong(v, "tags are not used here; write the plain value")
	default:
		d.wrong(v, "this YAML is not used here; write a plain value")
	}
	return v
}

// entries fills in a mapping. A key that comes twice is a finding; the first one counts.
func (d *decoder) entries(v *value, pairs []*ast.MappingValueNode, depth int) {
	v.kind = mapping
	seen := make(map[string]int)
	for _, pair := range pairs {
		if pair == nil || pair.Key == nil {
			continue
		}
		at := pair.Key.GetToken()
		line, column := v.line, v.column
		if at != nil && at.Position != nil {
			line, column = at.Position.Line, at.Position.Column
		}
		name, ok := pair.Key.(*ast.StringNode)
		if !ok {
			if num, isNumber := pair.Key.(*ast.IntegerNode); isNumber {
				d.found(Error, line, column, join(v.path, num.String()), "a key must be text; quote it")
			} else {
				d.found(Error, line, column, v.path, "a key must be plain text; merge keys, tags and nested keys are not used here")
			}
			continue
		}
		key := name.Value
		path := join(v.path, key)
		if first, again := seen[key]; again {
			d.found(Error, line, column, path, "comes twice; the first is in line %d", first)
			continue
		}
		seen[key] = line
		e := entry{key: key, line: line, column: column}
		e.value = d.convert(pair.Value, path, secretive(key) && !places[path], line, column, depth+1)
		v.entries = append(v.entries, e)
	}
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_./*-]+$`)

func join(path, key string) string {
	if !plainKey.MatchString(key) {
		key = strconv.Quote(key) // findings have one line each, and a terminal obeys what it is sent
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// position returns where a node begins, or the place given if it has none.
func position(n ast.Node, line, column int) (int, int) {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 && m.Values[0].Key != nil {
		n = m.Values[0].Key
	}
	if n == nil {
		return line, column
	}
	t := n.GetToken()
	if t == nil || t.Position == nil || t.Type == token.ImplicitNullType {
		return line, column
	}
	return t.Position.Line, t.Position.Column
}

// scalar sets the text of a value with its references filled in.
func (d *decoder) scalar(v *value, k kind, raw string) {
	v.kind, v.text, v.source, v.literal = k, raw, credentials.Text(raw), !strings.Contains(raw, "${")
	if k == text && strings.Contains(raw, "$") {
		d.expand(v, raw)
	}
}

// said returns the text of a value for a message, quoted, or a phrase in its place if it must not be shown.
func (v *value) said() string {
	if v.secret {
		return "the value (not shown)"
	}
	if len(v.text) > 80 {
		return fmt.Sprintf("%q…", v.text[:80])
	}
	return fmt.Sprintf("%q", v.text)
}
