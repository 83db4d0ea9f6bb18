package wal_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

const (
	all   = -1      // no batch is lost
	newer = "newer" // that is an error of making a plan
)

type wreckCase struct {
	name     string
	released bool // the log's beginning is gone
	do       func(t *testing.T, w *wreck)
	// What opening says before: empty means that it opens.
	says string
	// What salvage says, and how many batches can be read afterwards; all or so many fewer.
	verdict string
	lost    int
	plan    string // a part of what the plan says
}

func (w *wreck) rename(t testing.TB, from, to string) {
	t.Helper()
	if err := w.Rename("/d/"+from, "/d/"+to); err != nil {
		t.Fatal(err)
	}
}

func (w *wreck) copy(t testing.TB, from, to string) {
	t.Helper()
	b, err := vfs.ReadFile(w, "/d/"+from)
	if err != nil {
		t.Fatal(err)
	}
	w.put(t, to, b)
}

func (w *wreck) put(t testing.TB, name string, b []byte) {
	t.Helper()
	if err := vfs.WriteFile(w, "/d/"+name, b); err != nil {
		t.Fatal(err)
	}
}

func (w *wreck) remove(t testing.TB, names ...string) {
	t.Helper()
	for _, n := range names {
		if err := w.Remove("/d/" + n); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *wreck) change(name string, f func(b []byte) []byte) { w.Change("/d/"+name, f) }

// header damages the header of segments, state their states.
func (w *wreck) header(names ...string) {
	for _, n := range names {
		w.change(n, func(b []byte) []byte { b[33] ^= 0x10; return b })
	}
}

func (w *wreck) state(names ...string) {
	for _, n := range names {
		w.change(n, func(b []byte) []byte { b[66] ^= 0x10; return b })
	}
}

// otherLog is another log than any that was made before.
func otherLog(t testing.TB) *wreck { return newWreck(t, 12, false) }

// redoHeader makes the checksum of a header right again.
func redoHeader(b []byte) {
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], crc32.MakeTable(crc32.Castagnoli)))
}

var wreckCases = []wreckCase{
	{name: "the last segment has another number", says: "", verdict: wal.SalvageRepair, lost: all, plan: "rename",
		do: func(t *testing.T, w *wreck) {
			n := w.names[len(w.names)-1]
			w.rename(t, n, "0000000077"+n[10:])
		}},
	{name: "a segment in the middle has the name of one that begins earlier", says: "begins before its predecessor", verdict: wal.SalvageRepair, lost: all,
		do: func(t *testing.T, w *wreck) {
			n := w.names[3]
			w.rename(t, n, n[:11]+"00000000000000000072.wal")
		}},
	{name: "two segments have each other's names", says: "was renamed", verdict: wal.SalvageRepair, lost: all, plan: "rename",
		do: func(t *testing.T, w *wreck) {
			w.rename(t, w.names[2], "x")
			w.rename(t, w.names[4], w.names[2])
			w.rename(t, "x", w.names[4])
		}},
	{name: "the newest two have each other's names", says: "was renamed", verdict: wal.SalvageRepair, lost: all,
		do: func(t *testing.T, w *wreck) {
			n := len(w.names)
			w.rename(t, w.names[n-2], "x")
			w.rename(t, w.names[n-1], w.names[n-2])
			w.rename(t, "x", w.names[n-1])
		}},
	{name: "somebody moved a segment aside", says: "", verdict: wal.SalvageRepair, lost: all, plan: "rename",
		do: func(t *testing.T, w *wreck) { w.rename(t, w.names[3], w.names[3]+".bak") }},
	{name: "somebody moved all segments aside", says: "there is no segment", verdict: wal.SalvageRepair, lost: all, plan: "rename",
		do: func(t *testing.T, w *wreck) {
			for _, n := range w.names {
				w.rename(t, n, "old-"+n)
			}
		}},
	{name: "a segment of another log that begins before its predecessor", says: "begins before its predecessor", verdict: wal.SalvageRepair, lost: all, plan: "it belongs to log",
		do: func(t *testing.T, w *wreck) {
			o := otherLog(t)
			b, _ := vfs.ReadFile(o, "/d/"+o.names[1])
			w.put(t, "0000000099"+o.names[1][10:], b)
		}},
	{name: "a segment of another log cuts one of ours", says: "belongs to log", verdict: wal.SalvageRepair, lost: all, plan: "it belongs to log",
		do: func(t *testing.T, w *wreck) {
			o := otherLog(t)
			b, _ := vfs.ReadFile(o, "/d/"+o.names[0])
			var first, next uint64
			if _, err := fmt.Sscanf(w.names[2], "0000000003-%d.wal", &first); err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Sscanf(w.names[3], "0000000004-%d.wal", &next); err != nil {
				t.Fatal(err)
			}
			w.put(t, fmt.Sprintf("0000000003-%020d.wal", first+(next-first)/16*8), b)
		}},
	{name: "a copy under another number", says: "", verdict: wal.SalvageRepair, lost: all, plan: "set aside",
		do: func(t *testing.T, w *wreck) {
			n := w.names[len(w.names)-1]
			w.copy(t, n, "0000000088"+n[10:])
		}},
	{name: "a copy helps where the segment and the copy rotted", says: "", verdict: wal.SalvageRepair, lost: all, plan: "is taken from there",
		do: func(t *testing.T, w *wreck) {
			w.copy(t, w.names[2], w.names[2]+".copy")
			w.change(w.names[2], func(b []byte) []byte { clear(b[len(b)-500 : len(b)-100]); return b })
			w.change(w.names[2]+".copy", func(b []byte) []byte { clear(b[len(b)-1000 : len(b)-900]); return b })
		}},
	{name: "a copy is whole where the segment was cut", says: "", verdict: wal.SalvageRepair, lost: all, plan: "rename",
		do: func(t *testing.T, w *wreck) {
			w.copy(t, w.names[2], w.names[2]+".copy")
			w.change(w.names[2], func(b []byte) []byte { return b[:len(b)-600] })
		}},
	{name: "no header is whole", says: "", verdict: wal.SalvageRepair, lost: all, plan: "rebuilt from the empty state",
		do: func(_ *testing.T, w *wreck) { w.header(w.names...) }},
	{name: "no header is whole and there is no manifest", says: "no segment has a whole header and state", verdict: wal.SalvageRepair, lost: all, plan: "rebuilt from the empty state",
		do: func(t *testing.T, w *wreck) {
			w.header(w.names...)
			w.remove(t, "manifest")
		}},
	{name: "no state is whole and there is no manifest", says: "no segment has a whole header and state", verdict: wal.SalvageRepair, lost: all, plan: "its state is damaged; rebuilt",
		do: func(t *testing.T, w *wreck) {
			w.state(w.names...)
			w.remove(t, "manifest")
		}},
	{name: "the oldest header alone is whole", released: true, says: "", verdict: wal.SalvageRepair, lost: all, plan: "rebuilt from the state of segment",
		do: func(_ *testing.T, w *wreck) { w.header(w.names[1:]...) }},
	{name: "the newest header alone is whole", released: true, says: "", verdict: wal.SalvageNothing, lost: all, plan: "is left so",
		do: func(_ *testing.T, w *wreck) { w.header(w.names[:len(w.names)-1]...) }},
	{name: "no state is whole, the beginning was released", released: true, says: "no segment has a whole header and state", verdict: wal.SalvageHopeless,
		do: func(_ *testing.T, w *wreck) { w.state(w.names...) }},
	{name: "no header is whole, the beginning was released", released: true, says: "no segment has a whole header and state", verdict: wal.SalvageHopeless,
		do: func(_ *testing.T, w *wreck) { w.header(w.names...) }},
	{name: "the log's id is lost everywhere", says: "no segment has a whole header and state", verdict: wal.SalvageHopeless, plan: "the log's id is lost",
		do: func(t *testing.T, w *wreck) {
			for _, n := range w.names {
				w.change(n, func(b []byte) []byte { clear(b[:64]); return b })
			}
			w.remove(t, "manifest")
		}},
	{name: "the manifest is another log's", says: "belongs to log", verdict: wal.SalvageRepair, lost: all, plan: "it names log",
		do: func(t *testing.T, w *wreck) {
			b, _ := vfs.ReadFile(otherLog(t), "/d/manifest")
			w.put(t, "manifest", b)
		}},
	{name: "the manifest is another log's, the beginning was released", released: true, says: "belongs to log", verdict: wal.SalvageRepair, lost: all, plan: "it names log",
		do: func(t *testing.T, w *wreck) {
			b, _ := vfs.ReadFile(otherLog(t), "/d/manifest")
			w.put(t, "manifest", b)
		}},
	{name: "the manifest is damaged", says: "", verdict: wal.SalvageRepair, lost: all, plan: "it cannot be read",
		do: func(_ *testing.T, w *wreck) { w.change("manifest", func(b []byte) []byte { b[20] ^= 1; return b }) }},
	{name: "the manifest is gone", says: "", verdict: wal.SalvageNothing, lost: all, plan: "there is no manifest",
		do: func(t *testing.T, w *wreck) { w.remove(t, "manifest") }},
	{name: "all segments are gone", says: "there is no segment", verdict: wal.SalvageHopeless, lost: 40, plan: "right disk",
		do: func(t *testing.T, w *wreck) { w.remove(t, w.names...) }},
	{name: "all segments are zeros", says: "", verdict: wal.SalvageRepair, lost: 40, plan: "lost",
		do: func(_ *testing.T, w *wreck) {
			for _, n := range w.names {
				w.change(n, func(b []byte) []byte { clear(b); return b })
			}
		}},
	{name: "all segments and the manifest are zeros", says: "no segment has a whole header and state", verdict: wal.SalvageHopeless, lost: 40, plan: "is anything whole",
		do: func(_ *testing.T, w *wreck) {
			for _, n := range append(w.names, "manifest") {
				w.change(n, func(b []byte) []byte { clear(b); return b })
			}
		}},
	{name: "a segment is empty", says: "", verdict: wal.SalvageRepair, plan: "its header is damaged; rebuilt", lost: 6,
		do: func(_ *testing.T, w *wreck) { w.change(w.names[2], func([]byte) []byte { return nil }) }},
	{name: "a segment is gone", says: "", verdict: wal.SalvageNothing, lost: 6, plan: "it was cut, or one behind it is missing",
		do: func(t *testing.T, w *wreck) { w.remove(t, w.names[2]) }},
	{name: "the newest segments are gone", says: "", verdict: wal.SalvageNothing, lost: 14, plan: "the log ends below its durable mark",
		do: func(t *testing.T, w *wreck) { w.remove(t, w.names[len(w.names)-3:]...) }},
	{name: "the oldest segments are gone", says: "", verdict: wal.SalvageNothing, lost: 26, plan: "before the oldest segment",
		do: func(t *testing.T, w *wreck) { w.remove(t, w.names[:5]...) }},
	{name: "an entry rotted", says: "", verdict: wal.SalvageNothing, lost: 1, plan: "records), arrived between",
		do: func(_ *testing.T, w *wreck) {
			w.change(w.names[2], func(b []byte) []byte { b[len(b)-20] ^= 1; return b })
		}},
	{name: "junk with the name of a segment far ahead", says: "", verdict: wal.SalvageRepair, lost: all, plan: "nothing in it is of this log",
		do: func(t *testing.T, w *wreck) {
			w.put(t, "0000000999-00000000900000000000.wal", bytes.Repeat([]byte("junk"), 100))
		}},
	{name: "a segment lost its header and has the name of another that is gone", says: "", verdict: wal.SalvageRepair, lost: 6, plan: "its header is lost; its entries",
		do: func(t *testing.T, w *wreck) {
			w.change(w.names[2], func(b []byte) []byte { clear(b[:64]); return b })
			w.remove(t, w.names[4])
			w.rename(t, w.names[2], w.names[4])
		}},
	{name: "the manifest is another log's, of which there is a segment too", says: "begins before its predecessor", verdict: wal.SalvageWhich, plan: "--log ID",
		do: func(t *testing.T, w *wreck) {
			o := otherLog(t)
			w.put(t, "manifest", contents(t, o, "/d")["manifest"])
			w.put(t, "0000000099"+o.names[1][10:], contents(t, o, "/d")[o.names[1]])
		}},
	{name: "a newer format", says: "start that version", verdict: newer,
		do: func(_ *testing.T, w *wreck) {
			w.change(w.names[len(w.names)-1], func(b []byte) []byte { b[7] = 9; redoHeader(b); return b })
		}},
	{name: "a manifest of a newer format", says: "start that version", verdict: newer,
		do: func(t *testing.T, w *wreck) { w.put(t, "manifest", []byte(`{"format":7}`)) }},
	{name: "a state that the books do not understand", says: "if a newer version wrote it", verdict: wal.SalvageRepair, lost: all, plan: "is not understood",
		do: func(_ *testing.T, w *wreck) {
			w.change(w.names[len(w.names)-1], func(b []byte) []byte {
				size := binary.LittleEndian.Uint32(b[48:])
				state := b[64 : 64+size]
				at := bytes.LastIndexByte(state, 98) // the tracker's part: its numbers have no end
				for i := at + 5; i < len(state); i++ {
					state[i] = 0xff
				}
				binary.LittleEndian.PutUint32(b[52:], crc32.Checksum(state, crc32.MakeTable(crc32.Castagnoli)))
				redoHeader(b)
				return b
			})
		}},
}

func TestEveryWreckIsBroughtBackOrExported(t *testing.T) {
	for _, tt := range wreckCases {
		t.Run(tt.name, func(t *testing.T) {
			w := newWreck(t, 20, tt.released)
			tt.do(t, w)
			// What opening says.
			l, _, _, err := openTracked(w.Kill(false), "/d", "", 1500)
			if err == nil {
				err = l.Close()
			}
			if got := fmt.Sprint(err); (err == nil) != (tt.says == "") || !strings.Contains(got, tt.says) {
				t.Fatalf("opening says %q, want %q", got, tt.says)
			}
			if hint := tt.verdict != newer; err != nil && strings.Contains(err.Error(), "`streamdown wal salvage --data /d`") != hint {
				t.Errorf("opening points to salvage: %v, want that to be %v", err, hint)
			}
			before := contents(t, w, "/d")
			p, err := salvage(t.Context(), salvageConfig(w, "/d"))
			if tt.verdict == newer {
				if err == nil || !strings.Contains(err.Error(), "start that version") {
					t.Fatalf("a newer log: %v", err)
				}
				nothingIsGone(t, before, contents(t, w, "/d"))
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if p.Verdict != tt.verdict || !strings.Contains(p.String(), tt.plan) {
				t.Fatalf("%s\nis not %q with %q", p, tt.verdict, tt.plan)
			}
			if _, err := json.Marshal(p); err != nil {
				t.Fatal(err)
			}
			nothingIsGone(t, before, contents(t, w, "/d"))
			if tt.verdict == wal.SalvageWhich {
				cfg := salvageConfig(w, "/d")
				cfg.Log = w.id.String()
				if _, err := salvage(t.Context(), cfg); err != nil {
					t.Fatal(err)
				}
				nothingIsGone(t, before, contents(t, w, "/d"))
				opens(t, w, w.id, w.want)
				return
			}
			if tt.verdict == wal.SalvageHopeless {
				if int(p.Batches) != len(w.want)-tt.lost {
					t.Errorf("%d of %d batches are whole, want %d less", p.Batches, len(w.want), tt.lost)
				}
				exported(t, w, p)
				return
			}
			got := wholeIn(t, w, "/d")
			if tt.lost == all {
				if p.Lost() || p.Unsure {
					t.Errorf("it says that something is lost:\n%s", p)
				}
				opens(t, w, w.id, w.want)
				return
			}
			if lost := len(w.want) - len(got); lost != tt.lost || !p.Lost() {
				t.Errorf("%d batches are lost, want %d:\n%s", lost, tt.lost, p)
			}
			named(t, w, got, p)
			opens(t, w, w.id, got)
		})
	}
}

// named checks that a plan names what is lost, record by record, unless it says that it cannot know.
func named(t testing.TB, w *wreck, got []string, p *wal.SalvagePlan) {
	t.Helper()
	have := map[string]bool{}
	for _, id := range got {
		have[id] = true
	}
	covered := map[string]bool{}
	for _, r := range p.Records {
		if r.Topic == nil {
			continue
		}
		for o := r.From; o < r.To; o++ {
			covered[fmt.Sprintf("%s/%d/%d", *r.Topic, *r.Partition, o)] = true
		}
	}
	n := 0
	for _, id := range w.want {
		key := id[:strings.LastIndexByte(id, '/')]
		switch {
		case have[id] && covered[key]:
			t.Errorf("%s is said to be lost and is there", key)
		case !have[id] && !covered[key]:
			n++
		}
	}
	if n > 0 && !p.Unsure && !confirmedBelow(p) {
		t.Errorf("%d lost batches are not named:\n%s", n, p)
	}
}

// confirmedBelow reports whether what is lost lies before the oldest segment: there only what was not confirmed is.
func confirmedBelow(p *wal.SalvagePlan) bool { return p.First > 64 }

// exported exports what cannot be opened, and begins a new log; all that is whole is in the export.
func exported(t testing.TB, w *wreck, hopeless *wal.SalvagePlan) {
	t.Helper()
	before := contents(t, w, "/d")
	cfg := salvageConfig(w, "/d")
	cfg.Export, cfg.NewLog = "/out", true
	p, err := salvage(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if p.Verdict != wal.SalvageNewLog || !p.Done || p.Export.Batches != hopeless.Batches {
		t.Fatalf("%s", p)
	}
	nothingIsGone(t, before, contents(t, w, "/d"))
	if got := inExport(t, w, "/out"); len(got) != int(hopeless.Batches) {
		t.Errorf("%d batches are in the export, %d were whole", len(got), hopeless.Batches)
	} else if hopeless.Batches > 0 {
		bodies := map[string]bool{}
		for _, id := range w.want {
			bodies[id[strings.LastIndexByte(id, '/'):]] = true
		}
		for _, id := range got {
			if !bodies[id[strings.LastIndexByte(id, '/'):]] {
				t.Errorf("%s was never sent", id)
			}
		}
	}
	l, _, rec, err := openTracked(w, "/d", "", 1500)
	if err != nil || !rec.Created {
		t.Fatalf("no new log: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if p := plan(t, w); p.Verdict != wal.SalvageNothing {
		t.Errorf("the new log is not left alone: %s", p)
	}
}

// inExport reads an export by its index.
func inExport(t testing.TB, fs vfs.FS, dir string) (ids []string) {
	t.Helper()
	summary, err := vfs.ReadFile(fs, dir+"/export.json")
	if err != nil {
		t.Fatal(err)
	}
	var e wal.SalvageExport
	if err := json.Unmarshal(summary, &e); err != nil {
		t.Fatal(err)
	}
	lanes := map[string]wal.ExportLane{}
	sizes := map[string]int64{}
	for _, l := range e.Lanes {
		lanes[l.File] = l
	}
	index, err := vfs.ReadFile(fs, dir+"/index.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(bytes.NewReader(index)); d.More(); {
		var line struct {
			File           string
			Position, Size int64
			Ordinal        streamdown.Ordinal
			Lane           streamdown.LaneID
		}
		if err := d.Decode(&line); err != nil {
			t.Fatal(err)
		}
		b, err := vfs.ReadFile(fs, dir+"/"+line.File)
		if err != nil {
			t.Fatal(err)
		}
		l, ok := lanes[line.File]
		if !ok || line.Position != sizes[line.File] {
			t.Fatalf("%+v follows %d bytes", line, sizes[line.File])
		}
		sizes[line.File] += line.Size
		tp := streamdown.TopicPartition{Topic: fmt.Sprint("lane ", line.Lane)}
		if l.Topic != nil {
			tp = streamdown.TopicPartition{Topic: *l.Topic, Partition: *l.Partition}
		}
		ids = append(ids, identity(tp, line.Ordinal, b[line.Position:line.Position+line.Size]))
	}
	for f, l := range lanes {
		if l.Bytes != sizes[f] {
			t.Errorf("%s has %d bytes, the index %d", f, l.Bytes, sizes[f])
		}
	}
	return ids
}

func TestExportKeepsEveryBatchAsItWas(t *testing.T) {
	for _, how := range []string{"healthy", "without states"} {
		w := newWreck(t, 20, true)
		if how != "healthy" {
			w.state(w.names...)
		}
		cfg := salvageConfig(w, "/d")
		cfg.Export = "/out"
		p, err := salvage(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		got := inExport(t, w, "/out")
		if how == "healthy" && !slices.Equal(got, w.want) || len(got) != len(w.want) {
			t.Errorf("%s: %d batches, want %d:\n%s", how, len(got), len(w.want), p)
		}
		cfg.Export = "/out"
		if _, err := wal.OpenSalvage(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "is not empty") {
			t.Errorf("a second export to the same place: %v", err)
		}
	}
}

// TestExportHasWhatWasCutOff: whole entries in a torn tail are in no log any more, and in the export.
func TestExportHasWhatWasCutOff(t *testing.T) {
	w := newWreck(t, 20, false)
	b, _ := vfs.ReadFile(w, "/d/"+w.names[1])
	start := 64 + (binary.LittleEndian.Uint32(b[48:])+7)&^7
	w.put(t, fmt.Sprintf("torn-%020d-17.bin", binary.LittleEndian.Uint64(b[32:])-40), append(make([]byte, 40), b[start:]...))
	cfg := salvageConfig(w, "/d")
	cfg.Export = "/out"
	p, err := salvage(t.Context(), cfg)
	if err != nil || p.Verdict != wal.SalvageNothing || !strings.Contains(p.String(), "it holds whole entries") {
		t.Fatalf("%v\n%s", err, p)
	}
	if got := inExport(t, w, "/out"); len(got) <= len(w.want) || !slices.Equal(got[:len(w.want)], w.want) || int64(len(got)) != p.Export.Batches {
		t.Errorf("%d batches, the log has %d", len(got), len(w.want))
	}
}

// badDisk gives an error for some places of some files.
type badDisk struct {
	vfs.FS
	name     string // of the file, whatever it is called later
	from, to int64
}

func (d *badDisk) Rename(from, to string) error {
	err := d.FS.Rename(from, to)
	if err == nil && from == d.name {
		d.name = to
	}
	return err
}

type badFile struct {
	vfs.File
	disk *badDisk
	name string
}

func (d *badDisk) Open(name string) (vfs.File, error) {
	f, err := d.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return &badFile{f, d, name}, nil
}

func (f *badFile) ReadAt(b []byte, off int64) (int, error) {
	if f.name == f.disk.name && off < f.disk.to && off+int64(len(b)) > f.disk.from {
		return 0, &errnoError{syscall.EIO}
	}
	return f.File.ReadAt(b, off)
}

type errnoError struct{ syscall.Errno }

func (e *errnoError) Unwrap() error { return e.Errno }

// TestAPlaceThatCannotBeReadCostsWhatLiesThere: one page of a disk gives EIO for ever.
func TestAPlaceThatCannotBeReadCostsWhatLiesThere(t *testing.T) {
	fs := vfs.NewMem()
	next := map[streamdown.LaneID]streamdown.Ordinal{}
	l, _, _, err := openTracked(fs, "/d", "", 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	fillWreck(t, l, next, 1500, false)
	id := l.ID()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	names := segmentNames(t, fs)
	disk := &badDisk{fs, "/d/" + names[len(names)-1], 5000, 8192}
	if _, _, _, err := openTracked(disk, "/d", "", 64<<10); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "takes what the disk still gives") {
		t.Fatalf("opening: %v", err)
	}
	p, err := salvage(t.Context(), salvageConfig(disk, "/d"))
	if err != nil {
		t.Fatal(err)
	}
	if p.Verdict != wal.SalvageRepair || len(p.Ranges) != 1 || p.Ranges[0].To-p.Ranges[0].From > 4096+2*300 || !strings.Contains(p.String(), "cannot be read from the disk") {
		t.Fatalf("%s", p)
	}
	l, _, rec, err := openTracked(disk, "/d", "", 64<<10)
	if err != nil || l.ID() != id || len(rec.Damage) != 1 {
		t.Fatalf("%+v %v", rec, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
