package quarantine_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/quarantine"
	"github.com/streamdown/streamdown/test/budget"
	"github.com/streamdown/streamdown/vfs"
)

func record(from streamdown.Ordinal) *quarantine.Record {
	at := time.Date(2026, 3, 1, 14, 2, 0, 0, time.UTC)
	return &quarantine.Record{
		Log: "8c9f2c1e-7a35-4b52-9f3e-0d1c2b3a4f50", Lane: 3, Topic: "orders", Partition: 7, From: from, Records: 2, Arrival: at, Code: 87,
		Reason: "kafka says no", At: at.Add(time.Second),
	}
}

func body(tb testing.TB, text string) []byte {
	tb.Helper()
	var b batch.Builder
	b.Append(1, nil, []byte(text))
	b.Append(2, []byte("k"), []byte(text))
	out, err := b.Build(batch.None, batch.NoStamp)
	if err != nil {
		tb.Fatal(err)
	}
	return bytes.Clone(out)
}

// TestPutBatchSurvivesCrash cuts the power at every operation of a Put: what it said is durable is there, byte for byte,
// and before that there is the batch, or nothing.
func TestPutBatchSurvivesCrash(t *testing.T) {
	want, r := body(t, "acked"), record(12)
	whole := vfs.NewMem()
	if err := quarantine.New(whole, "data").Put(r, want); err != nil {
		t.Fatal(err)
	}
	for at := range whole.Ops() + 1 {
		m := vfs.NewMem()
		m.CrashAt(at)
		done := quarantine.New(m, "data").Put(r, want) == nil
		for c := range m.CrashStates(200) {
			got, b, err := quarantine.New(c, "data").Get(r.Key())
			switch {
			case err == nil && (*got != *r || !bytes.Equal(b, want)):
				t.Fatalf("cut at %d: %+v", at, got)
			case err != nil && done:
				t.Fatalf("cut at %d after Put returned: %v", at, err)
			case err != nil && !vfs.IsNotExist(err):
				t.Fatalf("cut at %d: neither there nor not: %v", at, err)
			}
		}
	}
}

// TestFullDiskIsAnErrorAndNotABatch: and when there is room again, the same Put works.
func TestFullDiskIsAnErrorAndNotABatch(t *testing.T) {
	m := vfs.NewMem()
	s, r, b := quarantine.New(m, "data"), record(1), body(t, strings.Repeat("x", 5000))
	m.SetSpace(4096, syscall.ENOSPC)
	if err := s.Put(r, b); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("no room: %v", err)
	}
	if items, n, err := s.List(10); n != 0 || err != nil {
		t.Fatalf("%v, %d, %v", items, n, err)
	}
	m.SetSpace(-1, nil)
	if err := s.Put(r, b); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedBatchIsNotTaken(t *testing.T) {
	b := body(t, "acked")
	b[len(b)-1] ^= 1
	if err := quarantine.New(vfs.NewMem(), "data").Put(record(1), b); err == nil {
		t.Fatal("a batch whose checksum is wrong was kept as if it were whole")
	}
}

// TestEveryBitOfAFileCounts flips each bit: never is the batch called whole.
func TestEveryBitOfAFileCounts(t *testing.T) {
	m := vfs.NewMem()
	s, r := quarantine.New(m, "data"), record(5)
	if err := s.Put(r, body(t, "acked")); err != nil {
		t.Fatal(err)
	}
	file, err := s.File(r.Key())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 * len(file) {
		file[i/8] ^= 1 << (i % 8)
		if _, _, err := quarantine.Parse(file); err == nil {
			t.Fatalf("bit %d of byte %d does not count", i%8, i/8)
		}
		file[i/8] ^= 1 << (i % 8)
	}
	for n := range file {
		if _, _, err := quarantine.Parse(file[:n]); err == nil {
			t.Fatalf("cut to %d of %d bytes it is whole", n, len(file))
		}
	}
}

func TestListingIsBoundedAndNamesWhatIsDamaged(t *testing.T) {
	dir := t.TempDir()
	s := quarantine.New(vfs.OS{}, dir)
	if items, n, err := s.List(10); len(items) != 0 || n != 0 || err != nil {
		t.Fatalf("without a directory: %v, %d, %v", items, n, err)
	}
	for o := range streamdown.Ordinal(5) {
		if err := s.Put(record(o*2), body(t, "acked")); err != nil {
			t.Fatal(err)
		}
	}
	if err := vfs.WriteFile(vfs.OS{}, filepath.Join(dir, quarantine.Dir, "0.batch"), []byte("SDQUAR\x00\x01 what is this")); err != nil {
		t.Fatal(err)
	}
	items, n, err := s.List(4)
	if err != nil || n != 6 || len(items) != 4 {
		t.Fatalf("%d of %d, %v", len(items), n, err)
	}
	if !errors.Is(items[0].Err, quarantine.ErrDamaged) || items[1].Err != nil || items[1].Record.ID() != "orders/7@0" || items[1].Bytes == 0 {
		t.Errorf("%+v %+v", items[0], items[1])
	}
	if err := s.Remove(items[1].Record.Key()); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(items[1].Record.Key()); err != nil {
		t.Errorf("removing what is gone: %v", err)
	}
	if _, _, err := s.Get(items[1].Record.Key()); !vfs.IsNotExist(err) {
		t.Errorf("%v", err)
	}
}

// TestRenamedFileIsNotBelieved: a batch is never sent under the name of another one.
func TestRenamedFileIsNotBelieved(t *testing.T) {
	m := vfs.NewMem()
	s, a, b := quarantine.New(m, "data"), record(1), record(9)
	if err := s.Put(a, body(t, "acked")); err != nil {
		t.Fatal(err)
	}
	names, err := m.List(filepath.Join("data", quarantine.Dir))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	from := filepath.Join("data", quarantine.Dir, names[0])
	if err := m.Rename(from, strings.Replace(from, "00001.batch", "00009.batch", 1)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Get(b.Key()); !errors.Is(err, quarantine.ErrDamaged) {
		t.Errorf("%v", err)
	}
}

func TestIDs(t *testing.T) {
	tp, from, err := quarantine.ParseID(record(1200).ID())
	if err != nil || tp != (streamdown.TopicPartition{Topic: "orders", Partition: 7}) || from != 1200 {
		t.Fatal(tp, from, err)
	}
	for _, bad := range []string{"", "orders", "orders/0", "orders@5", "/0@5", "orders/-1@5", "orders/0@-5", "orders/0@x", "orders/99999999999@1"} {
		if _, _, err := quarantine.ParseID(bad); err == nil {
			t.Errorf("%q is an id", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	m := vfs.NewMem()
	s, r := quarantine.New(m, "data"), record(5)
	if err := s.Put(r, body(f, "acked")); err != nil {
		f.Fatal(err)
	}
	file, err := s.File(r.Key())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Add(file[:24])
	f.Add([]byte("SDQUAR\x00\x01"))
	f.Add([]byte("SDQUAR\x00\x02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		budget.Check(t, len(b), func() {
			r, body, err := quarantine.Parse(b)
			if err == nil && (r == nil || batch.Verify(body) != nil) {
				t.Errorf("%+v and %d bytes are called whole", r, len(body))
			}
		})
	})
}
