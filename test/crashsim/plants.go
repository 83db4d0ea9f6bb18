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
		{"err := l.persist(group, first, failed)", "if !failed {\nl.apply(group, first)\n}\nerr := l.persist(group, first, failed)"},
		{"	l.apply(group, first)\n	l.setDurable(end)", "	l.setDurable(end)"},
	}},
	{"a failed sync is ignored", "write.go", []edit{{"if err := cur.file.Sync(); err != nil {", "if err := cur.file.Sync(); false {"}}},
	{"after a failure the same segment is written again", "write.go", []edit{{"		failed = true\n", ""}}},
	{"a segment goes on although another one that cuts it may be found", "write.go", []edit{{"if failed || l.tried.number > cur.number {", "if failed {"}}},
	{"entries are shown in reverse", "write.go", []edit{{"			b.Apply(&e)", "			defer b.Apply(&e)"}}},

	{"the name of a new segment is not synced", "segment.go", []edit{{"if err := l.cfg.FS.SyncDir(dir); err != nil {", never}}},
	{"the directory of the refuge is not synced", "segment.go", []edit{{
		"if err := l.cfg.FS.SyncDir(dir); err != nil {", "if dir == l.cfg.Refuge {\n} else if err := l.cfg.FS.SyncDir(dir); err != nil {",
	}}},
	{"a new segment is not synced before it gets its name", "segment.go", []edit{{"if err := s.file.Sync(); err != nil {", never}}},
	{"a segment that is written over is not synced before it gets its name", "segment.go", []edit{{
		"if err := s.file.Sync(); err != nil {", "if over != nil {\n} else if err := s.file.Sync(); err != nil {",
	}}},
	{"another failed sync of the directory is not heeded", "segment.go", []edit{{"if l.dirFailures.Load() != failures {", "if l.dirFailures.Load() < failures {"}}},
	{"a try that failed and has its name is not released", "segment.go", []edit{{"if l.tried.number == s.number {", "if l.tried.number < s.number {"}}},
	{"a number is used in both directories", "segment.go", []edit{{"return max(atLeast, l.tried.number+1)", "return atLeast"}}},
	{"a name that is perhaps durable is taken away, and its number used again", "segment.go", []edit{
		{"		_ = l.cfg.FS.Remove(tmp)\n", "		_ = l.cfg.FS.Remove(tmp)\n		_ = l.cfg.FS.Remove(s.path)\n"},
	}},
	{"a page is written whole without what was in front", "segment.go", []edit{{
		"	for len(b) > 0 {", "	if n := at % page; at > s.start && pages(at+int64(len(b))) <= s.room {\n		b, at = append(make([]byte, n), b...), at-n\n	}\n	for len(b) > 0 {",
	}}},
	{"the header says a page too many", "segment.go", []edit{{"h.pages = uint32(s.room / page)", "h.pages = uint32(s.room/page) + 1"}}},

	{"a released segment is written over before its old name is gone", "release.go", []edit{{
		"		err = l.cfg.FS.SyncDir(filepath.Dir(s.path))\n", "		if kept == nil {\n			err = l.cfg.FS.SyncDir(filepath.Dir(s.path))\n		}\n",
	}}},
	{"a released segment is written over although another sync of its directory failed meanwhile", "release.go", []edit{{
		"kept != nil && l.dirFailures.Load() != failures", "kept != nil && l.dirFailures.Load() < failures",
	}}},
	{"a release syncs the first directory, whatever the segment's", "release.go", []edit{{"l.cfg.FS.SyncDir(filepath.Dir(s.path))", "l.cfg.FS.SyncDir(filepath.Clean(l.cfg.Dir))"}}},
	{"removals are synced two at a time", "release.go", []edit{{"		n++\n", "		if n++; n%2 == 1 {\n			continue\n		}\n"}}},
	{"one state is enough for a release", "release.go", []edit{{"whole < 2", "whole < 1"}}},
	{"the last segment below a release goes too", "release.go", []edit{{"l.segments[1].first > lsn", "l.segments[0].first > lsn"}}},
	{"a release gives up when a name is gone already", "release.go", []edit{{
		"if err := l.cfg.FS.Remove(s.path); err != nil && !vfs.IsNotExist(err) {", "if err := l.cfg.FS.Remove(s.path); err != nil {",
	}}},

	{"a spare is used twice", "spare.go", []edit{{"	*from = (*from)[:n-1]", "	if from != &l.spares {\n		*from = (*from)[:n-1]\n	}"}}},
	{"the reserve is used twice", "spare.go", []edit{{"	*from = (*from)[:n-1]", "	if from != &l.reserves {\n		*from = (*from)[:n-1]\n	}"}}},
	{"the reserve is not made", "spare.go", []edit{{"		if n == maxReserves {", "		if n <= maxReserves {"}}},
	{"a full disk is full for ever", "spare.go", []edit{{"free < uint64(2*l.reserveSize())", "free > 0"}}},
	{"the log never comes home", "spare.go", []edit{{"	if !l.refuge.main(now) {", "	if !now.IsZero() {"}}},
	{"a released segment of the refuge is kept for the first directory", "spare.go", []edit{{"if !s.sealed || !s.inDir(l.cfg.Dir) {", "if !s.sealed {"}}},

	{"the refuge is believed before it is durable", "refuge.go", []edit{{"if man == nil || man.Refuge != dir || err != nil || home != l.cfg.Dir {", "if mark.IsZero() {"}}},
	{"the manifest does not name the refuge", "manifest.go", []edit{{"Refuge: l.cfg.Refuge, Bound", "Refuge: \"\", Bound"}}},
	{"a refuge is used before the manifest that names it is durable", "refuge.go", []edit{{"named == dir && man.Bound && !mark.IsZero()", "named == dir && !mark.IsZero()"}}},
	{"the refuge is not read at recovery", "recover.go", []edit{{"return []string{l.cfg.Dir, l.cfg.Refuge}", "return []string{l.cfg.Dir}"}}},
	{"opening does not sync the names that it believes", "recover.go", []edit{{
		"if err := l.cfg.FS.SyncDir(dir); err != nil {", "if err := error(nil); dir == \"\" && err != nil {",
	}}},
	{"opening does not sync the names of the refuge", "recover.go", []edit{{
		"if err := l.cfg.FS.SyncDir(dir); err != nil {", "if dir == l.cfg.Refuge {\n} else if err := l.cfg.FS.SyncDir(dir); err != nil {",
	}}},
	{"what was perhaps never synced is not written again", "recover.go", []edit{{"l.begin(number, first, tail)", "l.begin(number, l.next, nil)"}}},
	{"a segment's number is used twice", "recover.go", []edit{{"number = l.segments[n-1].number + 1", "number = l.segments[n-1].number"}}},
	{"a torn tail is taken for rot", "recover.go", []edit{{"if limit == 0 && at >= m.durable {", "if limit != 0 && at >= m.durable {"}}},
	{"a torn tail is not cut", "recover.go", []edit{{"return at, tail, l.keepTorn(rec, &sp, s, at, m)", "return inFile, tail, nil"}}},
	{"marks are not looked for: rot is cut", "recover.go", []edit{{"if err := m.search(&sp, s.first); err != nil {", never}}},
	{"numbers below the mark are used again", "recover.go", []edit{{"end = m.durable // LSNs are never used twice", "_ = end"}}},
	{"the end of a group is not missed", "recover.go", []edit{{"if m.end > end && rec.Torn == 0 {", "if m.end > end && rec.Torn < 0 {"}}},
	{"a cut of a file that was written over is not missed", "recover.go", []edit{{"if limit == 0 && size < s.room && rec.Torn == 0 {", "if limit == 0 && size < s.room && rec.Torn < 0 {"}}},
	{"what a file held before is taken for a torn tail", "recover.go", []edit{{"	if at >= s.room {", "	if at >= 0 {"}}},
	{"of a torn tail over an old file only whole entries are missed", "recover.go", []edit{{"	if len(bytes.Trim(rest[:n], \"\\x00\")) > 0 {", "	if len(rest) < 0 {"}}},

	{"the mark is ahead of the truth", "append.go", []edit{{"PutUint64(body[:], uint64(l.next))", "PutUint64(body[:], uint64(l.next)+64)"}}},
	{"batches are taken on a full disk", "append.go", []edit{{"if l.tight.Load() {", "if l.tight.Load() && l.next == 0 {"}}},
	{"a length is trusted, its checksum not looked at", "format.go", []edit{{"if binary.LittleEndian.Uint32(b) != entryCRC(seed, b, e.Kind, e.Body) {", "if entryCRC(seed, b, e.Kind, e.Body) == 1 {"}}},
	{"an entry may lie where its LSN does not say", "format.go", []edit{{" || binary.LittleEndian.Uint64(b[8:]) != uint64(lsn)", ""}}},
	{"a batch's own checksum is not looked at", "format.go", []edit{{"if deep && e.Kind == KindBatch {", "if deep && e.Kind == maxKind {"}}},
	{"a state's checksum is not looked at", "scan.go", []edit{{"if crc32.Checksum(state, castagnoli) != crc {", "if crc32.Checksum(state, castagnoli) != crc && size < 0 {"}}},
	{"damage is skipped in silence", "read.go", []edit{{"return &CorruptError{Segment: s.name, From: from, To: to, Err: errEntry}", "return nil"}}},
	{"what is not durable can be read", "read.go", []edit{{"limit := durable", "limit := durable + 1<<20"}}},
	{"the manifest's checksum is not looked at", "manifest.go", []edit{{"at >= 0 && string(b[at:]) != crcField(b[:at])", "at >= 0 && crcField(b[:at]) == \"\""}}},
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
