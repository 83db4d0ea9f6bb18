package wal_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// bed is a disk whose page cache and platter can differ: what reads past the cache reads another disk.
type bed struct {
	vfs.FS
	platter vfs.FS
	// read, which may be nil, may change what a read past the cache returns.
	read  func(name string, off int64, b []byte) error
	bytes atomic.Int64 // read past the cache
}

func (b *bed) OpenDirect(name string) (vfs.DirectFile, error) {
	f, err := b.platter.Open(name)
	if err != nil {
		return nil, err
	}
	return &bedFile{f, b, name}, nil
}

type bedFile struct {
	vfs.File
	bed  *bed
	name string
}

func (f *bedFile) Way() vfs.Way { return vfs.WayDirect }

func (f *bedFile) ReadAt(b []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(b, off)
	f.bed.bytes.Add(int64(n))
	if f.bed.read != nil {
		if err := f.bed.read(f.name, off, b[:n]); err != nil {
			return 0, err
		}
	}
	return n, err
}

// sealedLog is an open log with some sealed segments of n batches, and its disk.
func sealedLog(t testing.TB, n int, segment int64) (*wal.Log, *vfs.Mem, *bed) {
	t.Helper()
	fs := aLog(t, 1, n, segment)
	b := &bed{FS: fs, platter: fs}
	l, _, err := wal.Open(wal.Config{FS: b, Dir: "/d", SegmentSize: segment})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, fs, b
}

// atOnce is a Scrubber without a limit.
func atOnce(l *wal.Log) *wal.Scrubber { return wal.NewScrubber(l, wal.ScrubConfig{Rate: -1}) }

func pass(t testing.TB, s *wal.Scrubber) wal.ScrubStats {
	t.Helper()
	if _, err := s.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s.Stats()
}

func damages(list []wal.ScrubDamage) (out []string) {
	for _, d := range list {
		out = append(out, fmt.Sprintf("%s of %s [%d, %d) [%d, %d)", d.Kind, d.Segment, d.From, d.To, d.FromLSN, d.ToLSN))
	}
	slices.Sort(out)
	return out
}

// verdict is what Verify says of all segments but the last, as damages does.
func verdict(t testing.TB, fs vfs.FS) []string {
	t.Helper()
	var list []wal.ScrubDamage
	names := segmentNames(t, fs)
	for _, d := range verify(t, fs).Damage {
		if d.Segment != names[len(names)-1] {
			list = append(list, wal.ScrubDamage{Damage: d})
		}
	}
	return damages(list)
}

// TestScrubFindsEveryFlippedByte flips each byte of each sealed segment under an open log, one at a time, and wants the
// range that Verify gives. Only padding may stay unnoticed.
func TestScrubFindsEveryFlippedByte(t *testing.T) {
	l, fs, _ := sealedLog(t, 12, 900)
	s := atOnce(l)
	names := segmentNames(t, fs)
	if st := pass(t, s); st.Ranges != 0 || st.Passes != 1 || st.WholeBytes == 0 || st.Way != vfs.WayDirect {
		t.Fatalf("a healthy log: %+v", st)
	}
	kinds := map[string]int{}
	for _, name := range names[:len(names)-1] {
		path, padding := filepath.Join("/d", name), paddingOf(t, fs, name)
		b, err := vfs.ReadFile(fs, path)
		if err != nil {
			t.Fatal(err)
		}
		for pos := range b {
			fs.Flip(path, 8*pos+pos%8)
			st := pass(t, s)
			switch {
			case padding[pos] && st.Ranges == 0:
			case padding[pos] || st.Ranges != 1 || len(st.Damage) != 1:
				t.Fatalf("%s byte %d: %v", name, pos, damages(st.Damage))
			default:
				d := st.Damage[0]
				if d.Segment != name || d.From > int64(pos) || d.To <= int64(pos) || !slices.Equal(damages(st.Damage), verdict(t, fs)) {
					t.Fatalf("%s byte %d: found %v, verified %v", name, pos, damages(st.Damage), verdict(t, fs))
				}
				kinds[d.Kind]++
			}
			fs.Flip(path, 8*pos+pos%8)
		}
	}
	if kinds[wal.DamageHeader] == 0 || kinds[wal.DamageState] == 0 || kinds[wal.DamageEntries] == 0 {
		t.Errorf("%v", kinds)
	}
}

// hunt rots every sealed segment in several places, on the platter and not in the page cache, and says what one
// pass over what a disk shows does not find, or finds wrongly.
func hunt(t *testing.T, disk func(*bed) vfs.FS) (wrong []string) {
	fs := aLog(t, 2, 60, 6000)
	b := &bed{FS: fs}
	l, _, err := wal.Open(wal.Config{FS: disk(b), Dir: "/d", SegmentSize: 6000})
	if err != nil {
		t.Fatal(err)
	}
	platter := fs.Crash(nil)
	b.platter = platter
	names := segmentNames(t, fs)
	names = names[:len(names)-1]
	var want []string
	for _, name := range names {
		path := filepath.Join("/d", name)
		raw, err := vfs.ReadFile(fs, path)
		if err != nil {
			t.Fatal(err)
		}
		state := int(binary.LittleEndian.Uint32(raw[48:]))
		platter.Flip(path, 8*(64+state/2))
		places := 0
		for pos, i := 64+(state+7)&^7, 0; pos < len(raw); i++ {
			size := (48 + int(binary.LittleEndian.Uint32(raw[pos+4:])) + 7) &^ 7
			if i%5 == 2 {
				platter.Flip(path, 8*(pos+40)) // within the header: a mark has no more than that
				places++
			}
			pos += size
		}
		if places < 2 {
			t.Fatalf("%s has no room for so much damage", name)
		}
	}
	want = verdict(t, platter)
	st := pass(t, atOnce(l))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	got := damages(st.Damage)
	for _, d := range want {
		if !slices.Contains(got, d) {
			wrong = append(wrong, "not found: "+d)
		}
	}
	for _, d := range got {
		if !slices.Contains(want, d) {
			wrong = append(wrong, "not there: "+d)
		}
	}
	if len(names) < 3 || len(want) < 3*len(names) || st.Ranges != len(got) || st.Found != len(got) {
		wrong = append(wrong, fmt.Sprintf("%d segments, %d damages, %+v", len(names), len(want), st))
	}
	return wrong
}

// TestScrubFindsAllRotThatOnlyThePlatterHas also lets the disk work against it: what then is not found shows that the
// test would see a scrub that does the same.
func TestScrubFindsAllRotThatOnlyThePlatterHas(t *testing.T) {
	if wrong := hunt(t, func(b *bed) vfs.FS { return b }); len(wrong) > 0 {
		t.Error(strings.Join(wrong, "\n"))
	}
	// healthy gives the bytes of the page cache for a part of what is read past it.
	healthy := func(part func(raw []byte, seen map[string]bool, name string) (from, to int)) func(*bed) vfs.FS {
		seen := map[string]bool{}
		return func(b *bed) vfs.FS {
			b.read = func(name string, off int64, buf []byte) error {
				raw, err := vfs.ReadFile(b.FS, name)
				if err != nil {
					return err
				}
				for from, to := part(raw, seen, name); from < to; from++ {
					if i := int64(from) - off; i >= 0 && i < int64(len(buf)) {
						buf[i] = raw[from]
					}
				}
				return nil
			}
			return b
		}
	}
	for name, disk := range map[string]func(*bed) vfs.FS{
		"read by way of the page cache": func(b *bed) vfs.FS { return struct{ vfs.FS }{b} },
		"states are skipped": healthy(func(raw []byte, _ map[string]bool, _ string) (from, to int) {
			return 64, 64 + int(binary.LittleEndian.Uint32(raw[48:]))
		}),
		"all but the first segment are skipped": healthy(func(raw []byte, seen map[string]bool, name string) (from, to int) {
			if seen[name] = true; len(seen) == 1 {
				return 0, 0
			}
			return 0, len(raw)
		}),
		"the second half of a segment is skipped": healthy(func(raw []byte, _ map[string]bool, _ string) (from, to int) {
			return len(raw) / 2, len(raw)
		}),
	} {
		if wrong := hunt(t, disk); len(wrong) == 0 {
			t.Errorf("%s: nobody noticed", name)
		} else if len(wrong) > 200 {
			t.Errorf("%s: %d damages are wrong", name, len(wrong))
		}
	}
}

// TestScrubBelievesThePlatterOnly holds it the other way round: what is wrong in memory is no rot.
func TestScrubBelievesThePlatterOnly(t *testing.T) {
	l, fs, b := sealedLog(t, 12, 900)
	b.platter = fs.Crash(nil)
	names := segmentNames(t, fs)
	fs.Flip(filepath.Join("/d", names[0]), 8*300)
	if st := pass(t, atOnce(l)); st.Ranges != 0 {
		t.Errorf("%v", damages(st.Damage))
	}
	if _, damage := readAll(t, l, l.Stats().First); len(damage) != 1 {
		t.Errorf("the control: %v", damage)
	}
}

func TestScrubReportsEachRangeOnceAndRemembersWhen(t *testing.T) {
	l, fs, _ := sealedLog(t, 12, 900)
	names := segmentNames(t, fs)
	path := filepath.Join("/d", names[1])
	s := atOnce(l)
	if st := s.Stats(); st.Passes != 0 || !st.WholeAt.IsZero() || st.Way != "" {
		t.Errorf("before the first pass: %+v", st)
	}
	fs.Flip(path, 8*70) // the state
	fs.Flip(path, 8*330)
	first := pass(t, s)
	if first.Ranges != 2 || first.Found != 2 || first.Damage[0].FirstSeen.IsZero() {
		t.Fatalf("%+v", first)
	}
	if again := pass(t, s); again.Found != 2 || !slices.Equal(again.Damage, first.Damage) || again.Passes != 2 {
		t.Errorf("again: %+v\nfirst: %+v", again, first)
	}
	fs.Flip(path, 8*70)
	if healed := pass(t, s); healed.Found != 2 || !slices.Equal(healed.Damage, first.Damage[1:]) {
		t.Errorf("one is gone: %+v", healed)
	}
	fs.Flip(path, 8*70)
	if back := pass(t, s); back.Found != 3 || back.Ranges != 2 || !back.Damage[0].FirstSeen.After(first.Damage[0].FirstSeen) {
		t.Errorf("it is back: %+v", back)
	}
	for _, d := range first.Damage {
		for watermark, want := range map[streamdown.LSN]bool{0: d.ToLSN == 0, d.ToLSN - 1: d.ToLSN == 0, d.ToLSN: true, d.ToLSN + 1: true} {
			if d.Confirmed(watermark) != want {
				t.Errorf("%s with all below %d confirmed: %v", d, watermark, !want)
			}
		}
	}
	if _, err := l.Release(l.Durable()); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Ranges != 0 || len(st.Damage) != 0 || st.Found != 3 {
		t.Errorf("after it was released: %+v", st)
	}
}

func TestScrubTellsUrgentDamageFromTheRest(t *testing.T) {
	for confirmed, want := range map[bool]string{true: "level=WARN msg=\"rot in the log, in records that are confirmed", false: "level=ERROR msg=\"rot in the log, where records may be that are only on this disk"} {
		fs := aLog(t, 1, 12, 900)
		var logs lines
		l, _, err := wal.Open(wal.Config{FS: fs, Dir: "/d", Logger: logs.logger()})
		if err != nil {
			t.Fatal(err)
		}
		fs.Flip(filepath.Join("/d", segmentNames(t, fs)[0]), 8*300)
		s := wal.NewScrubber(l, wal.ScrubConfig{Rate: -1, Watermark: func() streamdown.LSN {
			if confirmed {
				return l.Durable()
			}
			return l.Stats().First
		}})
		pass(t, s)
		pass(t, s)
		if got := logs.String(); strings.Count(got, want) != 1 || strings.Count(got, "rot in") != 1 {
			t.Errorf("confirmed %v: %s", confirmed, got)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestScrubNamesMissingBytes(t *testing.T) {
	l, fs, _ := sealedLog(t, 12, 900)
	names := segmentNames(t, fs)
	s := atOnce(l)
	fs.Change(filepath.Join("/d", names[0]), func(b []byte) []byte { return b[:len(b)-20] })
	fs.Change(filepath.Join("/d", names[1]), func(b []byte) []byte { return b[:70] }) // within the state
	fs.Change(filepath.Join("/d", names[2]), func([]byte) []byte { return nil })
	st := pass(t, s)
	if got, want := damages(st.Damage), verdict(t, fs); !slices.Equal(got, want) || len(got) != 5 {
		t.Errorf("found\n%s\nverified\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if err := fs.Remove(filepath.Join("/d", names[0])); err != nil {
		t.Fatal(err)
	}
	st = pass(t, s)
	if d := st.Damage[0]; d.Kind != wal.DamageMissing || d.Segment != names[0] || d.ToLSN <= d.FromLSN {
		t.Errorf("%+v", d)
	}
}

// TestScrubFindsWritesThatWentAstray puts one segment's head over another's, and a sector over another.
func TestScrubFindsWritesThatWentAstray(t *testing.T) {
	l, fs, _ := sealedLog(t, 60, 3000)
	names := segmentNames(t, fs)
	if !fs.Misdirect(filepath.Join("/d", names[0]), 0, filepath.Join("/d", names[1]), 0) {
		t.Fatal("nothing changed")
	}
	if !fs.Misdirect(filepath.Join("/d", names[0]), 1, filepath.Join("/d", names[0]), 3) {
		t.Fatal("nothing changed")
	}
	st := pass(t, atOnce(l))
	var got, want []string
	for _, d := range st.Damage {
		if d.Kind == wal.DamageEntries {
			got = append(got, fmt.Sprintf("%s [%d, %d)", d.Segment, d.FromLSN, d.ToLSN))
		}
	}
	_, damage := readAll(t, l, l.Stats().First)
	for _, d := range damage {
		want = append(want, fmt.Sprintf("%s [%d, %d)", d.Segment, d.From, d.To))
	}
	if !slices.Equal(got, want) || len(got) < 2 || st.Ranges != len(got)+1 || st.Damage[len(st.Damage)-2].Kind != wal.DamageHeader {
		t.Errorf("found %v, read %v", damages(st.Damage), want)
	}
}

// bigLog is a log with entries of many sizes, some of them larger than what is read at once. limit is the end of what
// is sealed.
func bigLog(t *testing.T) (l *wal.Log, b *bed, path string, limit streamdown.LSN) {
	t.Helper()
	fs := vfs.NewMem()
	b = &bed{FS: fs, platter: fs}
	l, _, err := wal.Open(wal.Config{FS: b, Dir: "/d", SegmentSize: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	for i, size := range []int{10, 700_000, 5000, 262_144, 100, 2_000_000, 9000, 4096, 1, 262_136, 50_000, 3_000_000} {
		if err := l.Wait(t.Context(), appendBody(t, l, bytes.Repeat([]byte{byte(i + 1)}, size))); err != nil {
			t.Fatal(err)
		}
	}
	path = filepath.Join("/d", segmentNames(t, fs)[0])
	if err := l.Wait(t.Context(), appendBody(t, l, make([]byte, 7<<20))); err != nil {
		t.Fatal(err)
	}
	all := segmentNames(t, fs)
	if _, err := fmt.Sscanf(all[1], "0000000002-%d.wal", &limit); err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	return l, b, path, limit
}

func TestScrubReadsEachByteOnce(t *testing.T) {
	l, b, path, _ := bigLog(t)
	raw, err := vfs.ReadFile(b, path)
	if err != nil {
		t.Fatal(err)
	}
	st := pass(t, atOnce(l))
	if n := b.bytes.Load(); n < int64(len(raw))-8 || n > int64(len(raw)) || st.WholeBytes < int64(len(raw))-8 || st.WholeBytes > int64(len(raw)) || st.Ranges != 0 {
		t.Errorf("%d bytes read, %d checked, the file has %d", n, st.WholeBytes, len(raw))
	}
}

// TestScrubFindsUnreadableSectors wants exactly the entries that have a byte in a block that the device does not give.
func TestScrubFindsUnreadableSectors(t *testing.T) {
	l, b, path, limit := bigLog(t)
	raw, err := vfs.ReadFile(b, path)
	if err != nil {
		t.Fatal(err)
	}
	start := 64 + (int64(binary.LittleEndian.Uint32(raw[48:]))+7)&^7
	var entries []wal.Entry
	c := wal.Chunk{Buf: make([]byte, 8<<20)}
	for at := l.Stats().First; at < limit; at = c.Next {
		if err := l.Read(&c, at); err != nil {
			t.Fatal(err)
		}
		entries = append(entries, c.Entries...)
	}
	first := l.Stats().First
	pos := func(lsn streamdown.LSN) int64 { return start + int64(lsn-first) } //nolint:gosec // above first
	for _, block := range []int64{1, 170, 171, 180, 240, 300, 900, int64(len(raw)) / 4096} {
		from, to := block*4096, block*4096+4096
		b.read = func(_ string, off int64, buf []byte) error {
			if off < to && off+int64(len(buf)) > from {
				return syscall.EIO
			}
			return nil
		}
		var want wal.ScrubDamage
		want.Kind, want.Segment = wal.DamageEntries, filepath.Base(path)
		for i := range entries {
			if e := &entries[i]; pos(e.LSN) < to && pos(e.End()) > from {
				if want.ToLSN == 0 {
					want.From, want.FromLSN = pos(e.LSN), e.LSN
				}
				want.To, want.ToLSN = pos(e.End()), e.End()
			}
		}
		st := pass(t, atOnce(l))
		if got := damages(st.Damage); !slices.Equal(got, damages([]wal.ScrubDamage{want})) || !strings.Contains(st.Damage[0].Detail, "input/output error") {
			t.Errorf("block %d: %v, want %v", block, st.Damage, want)
		}
	}
	b.read = func(string, int64, []byte) error { return syscall.EIO }
	if st := pass(t, atOnce(l)); st.Ranges != 2 || st.Damage[1].FromLSN != first || st.Damage[1].ToLSN != limit {
		t.Errorf("a device that gives nothing: %+v", st)
	}
}

// TestReleaseUnderTheScrubIsNoDamage releases segments while they are read, and lets somebody write over them.
func TestReleaseUnderTheScrubIsNoDamage(t *testing.T) {
	l, fs, b := sealedLog(t, 60, 3000)
	reads, released := 0, 0
	b.read = func(name string, _ int64, buf []byte) (err error) {
		if reads++; reads == 6 {
			if released, err = l.Release(l.Durable()); err != nil || released < 2 {
				t.Errorf("released %d segments: %v", released, err)
			}
		}
		if !slices.Contains(segmentNames(t, fs), filepath.Base(name)) {
			clear(buf)
		}
		return nil
	}
	st := pass(t, atOnce(l))
	if released == 0 || st.Found != 0 || st.Passes != 1 || st.Trouble != "" {
		t.Errorf("%d released: %+v", released, st)
	}
}

// TestScrubAppendAndReleaseGoOnTogether runs on the real disk, where released files may be written over.
func TestScrubAppendAndReleaseGoOnTogether(t *testing.T) {
	l, _, err := wal.Open(wal.Config{Dir: t.TempDir(), SegmentSize: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	s := atOnce(l)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			if _, err := s.Pass(ctx); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	})
	body := noise(5000)
	for i := range 1500 {
		end := appendBody(t, l, body[:1+i%len(body)])
		if i%7 == 0 {
			if err := l.Wait(ctx, end); err != nil {
				t.Fatal(err)
			}
		}
		if i%50 == 49 {
			if _, err := l.Release(l.Durable() - min(l.Durable(), 200_000)); err != nil {
				t.Fatal(err)
			}
		}
	}
	cancel()
	wg.Wait()
	if st := pass(t, s); st.Found != 0 || st.Bytes == 0 {
		t.Errorf("%+v", st)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestAReleaseDoesNotRelyOnARottenState holds A5: two whole states behind what goes.
func TestAReleaseDoesNotRelyOnARottenState(t *testing.T) {
	for _, rot := range []bool{false, true} {
		l, fs, _ := sealedLog(t, 12, 900)
		names := segmentNames(t, fs)
		if rot {
			for _, name := range names[1 : len(names)-1] {
				fs.Flip(filepath.Join("/d", name), 8*65)
			}
			pass(t, atOnce(l))
		}
		if n, err := l.Release(l.Durable()); err != nil || (n == 0) != rot {
			t.Errorf("rot %v: released %d of %d, %v", rot, n, len(names), err)
		}
	}
}
