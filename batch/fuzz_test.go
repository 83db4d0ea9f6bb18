package batch

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/streamdown/streamdown/test/hostile"
)

// FuzzBatch gives whatever bytes to all that reads batches, within a budget of memory and time. The CRC is made right
// first, or nothing behind it would ever be reached.
func FuzzBatch(f *testing.F) {
	for _, c := range admissions(f) {
		f.Add(c.bytes)
	}
	golden, _ := filepath.Glob("testdata/golden/*.batch")
	for _, name := range golden {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, i := range hostile.Seeds(hostile.Plain) {
		if i.Records {
			f.Add(hostile.RecordsOf(i.Data))
		}
	}
	rules := &Rules{Compacted: true, BeforeMax: time.Hour, AfterMax: time.Hour, Uncompressed: true, MaxMessageBytes: 1 << 20}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := Size(b)
		if err == nil && (n < HeaderSize || n > len(b)) {
			t.Fatalf("size %d of %d bytes", n, len(b))
		}
		if _, err := ParseHeader(b); (err == nil) != (len(b) >= HeaderSize) {
			t.Fatal(err)
		}
		if len(b) >= HeaderSize {
			b = seal(append([]byte(nil), b...))
			b[offMagic] = 2
		}
		start := time.Now()
		var strict, loose *Refusal
		used := allocated(func() {
			_, strict = Admit(b, rules, noon)
			_, loose = Admit(b, &Rules{}, noon)
		})
		// A window and the largest block or window of a codec, twice if the pools were emptied in between.
		if limit := uint64(64<<20 + 100*len(b)); used > limit {
			t.Fatalf("Admit allocated %d bytes for %d", used, len(b))
		}
		count, failed := int32(0), false
		used = allocated(func() {
			for r, err := range Records(b) {
				if err != nil {
					failed = true
					break
				}
				if loose == nil && r.OffsetDelta != count {
					t.Fatalf("record %d has offset %d and was admitted", count, r.OffsetDelta)
				}
				count++
			}
		})
		if limit := uint64(4*MaxInflated + 100*len(b)); used > limit {
			t.Fatalf("Records allocated %d bytes for %d", used, len(b))
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Fatalf("%d bytes took %v", len(b), took)
		}
		if loose == nil {
			h, err := ParseHeader(b)
			if err != nil || failed || count != h.Count || Verify(b) != nil {
				t.Fatalf("admitted, but %d of %d records are read (failed: %v), verify says %v", count, h.Count, failed, Verify(b))
			}
			var stamped [HeaderSize]byte
			Restamp(&stamped, b, Stamp{1, 2, 3})
			if copy(b, stamped[:]); Verify(b) != nil {
				t.Fatal("not valid once stamped")
			}
		} else if strict == nil {
			t.Fatalf("admitted by the strict rules, not by the loose: %v", loose)
		}
	})
}
