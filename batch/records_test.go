package batch

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

// The golden files are one batch each, as sent by franz-go 1.22.2, librdkafka 2.0.2 (kcat 1.7.1) and Java's
// kafka-clients 4.4.0 (MemoryRecordsBuilder): 20 records "key-i" → "value-i-" and 40 times "x", one header trace=abc.
func TestBatchesOfRealClientsAreAdmittedAndRead(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.batch")
	if err != nil || len(files) != 13 {
		t.Fatalf("%d golden files, %v", len(files), err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".batch")
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			h, no := Admit(b, &Rules{Compacted: true, MaxMessageBytes: int32(len(b))}, noon)
			if no != nil {
				t.Fatal(no)
			}
			if !strings.Contains(name+"-", "-"+h.Codec().String()+"-") || h.Count != 20 || h.ProducerID < 0 {
				t.Fatalf("%v: %+v", h.Codec(), h)
			}
			n := int32(0)
			for r, err := range Records(b) {
				if err != nil {
					t.Fatal(err)
				}
				want := fmt.Sprintf("%d key-%d value-%d-%s trace abc", n, n, n, strings.Repeat("x", 40))
				got := fmt.Sprintf("%d %s %s %s %s", r.OffsetDelta, r.Key, r.Value, r.Headers[0].Key, r.Headers[0].Value)
				if got != want || len(r.Headers) != 1 || r.Timestamp <= 0 {
					t.Fatalf("%q at %d, want %q", got, r.Timestamp, want)
				}
				n++
			}
			if n != 20 {
				t.Fatalf("%d records", n)
			}
		})
	}
}

// The builder writes what franz-go and Java write, byte for byte, when nothing is compressed.
func TestBuilderWritesWhatClientsWrite(t *testing.T) {
	for _, client := range []string{"franz-go", "java"} {
		want, err := os.ReadFile("testdata/golden/" + client + "-none.batch")
		if err != nil {
			t.Fatal(err)
		}
		var b Builder
		for r, err := range Records(want) {
			if err != nil {
				t.Fatal(err)
			}
			b.Append(r.Timestamp, r.Key, r.Value, r.Headers...)
		}
		h, _ := ParseHeader(want)
		if got := built(t, &b, None, Stamp{h.ProducerID, h.ProducerEpoch, h.BaseSequence}); !bytes.Equal(got, want) {
			t.Errorf("%s:\n%x\nbuilt:\n%x", client, want, got)
		}
	}
}

func TestWhatIsBuiltIsAdmittedAndReadBack(t *testing.T) {
	var b Builder // one for all, as its buffers are reused
	field := rapid.OneOf(rapid.Just([]byte(nil)), rapid.SliceOfN(rapid.Byte(), 0, 40), rapid.Map(rapid.IntRange(0, 50_000), func(n int) []byte { return make([]byte, n) }))
	rapid.Check(t, func(t *rapid.T) {
		records := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Record {
			r := Record{Timestamp: rapid.Int64Range(-1, 1<<60).Draw(t, "timestamp"), Key: field.Draw(t, "key"), Value: field.Draw(t, "value")}
			for range rapid.IntRange(0, 3).Draw(t, "headers") {
				r.Headers = append(r.Headers, RecordHeader{Key: append([]byte{}, field.Draw(t, "header")...), Value: field.Draw(t, "header value")})
			}
			return r
		}), 1, 50).Draw(t, "records")
		codec := Codec(rapid.IntRange(0, int(Zstd)).Draw(t, "codec"))
		for _, r := range records {
			b.Append(r.Timestamp, r.Key, r.Value, r.Headers...)
		}
		out, err := b.Build(codec, Stamp{5, 1, 0})
		if err != nil {
			t.Fatal(err)
		}
		if err := Verify(out); err != nil {
			t.Fatal(err)
		}
		if _, no := Admit(out, &Rules{}, noon); no != nil {
			t.Fatal(no)
		}
		i := 0
		for r, err := range Records(out) {
			if err != nil {
				t.Fatal(err)
			}
			want := records[i]
			want.OffsetDelta = int32(i)
			if !equal(r, want) {
				t.Fatalf("record %d: %+v, want %+v", i, r, want)
			}
			i++
		}
		if i != len(records) {
			t.Fatalf("%d records of %d", i, len(records))
		}
	})
}

func equal(a, b Record) bool {
	same := func(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }
	return a.OffsetDelta == b.OffsetDelta && a.Timestamp == b.Timestamp && same(a.Key, b.Key) && same(a.Value, b.Value) &&
		slices.EqualFunc(a.Headers, b.Headers, func(a, b RecordHeader) bool { return bytes.Equal(a.Key, b.Key) && same(a.Value, b.Value) })
}

func TestAppendTimeStandsForEveryRecord(t *testing.T) {
	b := edit(build(t, None, 3, NoStamp), func(h *Header) { h.Attributes, h.MaxTimestamp = attrLogAppendTime, 42 })
	for r, err := range Records(b) {
		if err != nil || r.Timestamp != 42 {
			t.Fatalf("timestamp %d, %v", r.Timestamp, err)
		}
	}
}

// Brokers leave gaps when they compact and empty batches when nothing is left: both are read.
func TestCompactedBatchesAreRead(t *testing.T) {
	for n, payload := range map[int][]byte{0: nil, 1: {12, 0, 0, 8, 1, 1, 0}} {
		b := edit(wrap(None, 1, payload), func(h *Header) { h.BaseOffset, h.LastOffsetDelta, h.Count = 77, 9, int32(n) })
		got := 0
		for r, err := range Records(b) {
			if err != nil || r.OffsetDelta != 4 {
				t.Fatalf("%+v, %v", r, err)
			}
			got++
		}
		if got != n {
			t.Fatalf("%d records of %d", got, n)
		}
	}
}

func TestRecordsEndWithTheFirstError(t *testing.T) {
	b := build(t, None, 3, NoStamp)
	for name, bad := range map[string][]byte{
		"nothing":         nil,
		"cut":             b[:len(b)-1],
		"a record less":   edit(slices.Clone(b), func(h *Header) { h.Count = 4 }),
		"a record more":   edit(slices.Clone(b), func(h *Header) { h.Count = 2 }),
		"negative count":  edit(slices.Clone(b), func(h *Header) { h.Count = -1 }),
		"unknown codec":   edit(slices.Clone(b), func(h *Header) { h.Attributes = 6 }),
		"not compressed":  edit(slices.Clone(b), func(h *Header) { h.Attributes = int16(Zstd) }),
		"older format":    message(1),
		"bytes in a tail": wrap(Gzip, 1, deflated(t, Gzip, []byte{12, 0, 0, 0, 1, 1, 0, 9})),
	} {
		errs := 0
		for _, err := range Records(bad) {
			if errs > 0 {
				t.Fatalf("%s: went on after an error", name)
			}
			if err != nil {
				errs++
			}
		}
		if errs != 1 {
			t.Errorf("%s: %d errors, want 1", name, errs)
		}
	}
}

func TestRecordsCanBeLeftEarly(t *testing.T) {
	defer goleak.VerifyNone(t) // no codec starts a goroutine
	for c := None; c <= Zstd; c++ {
		b := build(t, c, 1000, NoStamp)
		for range 3 { // pooled state must not leak from one to the next
			for r, err := range Records(b) {
				if err != nil || r.OffsetDelta > 0 {
					t.Fatal(c, r, err)
				}
				break
			}
			n := 0
			for _, err := range Records(b) {
				if err != nil {
					t.Fatal(c, err)
				}
				n++
			}
			if n != 1000 {
				t.Fatalf("%v: %d records", c, n)
			}
		}
	}
}

func TestConcurrentReadersDoNotMeet(t *testing.T) {
	var wg sync.WaitGroup
	for c := None; c <= Zstd; c++ {
		b := build(t, c, 300, NoStamp)
		for range 2 {
			wg.Go(func() {
				for range 20 {
					if _, no := Admit(b, &Rules{}, noon); no != nil {
						t.Error(c, no)
					}
					n := 0
					for r, err := range Records(b) {
						if err != nil || string(r.Key) != fmt.Sprint("key ", n) {
							t.Error(c, n, string(r.Key), err)
							return
						}
						n++
					}
				}
			})
		}
	}
	wg.Wait()
}

// Lengths that promise much and payloads that inflate to much cost neither much memory nor much time.
func TestBombsAreBounded(t *testing.T) {
	for c, payload := range bombs(t) {
		b := wrap(c, 1, payload)
		t.Run(c.String(), func(t *testing.T) {
			start := time.Now()
			if used := allocated(func() {
				_, no := Admit(b, &Rules{}, noon)
				if want := map[bool]int16{true: 87, false: 10}[c == Snappy]; no == nil || no.Code != want {
					t.Errorf("%v, want code %d", no, want)
				}
			}); used > 32<<20 {
				t.Errorf("Admit allocated %d MiB for %d bytes", used>>20, len(b))
			}
			if used := allocated(func() {
				for _, err := range Records(b) {
					if err == nil {
						t.Error("a record came out")
					}
				}
			}); used > 4*MaxInflated {
				t.Errorf("Records allocated %d MiB for %d bytes", used>>20, len(b))
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestRecordsCostNoAllocationEach(t *testing.T) {
	for c := None; c <= Zstd; c++ {
		few, many := sized(t, c, 20_000), sized(t, c, 200_000)
		cost := func(b []byte, f func(b []byte)) float64 { return testing.AllocsPerRun(10, func() { f(b) }) }
		admit := func(b []byte) {
			if _, no := Admit(b, &Rules{AfterMax: time.Hour, Compacted: true}, noon); no != nil {
				t.Fatal(no)
			}
		}
		read := func(b []byte) {
			for _, err := range Records(b) {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		// Some dozens more are a codec's own (a table per block), not one of 1,600 more records'.
		if a, b := cost(few, admit), cost(many, admit); b-a > 50 || c == None && b > 0 {
			t.Errorf("%v: admitting 180 records costs %v allocations, 1,800 cost %v", c, a, b)
		}
		if a, b := cost(few, read), cost(many, read); b-a > 50 || c == None && b > 10 {
			t.Errorf("%v: reading 180 records costs %v allocations, 1,800 cost %v", c, a, b)
		}
	}
}

func BenchmarkAdmit(b *testing.B) {
	for c := None; c <= Zstd; c++ {
		for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
			b.Run(fmt.Sprintf("%v/%dKiB", c, size>>10), func(b *testing.B) {
				batch := sized(b, c, size)
				rules := &Rules{AfterMax: time.Hour, MaxMessageBytes: 2 << 20}
				h, _ := ParseHeader(batch)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if _, no := Admit(batch, rules, noon); no != nil {
						b.Fatal(no)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(h.Count), "ns/record")
			})
		}
	}
}

func BenchmarkRecords(b *testing.B) {
	for c := None; c <= Zstd; c++ {
		b.Run(c.String(), func(b *testing.B) {
			batch := sized(b, c, 64<<10)
			b.SetBytes(64 << 10)
			b.ReportAllocs()
			for b.Loop() {
				for _, err := range Records(batch) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	r := rand.New(rand.NewPCG(11, 12))
	value := noise(r, 100)
	var bd Builder
	b.ReportAllocs()
	for b.Loop() {
		for i := range 600 {
			bd.Append(int64(i), value[:10], value)
		}
		out, err := bd.Build(None, NoStamp)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(out)))
	}
}
