package wal_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// wreckOps is what can be done to the files of a directory: each takes a file, another, and two numbers.
var wreckOps = []func(fs *vfs.Mem, a, b string, x, y int){
	func(fs *vfs.Mem, a, _ string, x, y int) { // one bit
		fs.Change(a, func(d []byte) []byte {
			if len(d) > 0 {
				d[x%len(d)] ^= 1 << (y % 8)
			}
			return d
		})
	},
	func(fs *vfs.Mem, a, _ string, x, _ int) { // the end is gone
		fs.Change(a, func(d []byte) []byte { return d[:x%(len(d)+1)] })
	},
	func(fs *vfs.Mem, a, b string, _, _ int) { // names are swapped
		if a != b {
			_, _, _ = fs.Rename(a, "/d/swap"), fs.Rename(b, a), fs.Rename("/d/swap", b)
		}
	},
	func(fs *vfs.Mem, a, _ string, _, _ int) { _ = fs.Remove(a) },
	func(fs *vfs.Mem, a, b string, x, y int) { // a copy, under a name of any kind
		d, _ := vfs.ReadFile(fs, a)
		name := fmt.Sprintf("/d/%010d-%020d.wal", x%12, 64+y%1200*8)
		if x%3 == 0 {
			name = a + ".bak"
		}
		if x%7 == 0 {
			name = b
		}
		_ = vfs.WriteFile(fs, name, d)
	},
	func(fs *vfs.Mem, a, _ string, x, y int) { // zeros
		fs.Change(a, func(d []byte) []byte {
			if len(d) > 0 {
				x %= len(d)
				clear(d[x:min(len(d), x+y%600)])
			}
			return d
		})
	},
	func(fs *vfs.Mem, a, _ string, x, y int) { // another name
		name := fmt.Sprintf("/d/%010d-%020d.wal", x%12, 64+y%1200*8)
		if x%2 == 0 {
			name = a + ".corrupt"
		}
		_ = fs.Rename(a, name)
	},
	func(fs *vfs.Mem, a, b string, x, y int) { _ = fs.Misdirect(a, x%4, b, y%4) },
	func(fs *vfs.Mem, a, _ string, _, y int) { // the header
		fs.Change(a, func(d []byte) []byte { clear(d[:min(len(d), 8*(y%10))]); return d })
	},
}

// bodyKey is what a batch is when its lane's name may be lost.
func bodyKey(id string) string {
	_, rest, _ := strings.Cut(id, "/")
	_, rest, _ = strings.Cut(rest, "/")
	return rest
}

var fuzzLogs = sync.OnceValue(func() func(t testing.TB, released bool) *wreck {
	var logs [2]*wreck
	return func(t testing.TB, released bool) *wreck {
		i := 0
		if released {
			i = 1
		}
		if logs[i] == nil {
			logs[i] = newWreck(t, 14, released)
			if err := logs[i].SyncDir("/d"); err != nil {
				t.Fatal(err)
			}
		}
		w := *logs[i]
		w.Mem = logs[i].Kill(false)
		return &w
	}
})

// FuzzSalvage damages a small log in any way. Then salvage makes a plan and carries it out: the log opens, or why it
// cannot is said; every batch that a reader found before can be read after or is in the export; no batch is there that
// never was; no file's content is gone; and there is nothing more to do.
func FuzzSalvage(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		script := make([]byte, 7*(1+rng.IntN(6)))
		for i := range script {
			script[i] = byte(rng.Uint32())
		}
		f.Add(rng.IntN(2) == 0, script)
	}
	f.Fuzz(func(t *testing.T, released bool, script []byte) {
		w := fuzzLogs()(t, released)
		for n := 0; len(script) >= 7 && n < 12; n++ {
			names, err := w.List("/d")
			if err != nil || len(names) == 0 {
				break
			}
			c := script[:7]
			script = script[7:]
			a, b := names[int(c[1])%len(names)], names[int(c[2])%len(names)]
			wreckOps[int(c[0])%len(wreckOps)](w.Mem, filepath.Join("/d", a), filepath.Join("/d", b), int(c[3])<<8|int(c[4]), int(c[5])<<8|int(c[6]))
		}
		known := map[string]bool{}
		for _, id := range w.want {
			known[bodyKey(id)] = true
		}
		before := contents(t, w, "/d")
		readable := map[string]bool{}
		err := wal.Walk(t.Context(), w, "/d", 0, func(e *wal.Entry, lane streamdown.TopicPartition) error {
			if e.Kind == wal.KindBatch {
				readable[bodyKey(identity(lane, e.Ordinal, e.Body))] = true
			}
			return nil
		})
		told := err
		cfg := salvageConfig(w, "/d")
		cfg.Export = "/out"
		p, err := salvage(t.Context(), cfg)
		if err != nil {
			if strings.Contains(err.Error(), "newer version") {
				return
			}
			t.Fatal(err)
		}
		if _, err := json.Marshal(p); err != nil {
			t.Fatal(err)
		}
		nothingIsGone(t, before, contents(t, w, "/d"))
		after := map[string]bool{}
		if p.Export != nil {
			for _, id := range inExport(t, w, "/out") {
				if after[bodyKey(id)] = true; !known[bodyKey(id)] {
					t.Errorf("%s is exported and never was", id)
				}
			}
		}
		switch p.Verdict {
		case wal.SalvageNothing, wal.SalvageRepair:
			l, _, rec, err := openTracked(w, "/d", "", 1500)
			if err != nil {
				t.Fatalf("%v\n%s", err, p)
			}
			if rec.LogID != w.id {
				t.Errorf("log %s opened", rec.LogID)
			}
			n := int64(0)
			var c wal.Chunk
			for at := l.Stats().First; at < l.Durable(); at = c.Next {
				if err := l.Read(&c, at); err != nil && !errors.As(err, new(*wal.CorruptError)) {
					t.Fatal(err)
				}
				for _, e := range c.Entries {
					if e.Kind != wal.KindBatch {
						continue
					}
					n++
					tp, _ := l.LaneName(e.Lane)
					key := bodyKey(identity(tp, e.Ordinal, e.Body))
					if after[key] = true; !known[key] {
						t.Errorf("%s is read and never was", key)
					}
				}
			}
			if n != p.Batches {
				t.Errorf("%d batches can be read, the plan says %d:\n%s", n, p.Batches, p)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if again := plan(t, w); again.Verdict != wal.SalvageNothing {
				t.Errorf("after opening: %s", again)
			}
		default:
			if p.Why == "" {
				t.Errorf("it does not say why:\n%s", p)
			}
		}
		for key := range readable {
			if !after[key] {
				t.Errorf("%s could be read before (%v) and is nowhere now:\n%s", key[:min(len(key), 20)], told, p)
			}
		}
	})
}
