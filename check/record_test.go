package check

import (
	"errors"
	"hash/crc32"
	"math"
	"strings"
	"testing"

	"github.com/streamdown/streamdown"
)

func TestRecordSurvivesARoundTrip(t *testing.T) {
	for _, r := range []Record{
		{},
		{Producer: 7, Incarnation: 3, Seq: 12, Target: 0xabc, SentMicros: 1_700_000_000_000_000},
		{math.MaxUint32, math.MaxUint32, math.MaxUint64, math.MaxUint64, math.MaxInt64, 0},
		{Producer: 1, Size: 100}, {Producer: 1, Seq: 5, Size: 1024}, {Size: 10}, {Size: 1 << 20},
	} {
		line := AppendRecord([]byte("before"), r)[len("before"):]
		got, err := ParseRecord(line)
		if err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
		if r.Size > maxHeadSize && len(line) != r.Size || len(line) > max(r.Size, maxHeadSize) {
			t.Errorf("%+v: %d bytes", r, len(line))
		}
		r.Size = len(line)
		if got != r {
			t.Errorf("got %+v, want %+v", got, r)
		}
		for _, c := range line {
			if c < ' ' || c > '~' {
				t.Fatalf("byte %q is not printable", c)
			}
		}
	}
}

// TestRecordFormatStays holds the format itself: other programs may read it.
func TestRecordFormatStays(t *testing.T) {
	r := Record{Producer: 7, Incarnation: 3, Seq: 12, SentMicros: 1700000000000000, Size: 64,
		Target: TargetOf(streamdown.TopicPartition{Topic: "orders", Partition: 2})}
	const want = "sd1 7 3 12 65dbfa4d37d159ca 1700000000000000 .oeegmlmfj aa75fa18"
	if got := string(AppendRecord(nil, r)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	line := AppendRecord(nil, Record{Producer: 7, Seq: 12, Size: 80})
	for i := range line {
		for bit := range 8 {
			line[i] ^= 1 << bit
			if r, err := ParseRecord(line); err == nil {
				t.Fatalf("byte %d bit %d: read as %+v", i, bit, r)
			}
			line[i] ^= 1 << bit
		}
	}
	for n := range line {
		if _, err := ParseRecord(line[:n]); err == nil {
			t.Fatalf("%d of %d bytes pass", n, len(line))
		}
	}
}

func TestOnlyTheOneFormParses(t *testing.T) {
	for body, want := range map[string]error{
		"sd1 7 3 12 0 5 .ab":                   nil,
		"sd1 07 3 12 0 5 .ab":                  ErrFields,
		"sd1 7 3 12 00 5 .ab":                  ErrFields,
		"sd1 7 3 12 A 5 .ab":                   ErrFields,
		"sd1 4294967296 3 12 0 5 .":            ErrFields,
		"sd1 7 3 18446744073709551616 0 5 .":   ErrFields,
		"sd1 7 3 18446744073709551615 0 5 .":   nil,
		"sd1 7 3 12 0 9223372036854775808 .":   ErrFields,
		"sd1 7 3 12 0 -5 .":                    ErrFields,
		"sd1 7 3 12 0 5 ab":                    ErrFields,
		"sd1 7 3 12 0 5 .a b":                  ErrFields,
		"sd1 7 3 12 0 5":                       ErrFields,
		"sd1  7 3 12 0 5 .ab":                  ErrFields,
		"sd1 7 3 12 12345678123456781 5 .":     ErrFields,
		"sd2 7 3 12 0 5 .ab":                   ErrForeign,
		"7 3 12 0 5 .ab and some more of that": ErrForeign,
	} {
		line := append([]byte(body), ' ')
		line = appendHex8(line, crc32.Checksum(line, castagnoli))
		if _, err := ParseRecord(line); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", body, err, want)
		}
		upper := []byte(strings.ToUpper(string(line[len(line)-8:])))
		if string(upper) != string(line[len(line)-8:]) && want == nil {
			if _, err := ParseRecord(append(line[:len(line)-8:len(line)-8], upper...)); !errors.Is(err, ErrChecksum) {
				t.Errorf("%q with an upper-case checksum: %v", body, err)
			}
		}
	}
}

func TestTargetsDiffer(t *testing.T) {
	seen := map[uint64]string{0: "anywhere"}
	add := func(h uint64, what string) {
		if was, ok := seen[h]; ok {
			t.Errorf("%s and %s share a target", what, was)
		}
		seen[h] = what
	}
	for _, topic := range []string{"", "a", "b", "orders", "orders2", strings.Repeat("x", 249)} {
		add(TargetTopic(topic), topic)
		for p := range int32(100) {
			tp := streamdown.TopicPartition{Topic: topic, Partition: p}
			add(TargetOf(tp), tp.String())
		}
	}
}

func TestRecordsDoNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 2048)
	r := Record{Producer: 1, Seq: 2, Size: 1024}
	if n := testing.AllocsPerRun(100, func() {
		buf = AppendRecord(buf[:0], r)
		if _, err := ParseRecord(buf); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte("sd1 7 3 12 0 5 .ab"), true)
	f.Add(AppendRecord(nil, Record{Producer: 1, Seq: 9, Size: 90}), false)
	f.Add([]byte("sd1 "), false)
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		if seal {
			// Give the fields a checksum that fits, or nothing past it is ever reached.
			b = append(append([]byte(nil), b...), ' ')
			b = appendHex8(b, crc32.Checksum(b, castagnoli))
		}
		r, err := ParseRecord(b)
		if err != nil {
			return
		}
		if r.Size != len(b) || r.SentMicros < 0 {
			t.Fatalf("%+v of %d bytes", r, len(b))
		}
		again, err := ParseRecord(AppendRecord(nil, r))
		if err != nil || again != r {
			t.Fatalf("%q: %+v became %+v, %v", b, r, again, err)
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	for name, size := range map[string]int{"100B": 100, "1KiB": 1024, "10KiB": 10240} {
		line := AppendRecord(nil, Record{Producer: 1, Seq: 2, Size: size})
		b.Run("Append/"+name, func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				line = AppendRecord(line[:0], Record{Producer: 1, Seq: 2, Size: size})
			}
		})
		b.Run("Parse/"+name, func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := ParseRecord(line); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
