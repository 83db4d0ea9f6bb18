package wal_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// A piece is a segment's file, read by the table of bytes in the package comment and by no code of the package.
type piece struct {
	path         string
	raw          []byte
	number       uint64
	start        int // file position of the first entry
	room         int // bytes that it had when it was written over; 0 = it was new
	first, limit streamdown.LSN
	entries      []wal.Entry
}

func (p *piece) lsn(pos int) streamdown.LSN { return p.first + streamdown.LSN(pos-p.start) } //nolint:gosec // behind start

// pos is where an LSN lies in the file.
func (p *piece) pos(lsn streamdown.LSN) int { return p.start + int(lsn-p.first) } //nolint:gosec // small

// A body of evidence is a log that lies still, and all that is known of it.
type evidence struct {
	disk    *vfs.Mem
	earlier *vfs.Mem // the same disk some time before
	refuge  string
	pieces  []*piece
	durable streamdown.LSN // in the manifest
	entries []wal.Entry
}

// Logs of three kinds: all segments are new; some, the last one too, were written over released ones; the last lie in
// the refuge.
var kinds = map[string]func(t *testing.T) *evidence{"new": gather, "over": gatherOver, "refuge": gatherRefuge}

// groups appends and settles.
func (l *lab) groups(t *testing.T, n int) {
	for range n {
		l.append()
		l.append()
		l.append()
		if !l.settle(t.Context(), time.Minute) {
			t.Fatal("nothing becomes durable")
		}
	}
}

// marked lets the manifest have the mark of here, and then comes what is above it, the last above every mark.
func (l *lab) marked(t *testing.T) {
	time.Sleep(1100 * time.Millisecond)
	l.append()
	l.append()
	l.settle(t.Context(), time.Second)
	time.Sleep(1100 * time.Millisecond)
	for range 3 {
		l.append()
		l.append()
		l.settle(t.Context(), time.Second)
	}
}

// still ends a lab with a kill and takes its log apart.
func (l *lab) still(t *testing.T, earlier *vfs.Mem) *evidence {
	l.note()
	disk := l.disk
	l.leave(disk.Kill(false))
	if l.wrong != nil {
		t.Fatal(l.wrong)
	}
	return read(t, l, earlier)
}

// gather makes a log with several lives, the first of it released, the last of them ended by a kill.
func gather(t *testing.T) *evidence {
	l := newLab(11, nil)
	l.segment = 900
	life := func(groups int) {
		if !l.open() {
			t.Fatal("cannot open")
		}
		l.name()
		l.groups(t, groups)
	}
	end := func() {
		l.note()
		if err := l.log.Close(); err != nil {
			t.Fatal(err)
		}
		l.log = nil
	}
	life(3)
	end()
	life(4)
	_, _ = l.log.Release(l.log.Durable())
	end()
	earlier := l.disk.Kill(false)
	l.segment = 1 << 20
	life(3)
	l.marked(t)
	return l.still(t, earlier)
}

// gatherOver makes one whose segments were written over others.
func gatherOver(t *testing.T) *evidence {
	l := newLab(12, nil)
	l.segment = 5000
	if !l.open() {
		t.Fatal("cannot open")
	}
	l.name()
	for range 20 {
		l.groups(t, 2)
		_ = l.let(l.log.Durable())
	}
	for spares := 0; spares < 2; { // that it may write over
		l.groups(t, 4)
		_ = l.let(l.log.Durable())
		names, _ := l.disk.List("/d")
		spares = strings.Count(strings.Join(names, " "), "spare-")
	}
	earlier := l.disk.Kill(false)
	for over := l.did.over; l.did.over < over+2; {
		l.groups(t, 1)
	}
	l.marked(t)
	ev := l.still(t, earlier)
	if n := len(ev.pieces); n < 3 || ev.pieces[n-1].room == 0 || ev.pieces[n-2].room == 0 {
		t.Fatal("the last segments are new")
	}
	return ev
}

// gatherRefuge makes one that went to its refuge, came back, and went there again.
func gatherRefuge(t *testing.T) *evidence {
	l := newLab(13, nil)
	l.segment, l.refuge, l.scarce = 900, "/r", true
	if !l.open() {
		t.Fatal("cannot open")
	}
	broken := func(op vfs.Op, name string) error {
		if op.Changes() && strings.HasPrefix(name, "/d") {
			return syscall.EROFS
		}
		return nil
	}
	l.name()
	l.groups(t, 3)
	l.disk.Inject(broken)
	l.groups(t, 3)
	l.disk.Inject(nil)
	time.Sleep(time.Minute)
	l.groups(t, 3)
	earlier := l.disk.Kill(false)
	l.disk.Inject(broken)
	l.groups(t, 2)
	l.marked(t)
	ev := l.still(t, earlier)
	where := ""
	for _, p := range ev.pieces {
		where += p.path[1:2]
	}
	if !strings.HasSuffix(where, "r") || !strings.Contains(where, "rd") {
		t.Fatalf("segments lie in %s", where)
	}
	return ev
}

// read takes a log apart.
func read(t *testing.T, l *lab, earlier *vfs.Mem) *evidence {
	ev := &evidence{disk: l.disk, earlier: earlier, refuge: l.refuge}
	for _, dir := range []string{"/d", "/r"} {
		names, _ := l.disk.List(dir)
		for _, name := range names {
			raw, err := vfs.ReadFile(l.disk, dir+"/"+name)
			if err != nil {
				t.Fatal(err)
			}
			if name == "manifest" {
				if _, err := fmt.Sscanf(string(raw[bytes.Index(raw, []byte(`"durable":`)):]), `"durable":%d`, &ev.durable); err != nil {
					t.Fatal(err)
				}
			}
			if strings.HasSuffix(name, ".wal") {
				ev.pieces = append(ev.pieces, &piece{
					path: dir + "/" + name, raw: raw, start: 64 + int(binary.LittleEndian.Uint32(raw[48:])+7)&^7,
					number: binary.LittleEndian.Uint64(raw[24:]), first: streamdown.LSN(binary.LittleEndian.Uint64(raw[32:])),
					room: 4096 * int(binary.LittleEndian.Uint32(raw[56:])),
				})
			}
		}
	}
	slices.SortFunc(ev.pieces, func(a, b *piece) int { return cmp.Compare(a.number, b.number) })
	for i, p := range ev.pieces {
		p.limit = p.lsn(len(p.raw))
		if i+1 < len(ev.pieces) {
			p.limit = ev.pieces[i+1].first
		}
		for pos := p.start; p.lsn(pos) < p.limit; {
			b := p.raw[pos:]
			if lsn := streamdown.LSN(binary.LittleEndian.Uint64(b[8:])); lsn != p.lsn(pos) {
				if i+1 < len(ev.pieces) || p.room == 0 {
					t.Fatalf("%s: an entry at byte %d says %d", p.path, pos, lsn)
				}
				p.limit = p.lsn(pos) // here it goes on with what it held before
				break
			}
			e := wal.Entry{
				LSN: p.lsn(pos), Kind: wal.Kind(b[16]),
				Ordinal: streamdown.Ordinal(binary.LittleEndian.Uint64(b[24:])), //nolint:gosec // round trip
				Body:    b[48 : 48+binary.LittleEndian.Uint32(b[4:])],
			}
			p.entries = append(p.entries, e)
			pos += e.Size()
		}
		ev.entries = append(ev.entries, p.entries...)
	}
	return ev
}

// mark is the highest mark that is left when the entries that gone names are not.
func (ev *evidence) mark(withManifest bool, gone func(e *wal.Entry) bool) (durable, end streamdown.LSN) {
	durable = ev.pieces[len(ev.pieces)-1].first
	if withManifest {
		durable = max(durable, ev.durable)
	}
	for i := range ev.entries {
		if e := &ev.entries[i]; e.Kind == wal.KindMark && !gone(e) {
			durable = max(durable, streamdown.LSN(binary.LittleEndian.Uint64(e.Body)))
			end = max(end, streamdown.LSN(e.Ordinal)) //nolint:gosec // round trip
		}
	}
	return durable, end
}

// found is what opening and reading a damaged log gave.
type found struct {
	rec     *wal.Recovery
	entries map[streamdown.LSN]bool
	ranges  []wal.CorruptError // merged
	end     streamdown.LSN
}

// mute has the place of the lab's book and remembers nothing.
type mute struct{}

func (mute) BookID() byte               { return 99 }
func (mute) Apply(*wal.Entry)           {}
func (mute) Snapshot(dst []byte) []byte { return dst }
func (mute) Restore([]byte) error       { return nil }

// open opens a damaged disk and reads all of it.
func (ev *evidence) open(disk *vfs.Mem) (*found, error) {
	l, rec, err := wal.Open(wal.Config{FS: disk, Dir: "/d", Refuge: ev.refuge, Books: []wal.Book{mute{}}})
	if err != nil {
		return nil, err
	}
	f := &found{rec: rec, entries: map[streamdown.LSN]bool{}, end: rec.End}
	known := map[streamdown.LSN]*wal.Entry{}
	for i := range ev.entries {
		known[ev.entries[i].LSN] = &ev.entries[i]
	}
	c := wal.Chunk{Buf: make([]byte, 8<<10)}
	for at := ev.pieces[0].first; at < l.Durable(); at = c.Next {
		err := l.Read(&c, at)
		var bad *wal.CorruptError
		if errors.As(err, &bad) {
			if n := len(f.ranges); n > 0 && f.ranges[n-1].To == bad.From {
				f.ranges[n-1].To = bad.To
			} else {
				f.ranges = append(f.ranges, *bad)
			}
		} else if err != nil {
			return nil, err
		}
		if c.Next <= at {
			return nil, fmt.Errorf("reading does not go on at %d", at)
		}
		for i := range c.Entries {
			e := &c.Entries[i]
			if k := known[e.LSN]; k == nil || k.Kind != e.Kind || !bytes.Equal(k.Body, e.Body) {
				return nil, fmt.Errorf("an entry at %d that was never written", e.LSN)
			}
			f.entries[e.LSN] = true
		}
	}
	disk.Halt()
	_ = l.Close()
	return f, nil
}

// want compares what was found with what must have been: the entries but for those that gone names, the damaged range
// [from, to), and a cut or none.
func (f *found) want(ev *evidence, gone func(e *wal.Entry) bool, from, to streamdown.LSN, torn bool) error {
	for i := range ev.entries {
		if e := &ev.entries[i]; f.entries[e.LSN] == gone(e) {
			return fmt.Errorf("entry at %d delivered: %v", e.LSN, f.entries[e.LSN])
		}
	}
	switch {
	case from == to && len(f.ranges) > 0:
		return fmt.Errorf("sound bytes reported as damaged: %v", f.ranges)
	case from < to && (len(f.ranges) != 1 || f.ranges[0].From != from || f.ranges[0].To != to):
		return fmt.Errorf("[%d, %d) is damaged, reported: %v", from, to, f.ranges)
	case torn != (f.rec.Torn > 0):
		return fmt.Errorf("a cut: %v, reported: %d bytes", torn, f.rec.Torn)
	case f.end < to:
		return fmt.Errorf("the log goes on at %d, below the mark %d", f.end, to)
	}
	return nil
}

// flip damages one byte of a segment, and says what must come of it.
func (ev *evidence) flip(p *piece, pos, bit int) (seen bool, err error) {
	disk := ev.disk.Kill(false)
	disk.Flip(p.path, pos*8+bit)
	f, err := ev.open(disk.Kill(false))
	if err != nil {
		return false, err
	}
	none := func(*wal.Entry) bool { return false }
	last := p == ev.pieces[len(ev.pieces)-1]
	if pos < p.start {
		state := 64 + int(binary.LittleEndian.Uint32(p.raw[48:]))
		// Without a header nothing tells that the file was written over, and what it held before may be a torn tail.
		if err := f.want(ev, none, 0, 0, last && pos < 64 && p.room > 0); err != nil || pos >= state {
			return false, err
		}
		return true, verified(disk, func(d wal.Damage) bool {
			return (d.Kind == wal.DamageHeader || d.Kind == wal.DamageState) && strings.HasSuffix(p.path, "/"+d.Segment)
		})
	}
	if p.lsn(pos) >= p.limit { // what a later segment replaced, or what the file held before
		// But the page that the last group ends in is filled up with zeros.
		return false, f.want(ev, none, 0, 0, last && pos < (p.pos(p.limit)+4095)/4096*4096)
	}
	var hit *wal.Entry
	for i := range p.entries {
		if p.entries[i].LSN <= p.lsn(pos) {
			hit = &p.entries[i]
		}
	}
	if p.lsn(pos) >= hit.LSN+48+streamdown.LSN(len(hit.Body)) {
		return false, f.want(ev, none, 0, 0, false) // between two entries
	}
	mark, _ := ev.mark(true, func(e *wal.Entry) bool { return e == hit || e.LSN == hit.LSN })
	if hit.LSN < mark {
		if err := f.want(ev, func(e *wal.Entry) bool { return e.LSN == hit.LSN }, hit.LSN, hit.End(), false); err != nil {
			return true, err
		}
		return true, verified(disk, func(d wal.Damage) bool { return d.FromLSN == hit.LSN && d.ToLSN == hit.End() })
	}
	return true, f.want(ev, func(e *wal.Entry) bool { return e.LSN >= hit.LSN }, 0, 0, true)
}

// verified reports whether wal verify says what it must.
func verified(disk *vfs.Mem, says func(d wal.Damage) bool) error {
	r, err := wal.Verify(context.Background(), disk, "/d", nil)
	if err != nil {
		return err
	}
	for _, d := range r.Damage {
		if says(d) {
			return nil
		}
	}
	return fmt.Errorf("wal verify says: %v", r.Damage)
}

// cut shortens a segment, and says what must come of it. silent: nothing can tell, because a whole group is gone and
// no mark speaks of it.
func (ev *evidence) cut(p *piece, pos int) (silent bool, err error) {
	disk := ev.disk.Kill(false)
	disk.Change(p.path, func(b []byte) []byte { return b[:pos] })
	f, err := ev.open(disk)
	if err != nil {
		return false, err
	}
	last := p == ev.pieces[len(ev.pieces)-1]
	short := last && p.room > 0 && pos >= 64 // the header says that there was more
	x := p.first                             // all below is left
	if pos > p.start {
		x = p.lsn(pos)
	}
	if x >= p.limit {
		return false, f.want(ev, func(*wal.Entry) bool { return false }, 0, 0, short)
	}
	at := p.first // the last whole entry ends here; its padding may be gone
	whole := x
	for i := range p.entries {
		if e := &p.entries[i]; e.End() <= x {
			at = e.End()
		}
	}
	gone := func(e *wal.Entry) bool { return e.LSN >= at && e.LSN < p.limit }
	if !last {
		return false, f.want(ev, gone, at, p.limit, false)
	}
	mark, claim := ev.mark(true, gone)
	if at < mark {
		return false, f.want(ev, gone, at, mark, short || claim > mark)
	}
	torn := short || whole > at || claim > at
	return !torn && len(f.rec.Damage) == 0, f.want(ev, gone, 0, 0, torn) // a damaged header is reported too
}

// TestRotIsNamedAndCostsItsEntry flips a bit at every byte of a log and cuts it at every byte. What is damaged below
// the last mark is reported with its exact range and all else is delivered; what is above it is reported as cut.
func TestRotIsNamedAndCostsItsEntry(t *testing.T) {
	for kind, gather := range kinds {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { rot(t, kind, gather(t)) })
		})
	}
}

func rot(t *testing.T, kind string, ev *evidence) {
	stride, want := 29, 0
	if *simCrashes > 0 {
		stride, want = 1, 10_000
	}
	flips, cuts, seen, silent := 0, 0, 0, 0
	for round := 0; round == 0 || flips+cuts < want; round++ {
		for _, p := range ev.pieces {
			for pos := round % stride; pos < len(p.raw); pos += stride {
				if p.room > 0 && p.lsn(pos) > p.limit+4096 && pos%16 > 0 {
					continue // all that lies here is alike
				}
				flips++
				detected, err := ev.flip(p, pos, (pos+round)%8)
				if err != nil {
					t.Fatalf("%s, byte %d of %d (entries from %d), bit %d: %v", p.path, pos, len(p.raw), p.start, (pos+round)%8, err)
				}
				if detected {
					seen++
				}
				if round > 0 {
					continue
				}
				cuts++
				nothing, err := ev.cut(p, pos)
				if err != nil {
					t.Fatalf("%s cut at byte %d of %d (entries from %d): %v", p.path, pos, len(p.raw), p.start, err)
				}
				if nothing {
					silent++
				}
			}
		}
	}
	groups := 0 // above the manifest's mark: a cut before one of them leaves nothing that speaks of it
	for i := range ev.entries {
		if e := &ev.entries[i]; e.Kind == wal.KindMark && e.LSN >= ev.durable {
			groups++
		}
	}
	if silent > groups {
		t.Errorf("%d cuts were not noticed; at most %d cannot be", silent, groups)
	}
	fmt.Printf("rot (%s): %d flips, %d reported with their exact range, the others harmless; %d cuts, %d of them at the end of a group that no mark names\n",
		kind, flips, seen, cuts, silent)
}

// TestADamagedManifestCostsNothing flips every bit of the manifest and cuts it everywhere: it is only a copy.
func TestADamagedManifestCostsNothing(t *testing.T) {
	for kind, gather := range kinds {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { manifestRot(t, gather(t)) })
		})
	}
}

func manifestRot(t *testing.T, ev *evidence) {
	raw, err := vfs.ReadFile(ev.disk, "/d/manifest")
	if err != nil {
		t.Fatal(err)
	}
	none := func(*wal.Entry) bool { return false }
	for i := range len(raw) * 9 {
		disk := ev.disk.Kill(false)
		if i < len(raw)*8 {
			disk.Flip("/d/manifest", i)
		} else {
			disk.Change("/d/manifest", func(b []byte) []byte { return b[:i-len(raw)*8] })
		}
		f, err := ev.open(disk)
		if err == nil {
			err = f.want(ev, none, 0, 0, false)
		}
		if err != nil {
			b, _ := vfs.ReadFile(disk, "/d/manifest")
			t.Fatalf("%q: %v", b, err)
		}
	}
}

// TestStaleAndMisdirectedSectorsAreReported puts sectors back to what they were and writes them to wrong places: what
// is missing afterwards is named, and nothing comes that was not written there.
func TestStaleAndMisdirectedSectorsAreReported(t *testing.T) {
	for kind, gather := range kinds {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { staleSectors(t, gather(t)) })
		})
	}
}

func staleSectors(t *testing.T, ev *evidence) {
	check := func(what string, disk *vfs.Mem) {
		f, err := ev.open(disk)
		if err != nil && strings.Contains(err.Error(), "renamed") && strings.Contains(what, "holds sector 0") {
			return // all that is left of the file is another one's: whoever renamed it can put that right
		}
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		for i := range ev.entries {
			e := &ev.entries[i]
			named := e.LSN >= f.end && f.rec.Torn > 0
			for _, r := range f.ranges {
				named = named || r.From <= e.LSN && e.LSN < r.To
			}
			if !f.entries[e.LSN] && !named {
				t.Fatalf("%s: the entry at %d is gone, and only %v and a cut of %d at %d are reported", what, e.LSN, f.ranges, f.rec.Torn, f.end)
			}
		}
	}
	n := 0
	for i, p := range ev.pieces {
		for at := 0; at*512 < len(p.raw); at++ {
			disk := ev.disk.Kill(false)
			if disk.Stale(ev.earlier, p.path, at) {
				n++
				check(fmt.Sprintf("%s sector %d is stale", p.path, at), disk)
			}
			for j, q := range ev.pieces {
				for from := 0; from*512 < len(q.raw); from++ {
					disk := ev.disk.Kill(false)
					if (i != j || at != from) && disk.Misdirect(q.path, from, p.path, at) {
						n++
						check(fmt.Sprintf("%s sector %d holds sector %d of %s", p.path, at, from, q.path), disk)
					}
				}
			}
		}
	}
	if n < 20 {
		t.Errorf("only %d disks were damaged", n)
	}
}
