package logformat

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Segment is one explained file of a log.
type Segment struct {
	Name    string
	File    []byte
	Fields  []Field
	Entries []Entry
}

// Entry is the header of one entry, with its place in the file.
type Entry struct {
	Position int
	LSN      uint64
	Kind     uint64
	Lane     uint64
	Ordinal  int64
	Records  int32
	Size     uint64 // of the body
	CRC      uint32
}

// Manifest is what the file of that name says.
type Manifest struct {
	Format  int    `json:"format"`
	Log     string `json:"log"`
	Durable uint64 `json:"durable"`
}

var segmentName = regexp.MustCompile(`^(\d{10,})-(\d{20})\.wal$`)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Explain names every byte of the segments, the manifest and the mark of a refuge among the files of a log that was
// closed, or says which byte it cannot name. The names of all files must be in the table of files. With strict set, what
// should be JSON must be.
func (p *Page) Explain(files map[string][]byte, strict bool) ([]*Segment, error) {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if p.File(name) == "" {
			return nil, fmt.Errorf("file %s is in no row of the table of files", name)
		}
		if segmentName.MatchString(name) {
			names = append(names, name)
		}
	}
	m, err := p.manifest(files["manifest"])
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	if b, ok := files["refuge"]; ok {
		if err := p.object("refuge", b); err != nil {
			return nil, fmt.Errorf("refuge: %w", err)
		}
	}
	var out []*Segment
	for i, name := range names {
		limit := m.Durable
		if i+1 < len(names) {
			limit = first(names[i+1])
		}
		s, err := p.segment(name, files[name], m.Log, limit, strict)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, s)
	}
	return out, nil
}

func first(name string) uint64 {
	n, _ := strconv.ParseUint(segmentName.FindStringSubmatch(name)[2], 10, 64) // digits
	return n
}

// manifest holds the text against its checksum and its table of keys.
func (p *Page) manifest(b []byte) (*Manifest, error) {
	const field = `,"crc":"`
	at := bytes.LastIndex(b, []byte(field))
	if at < 0 {
		return nil, errors.New("it has no checksum")
	}
	if want := fmt.Sprintf("%s%08x\"}\n", field, crc32.Checksum(b[:at], castagnoli)); string(b[at:]) != want {
		return nil, fmt.Errorf("it ends with %q, want %q", b[at:], want)
	}
	if err := p.object("manifest", b); err != nil {
		return nil, err
	}
	m := &Manifest{}
	return m, json.Unmarshal(b, m)
}

// segment explains one file whose entries end at LSN limit.
func (p *Page) segment(name string, file []byte, log string, limit uint64, strict bool) (*Segment, error) {
	m := segmentName.FindStringSubmatch(name)
	number, _ := strconv.ParseUint(m[1], 10, 64) // digits
	s := &Segment{Name: name, File: file}
	id, err := hex.DecodeString(strings.ReplaceAll(log, "-", ""))
	if err != nil {
		return nil, err
	}
	k := &checks{file: file, number: number, first: first(name), id: id, out: s}
	r := &reader{page: p, file: file, strict: strict, rules: map[string]func(values, int, int) error{
		"header": k.header, "segment": k.segment, "entry": k.entry, "batch": k.batch,
	}}
	k.r = r
	if limit < k.first {
		return nil, fmt.Errorf("it begins at %d, and ends at %d", k.first, limit)
	}
	up := &values{own: []value{{"entries size", limit - k.first}}}
	if _, _, err := r.layout("segment", 0, len(file), 0, true, up); err != nil {
		return nil, err
	}
	if k.group != 0 && k.group != limit {
		return nil, fmt.Errorf("the last group ends at %d, and the segment at %d", k.group, limit)
	}
	s.Fields = r.fields
	return s, s.tiled()
}

// tiled says whether the fields cover the file, each byte once.
func (s *Segment) tiled() error {
	at := 0
	for _, f := range s.Fields {
		if len(f.Bytes) == 0 {
			continue
		}
		if f.At != at {
			return fmt.Errorf("bytes %d to %d are in no field, or in two", min(at, f.At), max(at, f.At)-1)
		}
		at += len(f.Bytes)
	}
	if at != len(s.File) {
		return fmt.Errorf("bytes %d to %d are in no field", at, len(s.File)-1)
	}
	return nil
}

// checks is what the text of the page says besides its tables.
type checks struct {
	file   []byte
	number uint64
	first  uint64
	id     []byte
	r      *reader
	out    *Segment
	group  uint64 // where the last group ends
}

var errChecksum = errors.New("the checksum does not match")

func (k *checks) header(v values, start, _ int) error {
	switch {
	case string(k.file[start:start+8]) != "SDWAL\x00\x00\x01":
		return errors.New("the magic is another")
	case crc32.Checksum(k.file[start:start+60], castagnoli) != uint32(v.num("header crc")):
		return errChecksum
	case v.num("number") != k.number || v.num("first LSN") != k.first:
		return fmt.Errorf("it is that of segment %d at %d", v.num("number"), v.num("first LSN"))
	case string(k.file[8:24]) != string(k.id):
		return errors.New("it names another log than the manifest")
	}
	return nil
}

func (k *checks) segment(v values, _, end int) error {
	size := int(v.num("state size"))
	if crc32.Checksum(k.file[64:64+size], castagnoli) != uint32(v.num("state crc")) {
		return fmt.Errorf("state: %w", errChecksum)
	}
	if pages := int(v.num("pages")); end < pages*4096 {
		return fmt.Errorf("the file had %d pages when it was written over, and has %d bytes", pages, end)
	} else if old := k.r.fields[len(k.r.fields)-1]; pages > 0 && old.Name == "earlier life" && old.At%4096 != 0 {
		return fmt.Errorf("the page at byte %d is not filled up", old.At)
	}
	return nil
}

func (k *checks) entry(v values, start, end int) error {
	e := Entry{
		Position: start, LSN: v.num("LSN"), Kind: v.num("kind"), Lane: v.num("lane"),
		Ordinal: int64(v.num("ordinal")), Records: int32(v.num("records")), Size: v.num("size"), CRC: uint32(v.num("entry crc")),
	}
	covered := k.file[start+48 : start+48+int(e.Size)]
	if e.Kind == 3 && len(covered) > 21 {
		covered = covered[:21]
	}
	crc := crc32.Checksum(k.id, castagnoli)
	crc = crc32.Update(crc, castagnoli, k.file[start+4:start+48])
	crc = crc32.Update(crc, castagnoli, covered)
	stateSize, _ := v.get("state size")
	position := 64 + (stateSize+7)/8*8 + e.LSN - k.first
	switch {
	case crc != e.CRC:
		return errChecksum
	case uint64(start) != position:
		return fmt.Errorf("its LSN %d belongs at byte %d", e.LSN, position)
	case (e.LSN == k.group || k.group == 0) != (e.Kind == 1):
		return fmt.Errorf("the entry at %d is of kind %d, and the group before it ends at %d", e.LSN, e.Kind, k.group)
	case e.Kind == 1 && v.num("durable") != e.LSN:
		return fmt.Errorf("the mark at %d says %d", e.LSN, v.num("durable"))
	case e.Kind == 1 && e.Ordinal < int64(e.LSN)+int64(end-start):
		return fmt.Errorf("the mark at %d says that its group ends at %d", e.LSN, e.Ordinal)
	}
	if e.Kind == 1 {
		k.group = uint64(e.Ordinal)
	}
	k.out.Entries = append(k.out.Entries, e)
	return nil
}

func (k *checks) batch(v values, start, end int) error {
	switch {
	case v.num("length") != uint64(end-start-12):
		return fmt.Errorf("its length says %d", v.num("length"))
	case v.num("magic") != 2:
		return errors.New("it is not of magic 2")
	case crc32.Checksum(k.file[start+21:end], castagnoli) != uint32(v.num("batch crc")):
		return fmt.Errorf("batch: %w", errChecksum)
	}
	return nil
}
