package logformat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Field is some bytes of a file and what they are. One without bytes is a heading.
type Field struct {
	At    int
	Bytes []byte
	Level int
	Name  string
	Value string
	Text  bool // Value is what the bytes say
}

// reader lays the tables over one file.
type reader struct {
	page   *Page
	file   []byte
	fields []Field
	rules  map[string]func(v values, start, end int) error // what holds for a structure beyond its table
	strict bool                                            // JSON must be JSON
}

// values are the numbers of a structure, by the name of their row, and those of what it lies in.
type values struct {
	own []value
	up  *values
}

type value struct {
	name string
	n    uint64
}

// num is a number of the structure itself; 0 when there is none of that name.
func (v *values) num(name string) uint64 {
	n, _ := v.mine(name)
	return n
}

func (v *values) mine(name string) (uint64, bool) {
	for i := range v.own {
		if v.own[i].name == name {
			return v.own[i].n, true
		}
	}
	return 0, false
}

func (v *values) get(name string) (uint64, bool) {
	for ; v != nil; v = v.up {
		if n, ok := v.mine(name); ok {
			return n, true
		}
	}
	return 0, false
}

// take takes over the numbers of a structure that lies in this one, but for names that it has itself.
func (v *values) take(inner values) {
	for _, one := range inner.own {
		if _, taken := v.mine(one.name); !taken {
			v.own = append(v.own, one)
		}
	}
}

// layout lays a table over the bytes from start on and returns where it ends: at end, when whole is set.
func (r *reader) layout(name string, start, end, level int, whole bool, up *values) (int, values, error) {
	v := values{make([]value, 0, 16), up}
	rows, ok := r.page.layouts[name]
	if !ok {
		return start, v, fmt.Errorf("the page has no table %q", name)
	}
	at := start
	for _, row := range rows {
		var err error
		if at, err = r.row(row, start, at, end, level, &v); err != nil {
			return at, v, fmt.Errorf("%s, %q at byte %d: %w", name, row.Name, at, err)
		}
	}
	if whole && at != end {
		return at, v, fmt.Errorf("%s: bytes %d to %d are in no row of its table", name, at, end-1)
	}
	if rule := r.rules[name]; rule != nil {
		if err := rule(v, start, at); err != nil {
			return at, v, fmt.Errorf("%s at byte %d: %w", name, start, err)
		}
	}
	return at, v, nil
}

func (r *reader) row(row *Row, start, at, end, level int, v *values) (int, error) {
	if row.If != "" {
		n, ok := v.get(row.If)
		if !ok {
			return at, fmt.Errorf("nothing is called %q", row.If)
		}
		if row.Op == "=" && n != row.Than || row.Op == ">" && n <= row.Than || row.Op == "has" && n&row.Than == 0 {
			return at, nil
		}
	}
	if row.At >= 0 && at-start != row.At {
		return at, fmt.Errorf("it is byte %d of the structure, and the table says %d", at-start, row.At)
	}
	to, sized, err := r.size(row, at, end, v)
	if err != nil {
		return at, err
	}
	toEnd, times := row.Each == "…", uint64(1)
	if row.Each != "" && !toEnd {
		var ok bool
		if times, ok = v.get(row.Each); !ok {
			return at, fmt.Errorf("nothing is called %q", row.Each)
		}
	}
	for n := uint64(0); toEnd && at < to || !toEnd && n < times; n++ {
		if at, err = r.one(row, at, to, sized && row.Each == "", level, v); err != nil {
			return at, err
		}
	}
	if sized && at != to {
		return at, fmt.Errorf("it ends at byte %d, and its size says %d", at, to)
	}
	return at, nil
}

// size says where a row's bytes end, or must end at most.
func (r *reader) size(row *Row, at, end int, v *values) (to int, sized bool, err error) {
	switch to, multiple := strings.CutPrefix(row.Size, "to "); {
	case row.Size == "" || strings.Contains(row.Size, "–"):
		return end, false, nil
	case row.Size == "rest":
		return end, true, nil
	case multiple:
		n, err := strconv.Atoi(to)
		if err != nil {
			return at, false, err
		}
		at = min((at+n-1)/n*n, end)
	default:
		n, err := strconv.ParseUint(row.Size, 10, 64)
		if err != nil {
			var ok bool
			if n, ok = v.get(row.Size); !ok {
				return at, false, fmt.Errorf("nothing is called %q", row.Size)
			}
		}
		if n > uint64(end-at) {
			return at, false, fmt.Errorf("%d bytes do not fit into the %d that are left", n, end-at)
		}
		at += int(n)
	}
	if at > end {
		return at, false, fmt.Errorf("it ends at byte %d, and what it lies in at %d", at, end)
	}
	return at, true, nil
}

// one reads one structure or one number.
func (r *reader) one(row *Row, at, to int, whole bool, level int, v *values) (int, error) {
	row.Used = true
	if row.Type == "by" {
		return r.choose(row, at, to, level, v)
	}
	if r.page.layouts[row.Type] == nil {
		return r.leaf(row, at, to, level, v)
	}
	r.fields = append(r.fields, Field{At: at, Level: level, Name: row.Name})
	here := len(r.fields) - 1
	next, inner, err := r.layout(row.Type, at, to, level+1, whole, v)
	if err != nil {
		return next, err
	}
	if row.Each == "" {
		v.take(inner)
	} else {
		r.fields[here].Name += r.title(inner)
	}
	return next, nil
}

// title tells one of many from the others.
func (r *reader) title(v values) string {
	s := ""
	if lsn, ok := v.mine("LSN"); ok {
		s = fmt.Sprintf(" at LSN %d", lsn)
	}
	for _, name := range []string{"book", "kind"} {
		for _, c := range r.page.choices[name] {
			if n, ok := v.mine(name); ok && c.Value == n {
				s += ": " + c.Name
			}
		}
	}
	return s
}

// choose reads the structure that a number stands for.
func (r *reader) choose(row *Row, at, to, level int, v *values) (int, error) {
	n, ok := v.get(row.Unit)
	if !ok {
		return at, fmt.Errorf("nothing is called %q", row.Unit)
	}
	for _, c := range r.page.choices[row.Unit] {
		if c.Value != n {
			continue
		}
		c.Used = true
		if at == to {
			return at, nil
		}
		if c.Layout == "" {
			return at, fmt.Errorf("%s has %d bytes, and the table of %ss says none", c.Name, to-at, row.Unit)
		}
		if r.page.layouts[c.Layout] == nil { // a text alone
			typ, unit, _ := strings.Cut(c.Layout, " ")
			return r.leaf(&Row{Size: "rest", Type: typ, Unit: unit, Name: c.Name}, at, to, level, v)
		}
		at, inner, err := r.layout(c.Layout, at, to, level, true, v)
		v.take(inner)
		return at, err
	}
	return at, fmt.Errorf("no %s has number %d", row.Unit, n)
}

var errZero = errors.New("it is not zero")

// leaf reads one number or text.
func (r *reader) leaf(row *Row, at, to, level int, v *values) (int, error) {
	b := r.file[at:to]
	f := Field{At: at, Level: level, Name: row.Name}
	fixed := map[string]int{"u8": 1, "u32": 4, "u64": 8, "i32": 4, "i64": 8, "be8": 1, "be16": 2, "be32": 4, "be64": 8, "id": 16}
	if n := fixed[row.Type]; n > len(b) || n > 0 && row.Size != strconv.Itoa(n) {
		return at, fmt.Errorf("%s takes %d bytes; the table says %q, and %d are left", row.Type, n, row.Size, len(b))
	}
	var n uint64
	w := len(b)
	counts := true
	switch row.Type {
	case "u8":
		n = uint64(b[0])
	case "u32":
		n = uint64(binary.LittleEndian.Uint32(b))
	case "i32":
		n = uint64(int32(binary.LittleEndian.Uint32(b)))
	case "u64", "i64":
		n = binary.LittleEndian.Uint64(b)
	case "be8":
		n = uint64(int8(b[0]))
	case "be16":
		n = uint64(int16(binary.BigEndian.Uint16(b)))
	case "be32":
		n = uint64(int32(binary.BigEndian.Uint32(b)))
	case "be64":
		n = binary.BigEndian.Uint64(b)
	case "uvarint":
		n, w = binary.Uvarint(b)
	case "varint":
		var s int64
		s, w = binary.Varint(b)
		n = uint64(s)
	case "id":
		f.Value, counts = hyphens(b), false
	case "zeros":
		if len(bytes.Trim(b, "\x00")) > 0 {
			return at, errZero
		}
		counts = false
	case "text", "json":
		f.Value, f.Text, counts = string(b), true, false
		if !utf8.Valid(b) {
			return at, errors.New("it is not UTF-8")
		}
		if row.Type == "json" {
			if err := r.page.object(row.Unit, b); errors.Is(err, errNoJSON) && !r.strict {
				f.Name += " (no JSON: its book passes over it)"
			} else if err != nil {
				return at, err
			}
		}
	case "bytes":
		counts = false
	default:
		return at, fmt.Errorf("nobody knows the type %q", row.Type)
	}
	if w < 0 || w == 0 && (len(b) == 0 && counts || strings.HasSuffix(row.Type, "varint")) { // a number without an end would be read for ever
		return at, errors.New("it is cut short")
	}
	if f.Bytes = b[:w]; counts {
		if !plausible(row.Unit, int64(n)) {
			return at, fmt.Errorf("%d is no time", n)
		}
		v.own = append(v.own, value{row.Name, n})
		f.Value = r.show(row, n)
	}
	if w > 0 {
		r.fields = append(r.fields, f)
	}
	return at + w, nil
}

// plausible: what should be a time lies between 1970 and 2100.
func plausible(unit string, n int64) bool {
	const year = 365 * 24 * time.Hour
	switch unit {
	case "ms":
		return n >= -1 && n < 130*year.Milliseconds()
	case "ns":
		return n >= 0 && n < 130*year.Nanoseconds()
	}
	return true
}

// show is a number as people read it.
func (r *reader) show(row *Row, n uint64) string {
	const layout = "2006-01-02T15:04:05.000Z"
	s := fmt.Sprint(n)
	if signed := row.Type == "varint" || row.Type[0] == 'i' || row.Type[0] == 'b'; signed {
		s = fmt.Sprint(int64(n))
	}
	switch {
	case row.Unit == "crc":
		return fmt.Sprintf("%08x", uint32(n))
	case row.Unit == "ms" && int64(n) >= 0:
		return s + " = " + time.UnixMilli(int64(n)).UTC().Format(layout)
	case row.Unit == "ns":
		return s + " = " + time.Unix(0, int64(n)).UTC().Format(layout)
	}
	for _, c := range r.page.choices[row.Name] {
		if c.Value == n {
			return s + " " + c.Name
		}
	}
	return s
}

func hyphens(b []byte) string {
	h := fmt.Sprintf("%x", b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
