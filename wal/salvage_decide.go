package wal

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/streamdown/streamdown"
)

// work is what Run has to do, in this order: export, write, rename.
type work struct {
	writes []fresh
	moves  moves
	stamp  int64 // of the names that it gives
}

// fresh is a file to be written under name+freshSuffix.
type fresh struct {
	dir, name string
	text      []byte // all of it; or
	m         *member
	state     []byte         // a new one, with a new header; nil = both as they are
	end       streamdown.LSN // of the entries
	size      int64
}

// decide makes a plan of what was found.
func (s *Salvage) decide() error {
	s.describe()
	w := &s.work
	w.stamp = s.stamp()
	w.moves = moves{Format: 1, Refuge: s.plan.Refuge, Record: fmt.Sprintf("salvage-%d.json", w.stamp), Plan: &s.plan}
	if s.cfg.Export != "" {
		if err := s.planExport(); err != nil {
			return err
		}
	}
	s.plan.Segments = len(s.chain)
	switch why := s.hopeless(); {
	case s.which != "":
		s.plan.Verdict, s.plan.Why, s.plan.Export = SalvageWhich, s.which, nil
	case why == "":
		s.repair()
		s.plan.Verdict = SalvageNothing
		if len(s.plan.Steps) > 0 {
			s.plan.Verdict = SalvageRepair
		}
	case s.none():
		s.plan.Verdict, s.plan.Why = SalvageNoLog, errNoLog.Error()
	default:
		s.plan.Verdict, s.plan.Why = SalvageHopeless, why
		if s.cfg.NewLog {
			s.plan.Verdict = SalvageNewLog
			s.makeWay()
		}
	}
	return s.measure()
}

// none reports whether there is nothing at all that could be a log or a part of one.
func (s *Salvage) none() bool {
	return s.man == nil && s.manErr == nil && !slices.ContainsFunc(s.files, func(f *found) bool { return f.candidate() || f.segmentNamed() })
}

// hopeless says why the log cannot be opened, whatever is done; empty if it can.
func (s *Salvage) hopeless() string {
	switch {
	case len(s.chain) == 0 && !slices.ContainsFunc(s.files, (*found).segmentNamed):
		return "there is no segment; is the right disk mounted?"
	case !s.seeded || len(s.chain) == 0:
		return "in no segment is anything whole"
	case s.id.IsZero():
		return "the log's id is lost, and with it who its records are"
	case s.survey.whole == 0 && len(s.survey.states) == 0:
		return errStateLost.Error() + ", and the log does not go back to its beginning: which records are at the target, and which come next, cannot be told"
	}
	return ""
}

// stamp is a time that no name in the directories ends with yet.
func (s *Salvage) stamp() int64 {
	at := s.cfg.Now().Unix()
	for slices.ContainsFunc(s.files, func(f *found) bool {
		return strings.HasSuffix(f.name, fmt.Sprintf("-%d", at)) || strings.HasSuffix(f.name, fmt.Sprintf("-%d.json", at))
	}) {
		at++
	}
	return at
}

func (s *Salvage) step(do string, f *found, to string, size int64, why string) {
	s.plan.Steps = append(s.plan.Steps, SalvageStep{Do: do, Dir: f.dir, Name: f.name, To: to, Size: size, Why: why})
}

func (s *Salvage) away(f *found, to string) {
	s.work.moves.Away = append(s.work.moves.Away, move{f.dir != s.dirs[0], f.name, to})
}

func (s *Salvage) back(dir, from, to string) {
	s.work.moves.Back = append(s.work.moves.Back, move{dir != s.dirs[0], from, to})
}

// repair plans what is needed for the log to open with all that is whole.
func (s *Salvage) repair() {
	if s.lostList {
		s.step(DoAside, &found{dir: s.dirs[0], name: pendingAway}, s.work.moves.Record, 0, "the list of an interrupted salvage, which cannot be read")
	}
	s.repairManifest()
	used := map[*found]bool{}
	for _, m := range s.chain {
		used[m.f] = true
		s.repairMember(m)
	}
	for _, f := range s.files {
		if f.segmentNamed() && !used[f] && f.what != FileReplaced {
			to := fmt.Sprintf("%s.aside-%d", f.name, s.work.stamp)
			s.step(DoAside, f, to, 0, f.detail)
			s.away(f, to)
		}
	}
}

// repairMember plans what has to be done to one segment.
func (s *Salvage) repairMember(m *member) {
	v, f := &s.survey, m.f
	var why []string
	state := v.states[m]
	if state != nil {
		what := "its header is damaged"
		if f.mine {
			what = "its state is damaged"
		} else if f.nowhere {
			what = "its header and its name are lost"
		}
		why = append(why, what+"; rebuilt "+v.from[m])
	}
	if f.view {
		why = append(why, "its entries are in "+f.name)
	}
	if list := v.patches[m]; list != nil {
		why = append(why, fmt.Sprintf("what %s has whole is taken from there", list[0].f.name))
	}
	if n := len(f.bad); n > 0 {
		why = append(why, fmt.Sprintf("%d pages of %d bytes cannot be read from the disk", n, page))
	}
	switch {
	case len(why) > 0:
		w := fresh{dir: f.dir, name: m.name(), m: m, state: state}
		w.end = max(m.first, min(v.ends[m], m.first+streamdown.LSN(max(0, f.size-f.start)))) //nolint:gosec // not negative
		for _, p := range v.patches[m] {
			w.end = max(w.end, p.to)
		}
		w.size = f.start + int64(w.end-m.first) //nolint:gosec // file sizes fit
		if state != nil {
			w.size += dataStart(len(state)) - f.start
		}
		kept := f.name
		switch {
		case f.view:
			kept = ""
		case !replacedName.MatchString(f.name):
			kept = fmt.Sprintf("%s.broken-%d", f.name, s.work.stamp)
			s.away(f, kept)
		}
		do := DoRewrite
		if f.view {
			do = DoCreate
		}
		s.step(do, &found{dir: f.dir, name: m.name()}, kept, w.size, strings.Join(why, "; "))
		s.work.writes = append(s.work.writes, w)
		s.back(f.dir, m.name()+freshSuffix, m.name())
	case f.name != m.name():
		s.step(DoRename, f, m.name(), 0, "that is what it holds: "+f.detail)
		s.away(f, m.name()+holdSuffix)
		s.back(f.dir, m.name()+holdSuffix, m.name())
	}
}

// repairManifest plans what has to be done to the files that name the log.
func (s *Salvage) repairManifest() {
	var f *found
	marked := false
	for _, one := range s.files {
		if one.what == FileManifest && one.dir == s.dirs[0] {
			f = one
		}
		marked = marked || one.name == refugeFile && one.dir != s.dirs[0]
	}
	refuge := ""
	if len(s.dirs) > 1 {
		refuge = s.plan.Refuge
	}
	if f != nil && (s.man == nil || s.man.Log != s.id) {
		suffix, why := ".broken", "it cannot be read; the log's own marks say the same"
		if s.man != nil {
			suffix, why = ".aside", fmt.Sprintf("it names log %s, the segments are of %s", s.man.Log, s.id)
		}
		text, err := encodeManifest(manifest{Log: s.id, Durable: s.survey.marks.durable, Refuge: refuge})
		if err == nil {
			s.replace(f, suffix, text, why)
		}
	}
	if len(s.dirs) < 2 || !slices.ContainsFunc(s.chain, func(m *member) bool { return m.f.dir != s.dirs[0] }) {
		return
	}
	if f == nil && s.man == nil { // without one it would not be opened with what the refuge has
		if text, err := encodeManifest(manifest{Log: s.id, Durable: s.survey.marks.durable, Refuge: refuge}); err == nil {
			s.create("manifest", s.dirs[0], text, "it is gone, and without it the refuge is not known")
		}
	}
	mark, _, err := readRefuge(s.cfg.FS, s.dirs[1])
	if err == nil && mark == s.id {
		return
	}
	text, jerr := refugeMark{Log: s.id.String(), Home: s.cfg.Dir}.encode()
	if jerr != nil {
		return // two strings
	}
	one := &found{dir: s.dirs[1], name: refugeFile}
	if marked {
		s.replace(one, ".broken", text, "it does not name this log")
		return
	}
	s.create(one.name, one.dir, text, "the refuge does not name its log any more")
}

func (s *Salvage) create(name, dir string, text []byte, why string) {
	s.step(DoCreate, &found{dir: dir, name: name}, "", int64(len(text)), why)
	s.work.writes = append(s.work.writes, fresh{dir: dir, name: name, text: text, size: int64(len(text))})
	s.back(dir, name+freshSuffix, name)
}

func (s *Salvage) replace(f *found, suffix string, text []byte, why string) {
	kept := fmt.Sprintf("%s%s-%d", f.name, suffix, s.work.stamp)
	s.step(DoRewrite, f, kept, int64(len(text)), why)
	s.work.writes = append(s.work.writes, fresh{dir: f.dir, name: f.name, text: text, size: int64(len(text))})
	s.away(f, kept)
	s.back(f.dir, f.name+freshSuffix, f.name)
}

// makeWay plans that a new log begins.
func (s *Salvage) makeWay() {
	for _, f := range s.files {
		if f.segmentNamed() || f.what == FileManifest && f.dir == s.dirs[0] || f.name == refugeFile && f.dir != s.dirs[0] {
			to := fmt.Sprintf("%s.aside-%d", f.name, s.work.stamp)
			s.step(DoAside, f, to, 0, "a new log begins")
			s.away(f, to)
		}
	}
}

// measure says how much room is needed, and how much there is.
func (s *Salvage) measure() error {
	needs := map[string]int64{}
	for _, w := range s.work.writes {
		needs[w.dir] += w.size
	}
	for _, dir := range s.dirs {
		free, err := s.cfg.FS.Free(dir)
		if err != nil {
			return err
		}
		s.plan.Needs = append(s.plan.Needs, SalvageSpace{dir, needs[dir], free})
	}
	return nil
}

// describe says of every file what it is.
func (s *Salvage) describe() {
	part := map[*found]*member{}
	twin := map[*found]*member{}
	for _, m := range s.chain {
		part[m.f] = m
		for _, f := range m.copies {
			twin[f] = m
		}
	}
	for _, f := range s.files {
		switch m := part[f]; {
		case m != nil:
			f.what = FileSegment
			f.detail = s.describeMember(m)
		case f.what != "" && f.what != FileReplaced:
		case f.what == "" && twin[f] != nil:
			f.what, f.detail = FileCopy, "it holds what "+twin[f].f.name+" holds"
		case f.what != "":
		case slices.Contains(s.losers, f) && (f.holds || f.mine):
			f.what, f.detail = FileLoser, s.describeLoser(f)
		case f.headErr == nil && s.which != "":
			f.what, f.detail = FileSegment, fmt.Sprintf("it belongs to log %s", f.head.log)
		case f.headErr == nil && f.head.log != s.id:
			f.what, f.detail = FileForeign, fmt.Sprintf("it belongs to log %s", f.head.log)
		default:
			f.what, f.detail = FileUnknown, "nothing in it is of this log"
			if !f.segmentNamed() {
				f.what, f.detail = FileOther, ""
			}
		}
		s.plan.Files = append(s.plan.Files, SalvageFile{f.dir, f.name, f.size, f.what, f.detail})
	}
	switch {
	case s.manErr != nil:
		s.note("the manifest cannot be read: %v", s.manErr)
	case s.man == nil && len(s.chain) > 0 && s.hopeless() == "":
		s.note("there is no manifest; opening writes one")
	}
}

func (s *Salvage) describeMember(m *member) string {
	f := m.f
	switch {
	case f.nowhere:
		return fmt.Sprintf("its header is lost; its entries from %d on are those of segment %d", f.slot.first, f.slot.number)
	case f.mine && f.name != m.name():
		return "its header and entries are those of " + m.name()
	case !f.mine && f.headErr == nil:
		return fmt.Sprintf("it has the header of segment %d at %d and entries of its own", f.head.number, f.head.first)
	case !f.mine && s.survey.states[m] == nil:
		return "its header is damaged and is left so: others behind it are whole, and its entries can be read without"
	case !f.mine:
		return "its header is damaged"
	case s.survey.states[m] != nil:
		return "its state is damaged"
	}
	return ""
}

func (s *Salvage) describeLoser(f *found) string {
	if f.nowhere {
		return fmt.Sprintf("its header and number are lost, and its entries from %d on fit nowhere", f.slot.first)
	}
	return fmt.Sprintf("as segment %d at %d it contradicts others that hold more", f.slot.number, f.slot.first)
}

var errNoRoom = errors.New("not enough room: make some, for example by moving torn-*.bin or *.broken-* files to another disk, " +
	"or by removing spare-*.wal.tmp and reserve-*.wal.tmp, which hold nothing")
