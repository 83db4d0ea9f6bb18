package vfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/streamdown/streamdown/vfs"
)

// create makes a file with content that is not synced.
func create(t *testing.T, m *vfs.Mem, name string, parts ...string) vfs.File {
	t.Helper()
	f, err := m.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if _, err := add(f, []byte(p)); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// content is what a disk holds, on one line: names and bytes, a zero as a dot.
func content(t *testing.T, m *vfs.Mem) string {
	t.Helper()
	names, err := m.List("/d")
	must(t, err)
	var all []string
	for _, n := range names {
		b, err := vfs.ReadFile(m, "/d/"+n)
		must(t, err)
		all = append(all, n+"="+strings.ReplaceAll(string(b), "\x00", "."))
	}
	return strings.Join(all, " ")
}

// states are all disks that whole writes and names can leave.
func states(t *testing.T, m *vfs.Mem) []string {
	t.Helper()
	var all []string
	for c := range m.CrashStates(1000) {
		if s := content(t, c); !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	slices.Sort(all)
	return all
}

func TestACrashLeavesWhatPosixAllows(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, m *vfs.Mem)
		want []string // sorted
	}{
		{"nothing is synced", func(t *testing.T, m *vfs.Mem) { create(t, m, "/d/a", "x") },
			[]string{"", "a=", "a=.", "a=x"}},
		{"the name alone is synced", func(t *testing.T, m *vfs.Mem) { create(t, m, "/d/a", "x"); must(t, m.SyncDir("/d")) },
			[]string{"a=", "a=.", "a=x"}},
		{"the content alone is synced", func(t *testing.T, m *vfs.Mem) { must(t, create(t, m, "/d/a", "x").Sync()) },
			[]string{"", "a=x"}},
		{"both are synced", func(t *testing.T, m *vfs.Mem) {
			must(t, create(t, m, "/d/a", "x").Sync(), m.SyncDir("/d"))
		}, []string{"a=x"}},
		{"writes are reordered", func(t *testing.T, m *vfs.Mem) {
			f := create(t, m, "/d/a", "x")
			must(t, f.Sync(), m.SyncDir("/d"))
			_, err := add(f, []byte("y"))
			_, err2 := add(f, []byte("z"))
			must(t, err, err2)
		}, []string{"a=x", "a=x..", "a=x.z", "a=xy", "a=xy.", "a=xyz"}},
		{"a rename", func(t *testing.T, m *vfs.Mem) {
			must(t, create(t, m, "/d/a", "x").Sync(), m.SyncDir("/d"), m.Rename("/d/a", "/d/b"))
		}, []string{"a=x", "a=x b=x", "b=x"}},
		{"a rename over another file", func(t *testing.T, m *vfs.Mem) {
			must(t, create(t, m, "/d/a", "x").Sync(), create(t, m, "/d/b", "y").Sync(), m.SyncDir("/d"), m.Rename("/d/a", "/d/b"))
		}, []string{"a=x b=x", "a=x b=y", "b=x"}},
		{"a rename without content", func(t *testing.T, m *vfs.Mem) {
			create(t, m, "/d/a", "x")
			must(t, m.Rename("/d/a", "/d/b"), m.SyncDir("/d"))
		}, []string{"b=", "b=.", "b=x"}},
		{"removals come back one by one", func(t *testing.T, m *vfs.Mem) {
			must(t, create(t, m, "/d/a", "x").Sync(), create(t, m, "/d/b", "y").Sync(), m.SyncDir("/d"), m.Remove("/d/a"), m.Remove("/d/b"))
		}, []string{"", "a=x", "a=x b=y", "b=y"}},
		{"a name used twice", func(t *testing.T, m *vfs.Mem) {
			must(t, create(t, m, "/d/a", "x").Sync(), m.SyncDir("/d"), m.Remove("/d/a"), create(t, m, "/d/a", "z").Sync())
		}, []string{"", "a=x", "a=z"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := vfs.NewMem()
			tt.do(t, m)
			before := content(t, m)
			if got := states(t, m); !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			if got := content(t, m.Crash(nil)); !slices.Contains(tt.want, got) {
				t.Errorf("without luck %q is left", got)
			}
			if got := content(t, m.Kill(true)); got != before {
				t.Errorf("the death of the process alone left %q of %q", got, before)
			}
			// Chance leaves whole writes too, and finer things, but no other names and nothing of what was synced.
			seen := map[string]bool{}
			for seed := range uint64(2000) {
				seen[content(t, m.Crash(rand.New(rand.NewPCG(seed, 1))))] = true
			}
			for _, want := range tt.want {
				if !seen[want] {
					t.Errorf("2,000 crashes never left %q", want)
				}
			}
		})
	}
}

// TestAFailedSyncIsAFailedSync is fsyncgate: after it the pages are clean, and a second sync proves nothing.
func TestAFailedSyncIsAFailedSync(t *testing.T) {
	m := vfs.NewMem()
	f := create(t, m, "/d/a", "x")
	must(t, f.Sync(), m.SyncDir("/d"))
	_, err := add(f, []byte("yy"))
	must(t, err)
	m.Inject(func(op vfs.Op, _ string) error {
		if op == vfs.OpSync {
			return syscall.EIO
		}
		return nil
	})
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	m.Inject(nil)
	must(t, f.Sync())
	_, err = add(f, []byte("z"))
	must(t, err, f.Sync())
	if got := content(t, m); got != "a=xyyz" {
		t.Errorf("the page cache shows %q", got)
	}
	if got := states(t, m); !slices.Equal(got, []string{"a=x..z", "a=xyyz"}) {
		t.Errorf("a crash leaves %q", got)
	}
	if got := content(t, m.Kill(true)); got != "a=x..z" {
		t.Errorf("after eviction %q is read", got)
	}
	m.Evict()
	if got := content(t, m); got != "a=x..z" {
		t.Errorf("after eviction %q is read", got)
	}
}

func TestAFailedSyncOfADirectoryIsOneToo(t *testing.T) {
	m := vfs.NewMem()
	must(t, create(t, m, "/d/a", "x").Sync())
	m.Inject(func(vfs.Op, string) error { return syscall.EIO })
	if m.SyncDir("/d") == nil {
		t.Fatal("no fault")
	}
	m.Inject(nil)
	must(t, m.SyncDir("/d"))
	if got := states(t, m); !slices.Equal(got, []string{"", "a=x"}) {
		t.Errorf("a crash leaves %q", got)
	}
	must(t, create(t, m, "/d/t", "y").Sync(), m.Rename("/d/t", "/d/a"), m.SyncDir("/d"))
	if got := states(t, m); !slices.Equal(got, []string{"a=y", "a=y t=y"}) && !slices.Equal(got, []string{"a=y"}) {
		t.Errorf("a new name was synced and a crash leaves %q", got)
	}
}

func TestEveryWayAnOperationCanEnd(t *testing.T) {
	for _, tt := range []struct {
		fault error
		err   error
		n     int
		cache string
		left  string // without luck
	}{
		{nil, nil, 4, "a=wxyz", "a=wxyz"},
		{syscall.EINTR, syscall.EINTR, 2, "a=wx", "a=wx"},
		{vfs.Fault{Err: syscall.EIO}, syscall.EIO, 0, "a=", "a="},
		{vfs.Fault{Err: syscall.ENOSPC, N: 3}, syscall.ENOSPC, 3, "a=wxy", "a=wxy"},
		{vfs.Fault{Err: syscall.EIO, Took: true}, syscall.EIO, 4, "a=wxyz", "a=wxyz"},
		{vfs.Fault{N: 1}, nil, 4, "a=w", "a=w"},
	} {
		m := vfs.NewMem()
		f := create(t, m, "/d/a")
		m.Inject(func(vfs.Op, string) error { return tt.fault })
		n, err := add(f, []byte("wxyz"))
		if n != tt.n || !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
			t.Errorf("%v: wrote %d, %v", tt.fault, n, err)
		}
		m.Inject(nil)
		must(t, f.Sync(), m.SyncDir("/d"))
		if got := content(t, m); got != tt.cache {
			t.Errorf("%v: %q is there", tt.fault, got)
		}
		if got := content(t, m.Crash(nil)); got != tt.left {
			t.Errorf("%v: %q is left", tt.fault, got)
		}
	}
}

func TestALyingSyncDoesNothing(t *testing.T) {
	m := vfs.NewMem()
	f := create(t, m, "/d/a", "x")
	m.Inject(func(vfs.Op, string) error { return vfs.Fault{} })
	must(t, f.Sync(), m.SyncDir("/d"))
	m.Inject(nil)
	if got := content(t, m.Crash(nil)); got != "" {
		t.Errorf("%q is left", got)
	}
}

func TestSpaceEndsAtTheByte(t *testing.T) {
	m := vfs.NewMem()
	f := create(t, m, "/d/a", "1234")
	m.SetSpace(6, syscall.EDQUOT)
	if n, err := add(f, []byte("567")); n != 2 || !errors.Is(err, syscall.EDQUOT) {
		t.Errorf("wrote %d, %v", n, err)
	}
	if _, err := m.Create("/d/b"); !errors.Is(err, syscall.EDQUOT) {
		t.Errorf("create: %v", err)
	}
	must(t, m.Remove("/d/a"))
	if m.Used() != 0 {
		t.Errorf("%d bytes used", m.Used())
	}
	create(t, m, "/d/b", "123456")
}

// TestThePowerGoesAtTheOperation: its effect may be there, and nothing after it.
func TestThePowerGoesAtTheOperation(t *testing.T) {
	ops := []func(m *vfs.Mem, f vfs.File) error{
		func(_ *vfs.Mem, f vfs.File) error { _, err := add(f, []byte("y")); return err },
		func(_ *vfs.Mem, f vfs.File) error { return f.Sync() },
		func(m *vfs.Mem, _ vfs.File) error { return m.Rename("/d/a", "/d/b") },
		func(m *vfs.Mem, _ vfs.File) error { return m.SyncDir("/d") },
		func(m *vfs.Mem, _ vfs.File) error { return m.Remove("/d/b") },
	}
	want := [][]string{
		{"a=x", "a=x.", "a=xy"},
		{"a=x", "a=x.", "a=xy"},
		{"a=xy", "a=xy b=xy", "b=xy"},
		{"a=xy", "a=xy b=xy", "b=xy"},
		{"", "b=xy"},
	}
	for at := range ops {
		m := vfs.NewMem()
		f := create(t, m, "/d/a", "x")
		must(t, f.Sync(), m.SyncDir("/d"))
		m.CrashAt(m.Ops() + at + 1)
		for i, op := range ops {
			if err := op(m, f); errors.Is(err, vfs.ErrCrashed) != (i >= at) || i < at && err != nil {
				t.Errorf("power cut at operation %d: operation %d says %v", at, i, err)
			}
		}
		if _, err := m.List("/d"); !m.Dead() || !errors.Is(err, vfs.ErrCrashed) {
			t.Error("the power is on")
		}
		if got := states(t, m); !slices.Equal(got, want[at]) {
			t.Errorf("power cut at operation %d leaves %q, want %q", at, got, want[at])
		}
	}
}

// TestSyncedBytesStay writes and syncs at random and crashes finely: what was synced is there, and nothing else but
// zeros, noise and what was written there.
func TestSyncedBytesStay(t *testing.T) {
	torn, garbled := 0, 0
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 2))
		m := vfs.NewMem()
		f := create(t, m, "/d/a")
		must(t, m.SyncDir("/d"))
		var all []byte
		synced := 0
		for range rng.IntN(12) {
			b := bytes.Repeat([]byte{byte(1 + rng.IntN(255))}, rng.IntN(700))
			all = append(all, b...)
			_, err := add(f, b)
			must(t, err)
			if rng.IntN(3) == 0 {
				must(t, f.Sync())
				synced = len(all)
			}
		}
		a, b := m.Crash(rand.New(rand.NewPCG(seed, 3))), m.Crash(rand.New(rand.NewPCG(seed, 3)))
		got, err := vfs.ReadFile(a, "/d/a")
		must(t, err)
		again, err := vfs.ReadFile(b, "/d/a")
		must(t, err)
		if !bytes.Equal(got, again) {
			t.Fatalf("seed %d: one seed, two crashes", seed)
		}
		if len(got) < synced || len(got) > len(all) || !bytes.Equal(got[:synced], all[:synced]) {
			t.Fatalf("seed %d: %d bytes were synced, %d are there", seed, synced, len(got))
		}
		if len(got) > synced && len(got) < len(all) {
			torn++
		}
		for i := synced; i < len(got); i++ {
			if got[i] != 0 && got[i] != all[i] {
				garbled++
				break
			}
		}
	}
	if torn == 0 || garbled == 0 {
		t.Errorf("%d files torn, %d garbled", torn, garbled)
	}
}

func TestRotIsWhereItWasPut(t *testing.T) {
	m := vfs.NewMem()
	must(t, create(t, m, "/d/a", strings.Repeat("a", 600)).Sync(), m.SyncDir("/d"))
	earlier := m.Crash(nil)
	must(t, create(t, m, "/d/b", strings.Repeat("b", 600)).Sync(), m.SyncDir("/d"))
	m.Flip("/d/a", 9)
	if got := content(t, m); got[:5] != "a=aca" {
		t.Errorf("flipped: %q", got[:5])
	}
	if !m.Stale(earlier, "/d/a", 0) || m.Stale(earlier, "/d/a", 1) {
		t.Error("a stale sector is not the old one")
	}
	if !m.Misdirect("/d/b", 1, "/d/a", 0) {
		t.Error("misdirected nowhere")
	}
	want := fmt.Sprintf("a=%s%s b=%s", strings.Repeat("b", 88), strings.Repeat("a", 512), strings.Repeat("b", 600))
	if got := content(t, m); got != want {
		t.Errorf("got %q", got)
	}
	m.Distort(func(_ string, off int64, b []byte) { b[0] ^= byte(off + 1) })
	if got := content(t, m); got[2] != 'b'^1 {
		t.Errorf("a read was not distorted: %q", got[:5])
	}
}

// add writes at the end of a file.
func add(f vfs.File, b []byte) (int, error) {
	end, _ := f.Size() // that it fails, the write says too
	return f.WriteAt(b, end)
}
