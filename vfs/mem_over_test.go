package vfs_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/streamdown/streamdown/vfs"
)

// over writes at a place.
func over(t *testing.T, f vfs.File, at int64, what string) {
	t.Helper()
	_, err := f.WriteAt([]byte(what), at)
	must(t, err)
}

// old is a file with content that is durable.
func old(t *testing.T, m *vfs.Mem, what string) vfs.File {
	t.Helper()
	f := create(t, m, "/d/a", what)
	must(t, f.Sync(), m.SyncDir("/d"))
	return f
}

func fails(op vfs.Op) func(vfs.Op, string) error {
	return func(o vfs.Op, _ string) error {
		if o == op {
			return syscall.EIO
		}
		return nil
	}
}

// TestWhatIsWrittenOverIsOldOrNew: never zeros, and a later write to the same place wins over an earlier one.
func TestWhatIsWrittenOverIsOldOrNew(t *testing.T) {
	for _, tt := range []struct {
		name  string
		do    func(t *testing.T, m *vfs.Mem)
		cache string
		evict string   // what is read after eviction
		want  []string // sorted
	}{
		{"one write", func(t *testing.T, m *vfs.Mem) { over(t, old(t, m, "abcd"), 1, "XY") },
			"a=aXYd", "a=aXYd", []string{"a=aXYd", "a=abcd"}},
		{"two writes to one place", func(t *testing.T, m *vfs.Mem) {
			f := old(t, m, "abcd")
			over(t, f, 0, "XY")
			over(t, f, 1, "UV")
		}, "a=XUVd", "a=XUVd", []string{"a=XUVd", "a=XYcd", "a=aUVd", "a=abcd"}},
		{"over the end", func(t *testing.T, m *vfs.Mem) { over(t, old(t, m, "ab"), 1, "XY") },
			"a=aXY", "a=aXY", []string{"a=aXY", "a=ab", "a=ab."}},
		{"behind the end", func(t *testing.T, m *vfs.Mem) { over(t, old(t, m, "ab"), 3, "X") },
			"a=ab.X", "a=ab.X", []string{"a=ab", "a=ab..", "a=ab.X"}},
		{"synced", func(t *testing.T, m *vfs.Mem) {
			f := old(t, m, "abcd")
			over(t, f, 1, "XY")
			must(t, f.Sync())
			over(t, f, 2, "Z")
		}, "a=aXZd", "a=aXZd", []string{"a=aXYd", "a=aXZd"}},
		{"a sync that failed leaves the old bytes", func(t *testing.T, m *vfs.Mem) {
			f := old(t, m, "abcd")
			over(t, f, 1, "XY")
			m.Inject(fails(vfs.OpSync))
			if f.Sync() == nil {
				t.Fatal("no fault")
			}
			m.Inject(nil)
			must(t, f.Sync())
		}, "a=aXYd", "a=abcd", []string{"a=aXYd", "a=abcd"}},
		{"a sync that failed, and a later write in its middle that was synced", func(t *testing.T, m *vfs.Mem) {
			f := old(t, m, "abcd")
			over(t, f, 0, "WXYZ")
			m.Inject(fails(vfs.OpSync))
			if f.Sync() == nil {
				t.Fatal("no fault")
			}
			m.Inject(nil)
			over(t, f, 1, "--")
			must(t, f.Sync())
		}, "a=W--Z", "a=a--d", []string{"a=W--Z", "a=W--d", "a=a--Z", "a=a--d"}},
		{"a sync that failed, written over and not synced", func(t *testing.T, m *vfs.Mem) {
			f := old(t, m, "abcd")
			over(t, f, 0, "WX")
			m.Inject(fails(vfs.OpSync))
			if f.Sync() == nil {
				t.Fatal("no fault")
			}
			m.Inject(nil)
			over(t, f, 1, "-")
		}, "a=W-cd", "a=a-cd", []string{"a=W-cd", "a=WXcd", "a=a-cd", "a=abcd"}},
		{"under another name, which is not synced", func(t *testing.T, m *vfs.Mem) {
			f := old(t, m, "ab")
			must(t, m.Rename("/d/a", "/d/b"))
			over(t, f, 0, "X")
			must(t, f.Sync())
		}, "b=Xb", "b=Xb", []string{"a=Xb", "a=Xb b=Xb", "b=Xb"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := vfs.NewMem()
			tt.do(t, m)
			if got := content(t, m); got != tt.cache {
				t.Errorf("%q is read, want %q", got, tt.cache)
			}
			if got := states(t, m); !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			if got := content(t, m.Kill(false)); got != tt.cache {
				t.Errorf("the death of the process alone left %q", got)
			}
			gone := m.Kill(true)
			if got := content(t, gone); got != tt.evict {
				t.Errorf("after eviction %q is read, want %q", got, tt.evict)
			}
			for _, s := range states(t, gone) {
				if !slices.Contains(tt.want, s) {
					t.Errorf("after eviction a crash leaves %q", s)
				}
			}
			if got := content(t, m); got != tt.cache {
				t.Errorf("a copy changed the disk: %q is read", got)
			}
			seen := map[string]bool{}
			for seed := range uint64(3000) {
				seen[content(t, m.Crash(rand.New(rand.NewPCG(seed, 1))))] = true
			}
			for _, want := range tt.want {
				if !seen[want] {
					t.Errorf("3,000 crashes never left %q", want)
				}
			}
		})
	}
}

// TestOnceReadFromTheDiskIsOnTheDisk: what eviction showed to be lost cannot come back.
func TestOnceReadFromTheDiskIsOnTheDisk(t *testing.T) {
	m := vfs.NewMem()
	f := old(t, m, "ab")
	over(t, f, 0, "XY")
	m.Inject(fails(vfs.OpSync))
	if f.Sync() == nil {
		t.Fatal("no fault")
	}
	m.Inject(nil)
	m.Evict()
	if got := states(t, m); !slices.Equal(got, []string{"a=ab"}) {
		t.Errorf("a crash leaves %q", got)
	}
	must(t, f.Sync())
	over(t, f, 1, "Z")
	if got := states(t, m); !slices.Equal(got, []string{"a=aZ", "a=ab"}) {
		t.Errorf("a crash leaves %q", got)
	}
}

// A suspect is a byte of a file, with all that a crash may make of it.
type suspect struct {
	synced  byte   // what is durable, when there is some
	durable bool   // the sync that made it so covered it
	values  []byte // what writes put there since, or failed syncs gave up
	any     bool   // a write was changing it: noise is allowed
}

func (s *suspect) allows(c byte) bool {
	return s.any || slices.Contains(s.values, c) || c == s.synced
}

// A shadow is a slow and obvious model of one file: it knows what each byte may be, and nothing of how it comes to be.
type shadow struct {
	bytes []suspect
	size  int // that is durable
	dirty []int
}

func (s *shadow) write(at int, b []byte) {
	for i, c := range b {
		i += at
		for len(s.bytes) <= i {
			s.bytes = append(s.bytes, suspect{})
		}
		x := &s.bytes[i]
		x.values = append(x.values, c)
		x.any = x.any || !x.durable || c != x.synced
		s.dirty = append(s.dirty, i)
	}
}

func (s *shadow) sync(cache []byte) {
	for _, i := range s.dirty {
		s.bytes[i] = suspect{synced: cache[i], durable: true}
	}
	for i := s.size; i < len(s.bytes); i++ {
		s.bytes[i].durable = true // there is a zero, or what was given up
	}
	s.dirty, s.size = s.dirty[:0], len(s.bytes)
}

// giveUp is a failed sync: noise is no more to be expected where nobody will write.
func (s *shadow) giveUp() {
	for _, i := range s.dirty {
		s.bytes[i].any = false
	}
	s.dirty = s.dirty[:0]
}

// TestACrashLeavesNothingElse writes at random places, syncs, fails to sync and crashes finely. Each byte that is left is
// one that was durable or written there, or noise where one was being changed; and each of the ways happens.
func TestACrashLeavesNothingElse(t *testing.T) {
	happened := map[string]int{}
	for seed := range uint64(1200) {
		rng := rand.New(rand.NewPCG(seed, 5))
		m := vfs.NewMem()
		first := strings.Repeat("o", rng.IntN(3000))
		f := old(t, m, first)
		var s shadow
		s.write(0, []byte(first))
		cache := []byte(first)
		s.sync(cache)
		failed := false
		for range rng.IntN(7) {
			switch rng.IntN(5) {
			case 0:
				must(t, f.Sync())
				s.sync(cache)
			case 1:
				m.Inject(fails(vfs.OpSync))
				if f.Sync() == nil {
					t.Fatal("no fault")
				}
				m.Inject(nil)
				s.giveUp()
				failed = true
			default:
				at := rng.IntN(len(cache) + 1)
				b := bytes.Repeat([]byte{byte('a' + rng.IntN(8))}, rng.IntN(1500))
				copy(b, "oooo") // not a change, perhaps
				over(t, f, int64(at), string(b))
				s.write(at, b)
				cache = append(cache[:at:at], append(b, cache[min(at+len(b), len(cache)):]...)...)
			}
		}
		if got := content(t, m); got != "a="+string(cache) {
			t.Fatalf("seed %d: the page cache shows %q", seed, got)
		}
		killed := m.Kill(rng.IntN(2) == 0)
		for i, disk := range []*vfs.Mem{m, m, killed} {
			got, err := vfs.ReadFile(disk.Crash(rand.New(rand.NewPCG(seed, uint64(i)))), "/d/a")
			must(t, err)
			if len(got) < s.size || len(got) > len(cache) {
				t.Fatalf("seed %d: %d bytes are left, between %d and %d are possible", seed, len(got), s.size, len(cache))
			}
			for at, c := range got {
				x := &s.bytes[at]
				if !x.allows(c) {
					t.Fatalf("seed %d: byte %d is %q; durable %q, written %q", seed, at, c, x.synced, x.values)
				}
				noise := x.any && !slices.Contains(x.values, c) && c != x.synced
				switch {
				case noise && at < s.size:
					happened["noise in place of old bytes"]++
				case noise:
					happened["noise in place of new bytes"]++
				case at < s.size && len(x.values) > 0 && c == x.synced && x.values[len(x.values)-1] != c:
					happened["old bytes stay"]++
				case at < s.size && len(x.values) > 0 && c != x.synced:
					happened["old bytes are replaced"]++
				case at >= s.size && c == 0:
					happened["a size without data"]++
				}
			}
			switch {
			case len(got) > s.size && len(got) < len(cache):
				happened["a size in between"]++
			case len(got) == s.size && len(cache) > s.size:
				happened["a size that is lost"]++
			}
			if failed && bytes.Equal(got, cache) {
				happened["what failed is there"]++
			}
		}
	}
	for _, what := range []string{
		"noise in place of old bytes", "noise in place of new bytes", "old bytes stay", "old bytes are replaced",
		"a size without data", "a size in between", "a size that is lost", "what failed is there",
	} {
		if happened[what] == 0 {
			t.Errorf("never happened: %s", what)
		}
	}
}

// TestWhatIsWrittenOverIsTornAnywhere finds cuts everywhere in one write over old bytes, and every set of its sectors.
func TestWhatIsWrittenOverIsTornAnywhere(t *testing.T) {
	m := vfs.NewMem()
	over(t, old(t, m, strings.Repeat("o", 2000)), 100, strings.Repeat("n", 1500))
	cuts, sets := map[int]bool{}, map[string]bool{}
	for seed := range uint64(10_000) {
		b, err := vfs.ReadFile(m.Crash(rand.New(rand.NewPCG(seed, 1))), "/d/a")
		must(t, err)
		if len(b) != 2000 || strings.Trim(string(b[:100])+string(b[1600:]), "o") != "" {
			t.Fatal("what no write changed is not what it was")
		}
		if rest := bytes.TrimLeft(b[100:], "n"); strings.Trim(string(rest), "o") == "" {
			cuts[2000-len(rest)] = true
		}
		set := ""
		for at := 0; at < 2000; at += 512 {
			from, to := max(at, 100), min(at+512, 1600)
			switch part := string(b[from:to]); {
			case strings.Trim(part, "o") == "":
				set += "o"
			case strings.Trim(part, "n") == "":
				set += "n"
			default:
				set += "?"
			}
		}
		sets[set] = true
	}
	if len(cuts) < 1100 { // some are missed by chance
		t.Errorf("torn at %d places, 1,501 are possible", len(cuts))
	}
	for i := range 16 {
		set := ""
		for bit := range 4 {
			set += string("on"[i>>bit&1])
		}
		if !sets[set] {
			t.Errorf("sectors %s were never left", set)
		}
	}
	if !sets["??oo"] && !sets["?n?o"] && !sets["o?on"] {
		t.Error("no two sectors apart were garbled")
	}
}

func TestFaultsWhileWritingOver(t *testing.T) {
	for _, tt := range []struct {
		fault error
		err   error
		n     int
		cache string
	}{
		{syscall.EIO, syscall.EIO, 2, "a=aWXde"},
		{vfs.Fault{Err: syscall.EIO}, syscall.EIO, 0, "a=abcde"},
		{vfs.Fault{Err: syscall.EIO, N: 3}, syscall.EIO, 3, "a=aWXYe"},
		{vfs.Fault{Err: syscall.EIO, Took: true}, syscall.EIO, 4, "a=aWXYZ"},
		{vfs.Fault{N: 1}, nil, 4, "a=aWcde"},
	} {
		m := vfs.NewMem()
		f := old(t, m, "abcde")
		m.Inject(func(vfs.Op, string) error { return tt.fault })
		n, err := f.WriteAt([]byte("WXYZ"), 1)
		if n != tt.n || !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
			t.Errorf("%v: wrote %d, %v", tt.fault, n, err)
		}
		m.Inject(nil)
		if got := content(t, m); got != tt.cache {
			t.Errorf("%v: %q is read", tt.fault, got)
		}
		if got := content(t, m.Crash(nil)); got != "a=abcde" {
			t.Errorf("%v: %q is left without luck", tt.fault, got)
		}
	}
}

// TestALyingSyncOfWhatIsWrittenOver leaves the old bytes.
func TestALyingSyncOfWhatIsWrittenOver(t *testing.T) {
	m := vfs.NewMem()
	f := old(t, m, "abc")
	over(t, f, 1, "X")
	m.Inject(func(vfs.Op, string) error { return vfs.Fault{} })
	must(t, f.Sync())
	m.Inject(nil)
	if got := states(t, m); !slices.Equal(got, []string{"a=aXc", "a=abc"}) {
		t.Errorf("a crash leaves %q", got)
	}
}

// TestWritingOverTakesNoSpace: only what makes a file longer does, in its directory and on the whole disk.
func TestWritingOverTakesNoSpace(t *testing.T) {
	m := vfs.NewMem()
	f := old(t, m, "1234")
	g := create(t, m, "/r/b", "12")
	m.SetSpace(6, nil)
	over(t, f, 0, "5678")
	if n, err := f.WriteAt([]byte("xyz"), 3); n != 1 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("wrote %d, %v", n, err)
	}
	if n, err := f.WriteAt([]byte("z"), 6); n != 0 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("wrote %d, %v", n, err)
	}
	if got := content(t, m); got != "a=567x" {
		t.Errorf("%q is read", got)
	}
	m.SetSpace(-1, nil)
	m.SetSpaceIn("/d", 5, syscall.EDQUOT)
	if n, err := add(f, []byte("yz")); n != 1 || !errors.Is(err, syscall.EDQUOT) {
		t.Errorf("wrote %d, %v", n, err)
	}
	if _, err := m.Create("/d/c"); !errors.Is(err, syscall.EDQUOT) {
		t.Errorf("create: %v", err)
	}
	_, err := add(g, []byte("345678"))
	must(t, err)
	free, err := m.Free("/d")
	must(t, err)
	if m.Used() != 13 || m.UsedIn("/d") != 5 || m.UsedIn("/r") != 8 || free != 0 {
		t.Errorf("used %d, %d and %d; %d free", m.Used(), m.UsedIn("/d"), m.UsedIn("/r"), free)
	}
	must(t, m.Rename("/d/a", "/d/z"), m.Remove("/r/b"))
	_, err = add(g, []byte("nobody sees it"))
	must(t, err)
	if err := m.Rename("/d/z", "/r/z"); !errors.Is(err, syscall.EXDEV) {
		t.Errorf("rename to another disk: %v", err)
	}
	for _, d := range []*vfs.Mem{m, m.Kill(false)} {
		if d.Used() != 5 || d.UsedIn("/d") != 5 || d.UsedIn("/r") != 0 {
			t.Errorf("used %d, %d and %d", d.Used(), d.UsedIn("/d"), d.UsedIn("/r"))
		}
	}
	must(t, f.Sync(), m.SyncDir("/d"))
	if c := m.Crash(nil); c.Used() != c.UsedIn("/d") || c.Used() != 5 {
		t.Errorf("after a crash %d bytes are used", c.Used())
	}
}

// TestPowerGoesWhileWritingOver: the write may be there, and so may what was there before.
func TestPowerGoesWhileWritingOver(t *testing.T) {
	m := vfs.NewMem()
	f := old(t, m, "abc")
	m.CrashAt(m.Ops() + 1)
	if _, err := f.WriteAt([]byte("XY"), 1); !errors.Is(err, vfs.ErrCrashed) {
		t.Fatal(err)
	}
	if got := states(t, m); !slices.Equal(got, []string{"a=aXY", "a=abc"}) {
		t.Errorf("a crash leaves %q", got)
	}
}

// TestCopiesOfADiskAreApart changes a disk and copies of it, at random, and none sees what another one does.
func TestCopiesOfADiskAreApart(t *testing.T) {
	type copied struct {
		disk *vfs.Mem
		want string
	}
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 7))
		m := vfs.NewMem()
		f := old(t, m, "0123456789")
		cache := []byte("0123456789")
		var copies []copied
		for range 20 {
			switch rng.IntN(6) {
			case 0:
				must(t, f.Sync())
			case 1:
				copies = append(copies, copied{m.Kill(false), string(cache)})
			case 2:
				if len(copies) > 0 {
					c := &copies[rng.IntN(len(copies))]
					c.disk = c.disk.Kill(false)
					c.disk.Change("/d/a", func(b []byte) []byte { b[0]++; return b })
					c.want = string(c.want[0]+1) + c.want[1:]
				}
			default:
				at := rng.IntN(len(cache) + 1)
				b := bytes.Repeat([]byte{byte('a' + rng.IntN(26))}, rng.IntN(8))
				over(t, f, int64(at), string(b))
				cache = append(cache[:at:at], append(b, cache[min(at+len(b), len(cache)):]...)...)
			}
		}
		for i, c := range append(copies, copied{m, string(cache)}) {
			if got := content(t, c.disk); got != "a="+c.want {
				t.Fatalf("seed %d: disk %d has %q, want %q", seed, i, got, c.want)
			}
		}
	}
}

// TestOnlyWhoMadeAFileWritesToIt, as with files of the system.
func TestOnlyWhoMadeAFileWritesToIt(t *testing.T) {
	m := vfs.NewMem()
	old(t, m, "abc")
	f, err := m.Open("/d/a")
	must(t, err)
	if _, err := f.WriteAt([]byte("x"), 0); !errors.Is(err, syscall.EBADF) {
		t.Errorf("write: %v", err)
	}
	if got := content(t, m); got != "a=abc" {
		t.Errorf("%q is read", got)
	}
}
