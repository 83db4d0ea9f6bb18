package wal_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// fill appends batches of some lanes, with odd sizes so that there is padding, and waits for all of them.
func fill(t testing.TB, l *wal.Log, next map[streamdown.LaneID]streamdown.Ordinal, n int) {
	t.Helper()
	var end streamdown.LSN
	var b batch.Builder
	for i := range n {
		lane, err := l.Lane(streamdown.TopicPartition{Topic: "orders", Partition: int32(i % 3)})
		if err != nil {
			t.Fatal(err)
		}
		count := 1 + i%2
		for j := range count {
			b.Append(1700000000000+int64(i), []byte("k"), fmt.Appendf(nil, "value %d of %d%s", j, i, strings.Repeat("!", i%5)))
		}
		raw, err := b.Build(batch.None, batch.NoStamp)
		if err != nil {
			t.Fatal(err)
		}
		e := wal.Entry{Kind: wal.KindBatch, Lane: lane, Ordinal: next[lane], Count: int32(count), Body: raw}
		if _, err := l.Append(&e); err != nil {
			t.Fatal(err)
		}
		next[lane] += streamdown.Ordinal(count)
		if end = e.End(); i%4 == 3 {
			if err := l.Wait(t.Context(), end); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.Wait(t.Context(), end); err != nil {
		t.Fatal(err)
	}
}

// aLog is a log of several segments, closed cleanly, with n batches per life.
func aLog(t testing.TB, lives, n int, segment int64) *vfs.Mem {
	t.Helper()
	fs := vfs.NewMem()
	next := map[streamdown.LaneID]streamdown.Ordinal{}
	for range lives {
		l, _, _ := open(t, fs, segment)
		fill(t, l, next, n)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return fs
}

func verify(t testing.TB, fs vfs.FS) wal.VerifyReport {
	t.Helper()
	r, err := wal.Verify(t.Context(), fs, "/d", nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func segmentNames(t testing.TB, fs vfs.FS) (names []string) {
	t.Helper()
	all, err := fs.List("/d")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range all {
		if strings.HasSuffix(n, ".wal") {
			names = append(names, n)
		}
	}
	return names
}

func TestAHealthyLogIsClean(t *testing.T) {
	fs := aLog(t, 3, 40, 1500)
	var done, total int64
	r, err := wal.Verify(t.Context(), fs, "/d", func(d, n int64) {
		if d < done || d > n {
			t.Errorf("progress went from %d to %d of %d", done, d, n)
		}
		done, total = d, n
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Exit() != 0 || r.Verdict != "clean" || r.DamageCount != 0 || r.Batches != 120 || r.Records != 180 || r.Segments < 6 || r.LogID == nil || r.Mark != r.End || r.Tail != 0 {
		t.Fatalf("%s\n%+v", &r, r)
	}
	var size int64
	for _, name := range segmentNames(t, fs) {
		b, _ := vfs.ReadFile(fs, filepath.Join("/d", name))
		size += int64(len(b))
	}
	if total != size || done > total || done < total-int64(8*r.Segments) { // states are padded
		t.Errorf("%d of %d bytes checked, the files have %d", done, total, size)
	}
	out, err := json.Marshal(r)
	if err != nil || !bytes.Contains(out, []byte(`"schema_version":1`)) || !bytes.Contains(out, []byte(`"damage":[]`)) {
		t.Errorf("%s, %v", out, err)
	}
}

func TestNothingToCheckIsNotClean(t *testing.T) {
	fs := vfs.NewMem()
	if r := verify(t, fs); r.Exit() != 6 || r.Verdict != "not checked" || !strings.Contains(r.String(), "/d") {
		t.Errorf("empty directory: %s", &r)
	}
	l, _, _ := open(t, fs, 0)
	if r := verify(t, fs); r.Exit() != 6 {
		t.Errorf("a log without entries: %s", &r)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	fs = aLog(t, 1, 3, 1<<20)
	for _, n := range segmentNames(t, fs) {
		if err := fs.Remove(filepath.Join("/d", n)); err != nil {
			t.Fatal(err)
		}
	}
	if r := verify(t, fs); r.Exit() != 4 {
		t.Errorf("a manifest without segments: %s", &r)
	}
	if _, err := wal.Verify(t.Context(), vfs.OS{}, filepath.Join(t.TempDir(), "nowhere"), nil); err == nil {
		t.Error("a directory that is not there")
	}
}

// TestEveryFlippedByteIsFoundWhereItIs flips each byte of each segment, one at a time. Only padding may stay unnoticed.
func TestEveryFlippedByteIsFoundWhereItIs(t *testing.T) {
	base := aLog(t, 2, 9, 700)
	padding := map[string]map[int]bool{}
	for _, name := range segmentNames(t, base) {
		padding[name] = paddingOf(t, base, name)
	}
	for _, name := range segmentNames(t, base) {
		path := filepath.Join("/d", name)
		b, err := vfs.ReadFile(base, path)
		if err != nil {
			t.Fatal(err)
		}
		for pos := range b {
			fs := base.Crash(nil)
			fs.Change(path, func(b []byte) []byte { b[pos] ^= 1 << (pos % 8); return b })
			r := verify(t, fs)
			if padding[name][pos] {
				if r.DamageCount != 0 {
					t.Fatalf("%s byte %d is padding: %s", name, pos, &r)
				}
				continue
			}
			if r.Exit() != 4 || r.DamageCount != 1 || r.Damage[0].Segment != name || r.Damage[0].From > int64(pos) || r.Damage[0].To <= int64(pos) {
				t.Fatalf("%s byte %d of %d: %s", name, pos, len(b), &r)
			}
		}
	}
}

// paddingOf finds the bytes of a segment that mean nothing, from the table in the package comment.
func paddingOf(t testing.TB, fs vfs.FS, name string) map[int]bool {
	t.Helper()
	b, err := vfs.ReadFile(fs, filepath.Join("/d", name))
	if err != nil {
		t.Fatal(err)
	}
	le := func(at int) int { return int(b[at]) | int(b[at+1])<<8 | int(b[at+2])<<16 | int(b[at+3])<<24 }
	out := map[int]bool{}
	pad := func(at int) int {
		for ; at%8 != 0; at++ {
			out[at] = true
		}
		return at
	}
	for at := pad(64 + le(48)); at < len(b); {
		at = pad(at + 48 + le(at+4))
	}
	return out
}

func TestDamageIsNamedByItsCause(t *testing.T) {
	for _, tt := range []struct {
		name, kind, says string
		do               func(t *testing.T, fs *vfs.Mem, segments []string)
	}{
		{"a segment is gone", wal.DamageMissing, "segments 3 to 3 are missing", func(t *testing.T, fs *vfs.Mem, s []string) {
			if err := fs.Remove("/d/" + s[2]); err != nil {
				t.Fatal(err)
			}
		}},
		{"the last segments are gone", wal.DamageMissing, "ends before it should", func(t *testing.T, fs *vfs.Mem, s []string) {
			for _, n := range s[3:] {
				if err := fs.Remove("/d/" + n); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"the last segment with entries was cut", wal.DamageEntries, "ends before it should", func(_ *testing.T, fs *vfs.Mem, s []string) {
			fs.Change("/d/"+s[len(s)-1], func(b []byte) []byte { return b[:len(b)-60] })
		}},
		{"a segment in the middle was cut", wal.DamageEntries, "ends before it should", func(_ *testing.T, fs *vfs.Mem, s []string) {
			fs.Change("/d/"+s[2], func(b []byte) []byte { return b[:len(b)-60] })
		}},
		{"a segment was cut within its header", wal.DamageHeader, "", func(_ *testing.T, fs *vfs.Mem, s []string) {
			fs.Change("/d/"+s[2], func(b []byte) []byte { return b[:10] })
		}},
		{"zeros in the middle", wal.DamageEntries, "no valid entry", func(_ *testing.T, fs *vfs.Mem, s []string) {
			fs.Change("/d/"+s[2], func(b []byte) []byte { clear(b[len(b)-300 : len(b)-80]); return b })
		}},
		{"the manifest is not one", wal.DamageManifest, "", func(_ *testing.T, fs *vfs.Mem, _ []string) {
			fs.Change("/d/manifest", func([]byte) []byte { return []byte("{") })
		}},
		{"the manifest is another log's", wal.DamageManifest, "the segments are of", func(_ *testing.T, fs *vfs.Mem, _ []string) {
			fs.Change("/d/manifest", func([]byte) []byte {
				return []byte(`{"format":1,"log":"00000000-0000-4000-8000-000000000001","durable":64}`)
			})
		}},
		{"a segment was renamed", wal.DamageHeader, "renamed", func(t *testing.T, fs *vfs.Mem, s []string) {
			n := s[len(s)-1][:9] + "9" + s[len(s)-1][10:] // another number
			if err := fs.Rename("/d/"+s[len(s)-1], "/d/"+n); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fs := aLog(t, 2, 30, 1500)
			tt.do(t, fs, segmentNames(t, fs))
			r := verify(t, fs)
			if r.Exit() != 4 || !slices.ContainsFunc(r.Damage, func(d wal.Damage) bool {
				return d.Kind == tt.kind && strings.Contains(d.Detail, tt.says)
			}) {
				t.Fatal(r.String())
			}
		})
	}
}

// TestOrdinalsThatDoNotFollowAreFound writes what only a fault of ours could write: every checksum is right.
func TestOrdinalsThatDoNotFollowAreFound(t *testing.T) {
	var b batch.Builder
	for _, tt := range []struct {
		name  string
		kind  string
		entry func(e *wal.Entry)
	}{
		{"a hole", wal.DamageOrdinals, func(e *wal.Entry) { e.Ordinal++ }},
		{"one twice", wal.DamageOrdinals, func(e *wal.Entry) { e.Ordinal-- }},
		{"another count", wal.DamageOrdinals, func(e *wal.Entry) { e.Count++ }},
		{"a lane without a name", wal.DamageLane, func(e *wal.Entry) { e.Lane, e.Ordinal = 7, 0 }},
		{"nothing", "", func(*wal.Entry) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fs := vfs.NewMem()
			l, _, _ := open(t, fs, 0)
			lane, err := l.Lane(streamdown.TopicPartition{Topic: "t"})
			if err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				b.Append(1, nil, []byte("v"))
				raw, err := b.Build(batch.None, batch.NoStamp)
				if err != nil {
					t.Fatal(err)
				}
				e := wal.Entry{Kind: wal.KindBatch, Lane: lane, Ordinal: streamdown.Ordinal(i), Count: 1, Body: raw}
				if i == 2 {
					tt.entry(&e)
				}
				if _, err := l.Append(&e); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			r := verify(t, fs)
			if tt.kind == "" && r.Exit() == 0 {
				return
			}
			if r.Exit() != 4 || r.DamageCount != 1 || r.Damage[0].Kind != tt.kind {
				t.Fatal(r.String())
			}
		})
	}
}

// TestATornTailIsNotDamage: what a crash leaves above the last mark is said and is no rot.
func TestATornTailIsNotDamage(t *testing.T) {
	fs := vfs.NewMem()
	l, _, _ := open(t, fs, 1<<20)
	fill(t, l, map[streamdown.LaneID]streamdown.Ordinal{}, 8)
	crashed := fs.Crash(nil)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	last := segmentNames(t, crashed)[0]
	crashed.Change("/d/"+last, func(b []byte) []byte { return b[:len(b)-30] })
	r := verify(t, crashed)
	if r.Exit() != 0 || r.Tail == 0 || r.Batches != 7 {
		t.Fatalf("%s %+v", &r, r)
	}
	l, _, rec := open(t, crashed, 1<<20)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if rec.Torn != r.Tail {
		t.Fatalf("a tail of %d bytes, recovery cut %d", r.Tail, rec.Torn)
	}
	r = verify(t, crashed)
	// What was whole above the mark lies in the new segment too, so at least the torn bytes are cut.
	if r.Exit() != 0 || r.Tail != 0 || r.Cut < rec.Torn || r.Batches != 7 || len(r.Torn) != 1 {
		t.Fatalf("after recovery: %s %+v", &r, r)
	}
}

// TestVerifyFollowsAWriter verifies, lists and walks again and again while a process appends and releases.
func TestVerifyFollowsAWriter(t *testing.T) {
	fs := vfs.OS{}
	dir := t.TempDir()
	l, _, err := wal.Open(wal.Config{FS: fs, Dir: dir, SegmentSize: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() {
		next := map[streamdown.LaneID]streamdown.Ordinal{}
		for ctx.Err() == nil {
			fill(t, l, next, 40)
			if _, err := l.Release(l.Durable() - min(l.Durable(), 400<<10)); err != nil {
				t.Error(err)
			}
		}
	})
	var most int64
	for range 60 {
		before := l.Durable()
		r, err := wal.Verify(ctx, fs, dir, nil)
		if err != nil || r.DamageCount > 0 || r.End < before {
			t.Errorf("durable up to %d: %s %v", before, &r, err)
		}
		most = max(most, r.Records)
		if _, err := wal.Segments(ctx, fs, dir, true); err != nil {
			t.Error(err)
		}
		last := map[string]streamdown.Ordinal{}
		err = wal.Walk(ctx, fs, dir, 0, func(e *wal.Entry, lane streamdown.TopicPartition) error {
			if e.Kind != wal.KindBatch {
				return nil
			}
			if at, ok := last[lane.String()]; lane.Topic != "orders" || ok && e.Ordinal < at {
				return fmt.Errorf("lane %q goes from %d to %d", lane, at, e.Ordinal)
			}
			last[lane.String()] = e.Ordinal + streamdown.Ordinal(e.Count)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	cancel()
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if most == 0 {
		t.Error("nothing was ever seen")
	}
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := wal.Verify(ctx, aLog(t, 1, 3, 1<<20), "/d", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// FuzzVerify gives it a segment of any bytes, before and after a healthy one: it ends, with bounded memory.
func FuzzVerify(f *testing.F) {
	base := aLog(f, 2, 6, 1<<20)
	names := segmentNames(f, base)
	for _, name := range names {
		b, err := vfs.ReadFile(base, "/d/"+name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, false)
		f.Add(b[:len(b)-5], true)
		f.Add(append(bytes.Clone(b[:64]), bytes.Repeat([]byte{0xff, 0xff, 0xff, 0x07}, 50)...), false)
		steps := bytes.Clone(b[:64]) // words that count like positions
		for i := range 4096 {
			steps = append(steps, byte(i*8), byte(i>>5), 0, 0, 0, 0, 0, 0)
		}
		f.Add(steps, true)
	}
	f.Fuzz(func(t *testing.T, b []byte, last bool) {
		if len(b) > 1<<20 {
			return
		}
		fs := base.Crash(nil)
		name := names[0]
		if last {
			name = names[len(names)-1]
		}
		fs.Change("/d/"+name, func([]byte) []byte { return b })
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // a thousand times what it takes
		defer cancel()
		r, err := wal.Verify(ctx, fs, "/d", nil)
		runtime.ReadMemStats(&after)
		if err != nil && !strings.Contains(err.Error(), "newer version") {
			t.Fatal(err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20+40*uint64(len(b)) {
			t.Fatalf("%d bytes allocated for a segment of %d", used, len(b))
		}
		if _, err := json.Marshal(r); err != nil {
			t.Fatal(err)
		}
	})
}
