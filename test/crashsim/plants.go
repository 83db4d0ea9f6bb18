package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A plant is a fault in the log's own code: in a file of package wal, some text in place of other text that is there
// once. Who changes that text moves the plant with it; a test says which plants have lost their place.
type plant struct {
	name  string
	file  string
	edits []edit
}

type edit struct{ from, to string }

const never = "if err := error(nil); err != nil {"

var plants = []plant{
	{"entries are shown to the books before they are written", "write.go", []edit{
		{"err := l.persist(group, first, fresh)", "if !fresh {\nl.apply(group, first)\n}\nerr := l.persist(group, first, fresh)"},
		{"	l.apply(group, first)\n	l.setDurable(end)", "	l.setDurable(end)"},
	}},
	{"a failed sync is ignored", "write.go", []edit{{"if err := cur.file.Sync(); err != nil {", "if err := cur.file.Sync(); false {"}}},
	{"after a failure the same segment is written again", "write.go", []edit{{"		fresh = true\n", ""}}},
	{"the name of a new segment is not synced", "write.go", []edit{{"if err := l.cfg.FS.SyncDir(l.cfg.Dir); err != nil {", never}}},
	{"a new segment is not synced before it gets its name", "write.go", []edit{{"if err := f.Sync(); err != nil {", never}}},
	{"another failed sync of the directory is not heeded", "write.go", []edit{{"if l.dirFailures.Load() != failures {", "if l.dirFailures.Load() < failures {"}}},
	{"entries are shown in reverse", "write.go", []edit{{"			b.Apply(&e)", "			defer b.Apply(&e)"}}},
	{"the mark is ahead of the truth", "append.go", []edit{{"PutUint64(body[:], uint64(l.next))", "PutUint64(body[:], uint64(l.next)+64)"}}},
	{"what was perhaps never synced is not written again", "recover.go", []edit{{"l.newSegment(number, first, tail)", "l.newSegment(number, l.next, nil)"}}},
	{"opening does not sync the names that it believes", "recover.go", []edit{{"if err := l.cfg.FS.SyncDir(l.cfg.Dir); err != nil {", never}}},
	{"a segment's number is used twice", "recover.go", []edit{{"number = l.segments[n-1].number + 1", "number = l.segments[n-1].number"}}},
	{"a torn tail is taken for rot", "recover.go", []edit{{"if limit == 0 && at >= m.durable {", "if limit != 0 && at >= m.durable {"}}},
	{"a torn tail is not cut", "recover.go", []edit{{"return at, tail, l.keepTorn(rec, s, at, inFile)", "return inFile, tail, nil"}}},
	{"marks are not looked for: rot is cut", "recover.go", []edit{{"if err := m.search(&sp, s.first); err != nil {", never}}},
	{"numbers below the mark are used again", "recover.go", []edit{{"end = m.durable // LSNs are never used twice", "_ = end"}}},
	{"the end of a group is not missed", "recover.go", []edit{{"if m.end > end && rec.Torn == 0 {", "if m.end > end && rec.Torn < 0 {"}}},
	{"a length is trusted, its checksum not looked at", "format.go", []edit{{"if binary.LittleEndian.Uint32(b) != entryCRC(seed, b, e.Kind, e.Body) {", "if entryCRC(seed, b, e.Kind, e.Body) == 1 {"}}},
	{"an entry may lie where its LSN does not say", "format.go", []edit{{" || binary.LittleEndian.Uint64(b[8:]) != uint64(lsn)", ""}}},
	{"a state's checksum is not looked at", "scan.go", []edit{{"if crc32.Checksum(state, castagnoli) != crc {", "if crc32.Checksum(state, castagnoli) != crc && size < 0 {"}}},
	{"a batch's own checksum is not looked at", "format.go", []edit{{"if deep && e.Kind == KindBatch {", "if deep && e.Kind == maxKind {"}}},
	{"damage is skipped in silence", "read.go", []edit{{"return &CorruptError{Segment: s.name, From: from, To: to, Err: errEntry}", "return nil"}}},
	{"what is not durable can be read", "read.go", []edit{{"limit := durable", "limit := durable + 1<<20"}}},
	{"the manifest's checksum is not looked at", "manifest.go", []edit{{"at >= 0 && string(b[at:]) != crcField(b[:at])", "at >= 0 && crcField(b[:at]) == \"\""}}},
	{"removals are synced two at a time", "release.go", []edit{{"		n++\n", "		if n++; n%2 == 1 {\n			continue\n		}\n"}}},
	{"one state is enough for a release", "release.go", []edit{{"whole < 2", "whole < 1"}}},
	{"the last segment below a release goes too", "release.go", []edit{{"l.segments[1].first > lsn", "l.segments[0].first > lsn"}}},
}

// apply makes the edits in the text of the file.
func (p *plant) apply(text string) (string, error) {
	for _, e := range p.edits {
		if n := strings.Count(text, e.from); n != 1 {
			return "", fmt.Errorf("plant %q: its place in wal/%s is there %d times: %q; move the plant to where the code went", p.name, p.file, n, e.from)
		}
		text = strings.Replace(text, e.from, e.to, 1)
	}
	return text, nil
}

// overlay writes the changed file and says what it stands for, as the go command's -overlay wants it.
func (p *plant) overlay(ctx context.Context, dir string) (map[string]string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", wal).Output()
	if err != nil {
		return nil, fmt.Errorf("find package wal: %w", err)
	}
	path := filepath.Join(strings.TrimSpace(string(out)), p.file)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	text, err := p.apply(string(b))
	if err != nil {
		return nil, err
	}
	changed := filepath.Join(dir, "planted.go")
	if err := os.WriteFile(changed, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return map[string]string{path: changed}, nil
}
