package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Bounds of include: more than any config has, and less than what would take long to read.
const (
	maxIncludeDepth = 4
	maxIncluded     = 100     // files
	maxTotalSize    = 4 << 20 // of all files together, in bytes
)

// including is a reader of included files. They become one tree with the file that names them: each value keeps the
// place where it stands.
type including struct {
	d     *decoder
	root  *value
	from  map[string]string // files read, and by which
	bytes int
	over  bool // a bound was said to be passed
}

// include adds the files that root names. size is that of its own.
func (d *decoder) include(root *value, size int) {
	i := &including{d: d, root: root, from: map[string]string{absolute(d.file): ""}, bytes: size}
	i.follow(root, d.file, []string{d.file})
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return filepath.Clean(path)
}

// follow reads what the top of one file includes. chain are the files that led here, the main one first.
func (i *including) follow(top *value, file string, chain []string) {
	at := top.at("include")
	if at == nil || at.broken {
		return
	}
	patterns := []*value{at}
	if at.kind == list {
		patterns = at.items
	}
	for _, p := range patterns {
		if text := i.d.text(p, ""); text != "" {
			i.pattern(p, text, file, chain)
		}
	}
}

// pattern reads the files that a pattern names, in the order of their names.
func (i *including) pattern(at *value, pattern, file string, chain []string) {
	d := i.d
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(filepath.Dir(file), pattern)
	}
	if strings.ContainsAny(filepath.Dir(pattern), `*?[\`) {
		d.wrong(at, "has a pattern in the name of a directory; name the directory, as in conf.d/*.yaml")
		return
	}
	names := []string{pattern}
	if strings.ContainsAny(filepath.Base(pattern), `*?[\`) {
		var err error
		if names, err = filepath.Glob(pattern); err != nil {
			d.wrong(at, "is no pattern of file names: a [ is not closed, or a \\ ends it")
			return
		}
		d.files = append(d.files, filepath.Dir(pattern)) // where another may come
	}
	if len(chain) > maxIncludeDepth {
		d.wrong(at, "is nested too deeply: %s; include the files from fewer", strings.Join(chain, " → "))
		return
	}
	slices.Sort(names)
	for _, name := range names {
		if i.over {
			return
		}
		i.file(at, name, chain)
	}
}

func (i *including) file(at *value, name string, chain []string) {
	d := i.d
	abs := absolute(name)
	if in := slices.IndexFunc(chain, func(c string) bool { return absolute(c) == abs }); in >= 0 {
		d.wrong(at, "goes in a circle: %s → %s", strings.Join(chain[in:], " → "), name)
		return
	}
	if by, read := i.from[abs]; read {
		d.wrong(at, "names %s, which %s includes already", name, by)
		return
	}
	if len(i.from) > maxIncluded {
		i.over = true
		d.wrong(at, "leads to more than %d files; join some", maxIncluded)
		return
	}
	i.from[abs] = chain[len(chain)-1]
	d.files = append(d.files, name)
	src, err := readFile(name)
	if err != nil {
		d.wrong(at, "the file %s cannot be read: %v", name, err)
		return
	}
	if i.bytes += len(src); i.bytes > maxTotalSize {
		i.over = true
		d.wrong(at, "leads to more than %d MiB of files", maxTotalSize>>20)
		return
	}
	part := &decoder{file: name, env: d.env, secrets: d.secrets, prints: d.prints, part: true}
	top := part.read(src)
	d.findings, d.files = append(d.findings, part.findings...), append(d.files, part.files...)
	if top == nil {
		at.broken = true
		return
	}
	stand(top, name)
	i.follow(top, name, append(slices.Clip(chain), name))
	i.merge(i.root, top, declared)
}

// stand notes in which file a value stands.
func stand(v *value, file string) {
	if v.file == "" {
		v.file = file
	}
	for _, e := range v.entries {
		stand(e.value, file)
	}
	for _, item := range v.items {
		stand(item, file)
	}
}

// merge adds what a file has. A key comes in one file; mappings are joined, and so are the lists that are declared to be.
func (i *including) merge(to, from *value, k *key) {
	for _, e := range from.entries {
		if k == declared && e.key == "include" {
			continue // followed
		}
		at := slices.IndexFunc(to.entries, func(t entry) bool { return t.key == e.key })
		if at < 0 {
			to.entries = append(to.entries, e)
			continue
		}
		there, child := to.entries[at].value, k.child(e.key)
		if child == nil && k != nil && k.form == formNamed {
			child = k.each
		}
		switch {
		case there.kind == mapping && e.value.kind == mapping:
			i.merge(there, e.value, child)
		case there.kind == list && e.value.kind == list && child != nil && child.joined:
			for _, item := range e.value.items {
				moved(item, item.path, fmt.Sprintf("%s[%d]", there.path, len(there.items)))
				there.items = append(there.items, item)
			}
		case e.key == "version" && k == declared && e.value.text == there.text:
		default:
			first := i.d.file
			if there.file != "" {
				first = there.file
			}
			i.d.foundIn(e.value.file, Error, e.line, e.column, e.value.path, "comes twice; the first is in %s:%d:%d", first, to.entries[at].line, to.entries[at].column)
			there.broken = true // which of the two counts, nobody knows
		}
	}
}

// moved gives what was at one path another.
func moved(v *value, from, to string) {
	v.path = to + strings.TrimPrefix(v.path, from)
	for _, e := range v.entries {
		moved(e.value, from, to)
	}
	for _, item := range v.items {
		moved(item, from, to)
	}
}
