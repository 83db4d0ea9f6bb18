package check

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/streamdown/streamdown"
	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stored is one value in a partition.
type stored struct {
	record Record
	value  []byte
}

// store is what a target holds after a healthy run.
type store map[streamdown.TopicPartition][]stored

// healthyRun sends and acks n records on each of streams, each pinned to a partition, and returns what the target
// should hold.
func healthyRun(c *Checker, streams, n int) store {
	s := store{}
	for i := range streams {
		tp := streamdown.TopicPartition{Topic: "orders", Partition: int32(i % 3)}
		for seq := range uint64(n) {
			r := Record{Producer: uint32(i), Incarnation: 7, Seq: seq, Target: TargetOf(tp), Size: 64}
			c.Sent(r.Stream(), seq)
			c.Acked(r.Stream(), seq)
			s[tp] = append(s[tp], stored{r, AppendRecord(nil, r)})
		}
	}
	return s
}

func (s store) read(c *Checker) {
	for tp, values := range s {
		for offset, v := range values {
			c.Seen(tp, streamdown.Offset(offset), v.value)
		}
	}
}

func TestHealthyRunIsProved(t *testing.T) {
	c := New(Config{MinAcked: 1000, MinShare: 1, NeedFault: true})
	s := healthyRun(c, 5, 3000)
	c.FaultActive()
	s.read(c)
	r := c.Final()
	if r.Exit() != ExitOK || r.Delivered != 15000 || len(r.Examples) != 0 || len(r.Void) != 0 {
		t.Fatalf("%+v", r)
	}
	if want := "PROVED: 15000 sent, 15000 acked = 15000 delivered + 0 lost; 0 duplicated, 0 reordered, 0 phantom, 0 misrouted, 0 corrupt."; r.String() != want {
		t.Fatalf("got  %s\nwant %s", r, want)
	}
}

func TestEachPlantedFaultIsFound(t *testing.T) {
	at := streamdown.TopicPartition{Topic: "orders", Partition: 1} // holds streams 1 and 4 one after the other
	other := streamdown.TopicPartition{Topic: "orders", Partition: 2}
	tests := []struct {
		name  string
		plant func(s store, c *Checker)
		want  map[Verdict]uint64
		note  string // of the first example, part of it
	}{
		{"a record is dropped in the middle", func(s store, _ *Checker) { s[at] = slices.Delete(s[at], 500, 501) },
			map[Verdict]uint64{Lost: 1}, "middle"},
		{"the first records are dropped", func(s store, _ *Checker) { s[at] = slices.Delete(s[at], 0, 40) },
			map[Verdict]uint64{Lost: 40}, "prefix"},
		{"the last records are dropped", func(s store, _ *Checker) { s[at] = s[at][:len(s[at])-40] },
			map[Verdict]uint64{Lost: 40}, "postfix"},
		{"a batch is stored twice", func(s store, _ *Checker) {
			s[at] = slices.Insert(s[at], 510, slices.Clone(s[at][500:510])...)
		}, map[Verdict]uint64{Duplicate: 10}, ""},
		{"a folded record is stored twice", func(s store, _ *Checker) {
			s[at] = append(s[at], s[at][0])
		}, map[Verdict]uint64{Duplicate: 1}, ""},
		{"two records are swapped", func(s store, _ *Checker) { s[at][500], s[at][501] = s[at][501], s[at][500] },
			map[Verdict]uint64{Reordered: 1}, ""},
		{"a record is far too late", func(s store, _ *Checker) {
			late := s[at][100]
			s[at] = slices.Insert(slices.Delete(s[at], 100, 101), 900, late)
		}, map[Verdict]uint64{Reordered: 1}, ""},
		{"two lanes are swapped", func(s store, _ *Checker) {
			s[at][500], s[other][500] = s[other][500], s[at][500]
		}, map[Verdict]uint64{Misrouted: 2, Lost: 2}, "belongs elsewhere"},
		{"a copy lands elsewhere", func(s store, _ *Checker) { s[other] = append(s[other], s[at][500]) },
			map[Verdict]uint64{Misrouted: 1}, "belongs elsewhere"},
		{"a bit flips", func(s store, _ *Checker) { s[at][500].value[30] ^= 4 },
			map[Verdict]uint64{Corrupt: 1, Lost: 1}, "checksum"},
		{"a value is cut short", func(s store, _ *Checker) { s[at][500].value = s[at][500].value[:25] },
			map[Verdict]uint64{Corrupt: 1, Lost: 1}, "not a record"},
		{"a value is empty", func(s store, _ *Checker) { s[at][500].value = nil },
			map[Verdict]uint64{Corrupt: 1, Lost: 1}, "not a record"},
		{"somebody else's value", func(s store, _ *Checker) {
			s[at] = append(s[at], stored{value: []byte(`{"order":1}`)})
		}, map[Verdict]uint64{Corrupt: 1}, "not a record"},
		{"a record of an earlier run", func(s store, _ *Checker) {
			s[at] = append(s[at], stored{value: AppendRecord(nil, Record{Producer: 1, Incarnation: 6, Seq: 3})})
		}, map[Verdict]uint64{Phantom: 1}, "never sent"},
		{"a record that was not sent", func(s store, _ *Checker) {
			s[at] = append(s[at], stored{value: AppendRecord(nil, Record{Producer: 1, Incarnation: 7, Seq: 1100})})
		}, map[Verdict]uint64{Phantom: 1}, "never sent"},
		{"a refused record is stored", func(s store, c *Checker) {
			r := Record{Producer: 1, Incarnation: 7, Seq: 1100, Target: TargetOf(at)}
			c.Sent(r.Stream(), r.Seq)
			c.Failed(r.Stream(), r.Seq)
			s[at] = append(s[at], stored{r, AppendRecord(nil, r)})
		}, map[Verdict]uint64{Phantom: 1}, "had failed"},
		{"an unanswered record is stored: no fault", func(s store, c *Checker) {
			r := Record{Producer: 4, Incarnation: 7, Seq: 1100, Target: TargetOf(at)}
			c.Sent(r.Stream(), r.Seq)
			s[at] = append(s[at], stored{r, AppendRecord(nil, r)})
		}, nil, ""},
		{"a client without idempotence repeats a batch: no fault", func(s store, c *Checker) {
			c.Expect(Stream{1, 7}, AtLeastOnce)
			s[at] = slices.Insert(s[at], 510, slices.Clone(s[at][500:510])...)
		}, map[Verdict]uint64{ClientRetry: 10}, ""},
		{"a client without idempotence repeats a batch, and we swap two", func(s store, c *Checker) {
			c.Expect(Stream{1, 7}, AtLeastOnce)
			s[at] = slices.Insert(s[at], 510, slices.Clone(s[at][500:510])...)
			s[at][700], s[at][701] = s[at][701], s[at][700]
		}, map[Verdict]uint64{ClientRetry: 10, Reordered: 1}, ""},
		{"a client's retry overtakes: no fault", func(s store, c *Checker) {
			c.Expect(Stream{1, 7}, Unordered)
			s[at][500], s[at][501] = s[at][501], s[at][500]
		}, map[Verdict]uint64{ClientReorder: 1}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := New(Config{})
			s := healthyRun(c, 6, 1100)
			test.plant(s, c)
			s.read(c)
			r := c.Final()
			got := counts(r)
			for v := range Verdict(numVerdicts) {
				if got[v] != test.want[v] {
					t.Errorf("%s: %d, want %d", v, got[v], test.want[v])
				}
				if n := len(r.Examples[v]); uint64(n) != min(got[v], maxExamples) {
					t.Errorf("%s: %d examples of %d", v, n, got[v])
				}
				if test.want[v] > 0 && v != Lost && !strings.Contains(r.Examples[v][0].Note, test.note) {
					t.Errorf("%s: first example says %q", v, r.Examples[v][0].Note)
				}
			}
			wantExit := ExitOK
			for _, v := range []Verdict{Lost, Phantom, Duplicate, Reordered, Misrouted, Corrupt} {
				if test.want[v] > 0 {
					wantExit = ExitIntegrity
				}
			}
			if r.Exit() != wantExit {
				t.Errorf("exit %d, want %d", r.Exit(), wantExit)
			}
		})
	}
}

func counts(r Report) map[Verdict]uint64 {
	return map[Verdict]uint64{
		Lost: r.Lost, Unseen: r.Unseen, Phantom: r.Phantom, Duplicate: r.Duplicate, ClientRetry: r.ClientRetry,
		ClientReorder: r.ClientReorder, Reordered: r.Reordered, Misrouted: r.Misrouted, Corrupt: r.Corrupt,
	}
}

func TestFailureKnownLateIsStillAPhantom(t *testing.T) {
	c := New(Config{})
	id, tp := Stream{1, 1}, streamdown.TopicPartition{Topic: "t"}
	c.Sent(id, 0)
	c.Seen(tp, 0, AppendRecord(nil, Record{Producer: 1, Incarnation: 1}))
	if r := c.Now(); r.Recovered != 1 || r.Phantom != 0 {
		t.Fatalf("before: %s", r)
	}
	c.Failed(id, 0)
	if r := c.Final(); r.Phantom != 1 || r.Recovered != 0 || r.Exit() != ExitIntegrity {
		t.Fatalf("after: %s", r)
	}
}

func TestAckOutlivesAnEarlierFailure(t *testing.T) {
	c := New(Config{})
	id := Stream{1, 1}
	c.Sent(id, 0)
	c.Failed(id, 0)
	c.Acked(id, 0)
	if r := c.Final(); r.Lost != 1 || r.Failed != 0 {
		t.Fatalf("%s", r)
	}
	c.Failed(id, 0)
	if r := c.Final(); r.Lost != 1 || r.Failed != 0 {
		t.Fatalf("a later failure took the promise back: %s", r)
	}
}

func TestRunThatProvesNothingIsVoid(t *testing.T) {
	tests := []struct {
		name   string
		config Config
		play   func(c *Checker)
		void   string
	}{
		{"nothing happened", Config{}, func(*Checker) {}, "0 records acked"},
		{"too few acks", Config{MinAcked: 101}, func(c *Checker) { healthyRun(c, 1, 100).read(c) }, "100 records acked, at least 101"},
		{"too small a share", Config{MinShare: 0.9}, func(c *Checker) {
			healthyRun(c, 1, 100).read(c)
			c.Sent(Stream{0, 7}, 199)
		}, "50.0%"},
		{"no fault", Config{NeedFault: true}, func(c *Checker) { healthyRun(c, 1, 100).read(c) }, "fault"},
		{"acks for what was not sent", Config{}, func(c *Checker) {
			healthyRun(c, 1, 100).read(c)
			c.Acked(Stream{0, 7}, 100)
			c.Acked(Stream{9, 7}, 0)
			c.Failed(Stream{9, 7}, 0)
		}, "3 outcomes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := New(test.config)
			test.play(c)
			r := c.Final()
			if r.Exit() != ExitNotChecked || len(r.Void) != 1 || !strings.Contains(r.Void[0], test.void) {
				t.Fatalf("exit %d, void %q", r.Exit(), r.Void)
			}
			if !strings.HasPrefix(r.String(), "VOID") {
				t.Fatalf("%s", r)
			}
		})
	}
	t.Run("loss outweighs void", func(t *testing.T) {
		c := New(Config{NeedFault: true})
		healthyRun(c, 1, 1)
		if r := c.Final(); r.Exit() != ExitIntegrity {
			t.Fatalf("exit %d: %s", r.Exit(), r)
		}
	})
	t.Run("unfinished is not checked", func(t *testing.T) {
		c := New(Config{})
		healthyRun(c, 1, 100).read(c)
		if r := c.Now(); r.Exit() != ExitNotChecked || !strings.HasPrefix(r.String(), "CHECKING") {
			t.Fatalf("exit %d: %s", r.Exit(), r)
		}
	})
}

func TestOffsetsReadAgainAreNotDuplicates(t *testing.T) {
	c := New(Config{})
	s := healthyRun(c, 2, 100)
	s.read(c)
	s.read(c)
	if r := c.Final(); r.Exit() != ExitOK || r.Reread != 200 || r.Read != 200 {
		t.Fatalf("%s", r)
	}
}

func TestWorstExamplesAreKept(t *testing.T) {
	c := New(Config{})
	id, tp := Stream{1, 0}, streamdown.TopicPartition{Topic: "t"}
	c.Sent(id, 10000)
	c.Seen(tp, 0, AppendRecord(nil, Record{Producer: 1, Seq: 10000}))
	order := rand.New(rand.NewPCG(1, 2)).Perm(10000)
	for i, seq := range order {
		c.Seen(tp, streamdown.Offset(i+1), AppendRecord(nil, Record{Producer: 1, Seq: uint64(seq)}))
	}
	r := c.Final()
	if r.Reordered != 10000 || r.MaxDistance != 10000 {
		t.Fatalf("%s", r)
	}
	for i, e := range r.Examples[Reordered] {
		if e.Distance != 10000-uint64(i) || e.Seq != uint64(i) || e.Place != tp || e.Offset < 1 {
			t.Fatalf("example %d is %+v", i, e)
		}
	}
	if n := len(r.Examples[Reordered]); n != maxExamples {
		t.Fatalf("%d examples", n)
	}
}

func TestReportIsJSONWithEveryCount(t *testing.T) {
	c := New(Config{})
	s := healthyRun(c, 1, 3)
	tp := streamdown.TopicPartition{Topic: "orders"}
	s[tp] = append(s[tp][:2], s[tp][0], stored{value: []byte("x")})
	s.read(c)
	got, err := json.MarshalIndent(c.Final(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/report.json"
	if *update {
		if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != string(got)+"\n" {
		t.Fatalf("got %s\nwant %s", got, want)
	}
	var back struct {
		Examples map[Verdict]any `json:"examples"`
	}
	if err := json.Unmarshal(got, &back); err != nil || len(back.Examples) != 3 {
		t.Fatalf("%v: %v", err, back)
	}
}

func TestMemoryFollowsWhatIsInFlight(t *testing.T) {
	c := New(Config{})
	id, tp := Stream{1, 1}, streamdown.TopicPartition{Topic: "t"}
	const records, inFlight = 2_000_000, 3000
	var buf []byte
	for seq := range uint64(records) {
		c.Sent(id, seq)
		c.Acked(id, seq)
		if seq >= inFlight {
			buf = AppendRecord(buf[:0], Record{Producer: 1, Incarnation: 1, Seq: seq - inFlight})
			c.Seen(tp, streamdown.Offset(seq), buf)
		}
	}
	s := c.streams[id]
	if n := len(s.blocks) + len(c.pool); n > inFlight/blockRecords+3 {
		t.Fatalf("%d blocks for %d records in flight", n, inFlight)
	}
	if got := c.Unseen(); got != inFlight {
		t.Fatalf("unseen %d", got)
	}
}

func TestCheckerIsSafeForConcurrentUse(t *testing.T) {
	c := New(Config{})
	const streams, n = 4, 5000
	var producers, all sync.WaitGroup
	logs := make([]chan []byte, streams)
	for i := range streams {
		logs[i] = make(chan []byte, 64)
		tp := streamdown.TopicPartition{Topic: "t", Partition: int32(i)}
		producers.Go(func() {
			defer close(logs[i])
			for seq := range uint64(n) {
				r := Record{Producer: uint32(i), Seq: seq, Target: TargetOf(tp)}
				c.Sent(r.Stream(), seq)
				logs[i] <- AppendRecord(nil, r)
				c.Acked(r.Stream(), seq)
			}
		})
		all.Go(func() {
			var offset streamdown.Offset
			for value := range logs[i] {
				c.Seen(tp, offset, value)
				offset++
			}
		})
	}
	for range 20 {
		if r := c.Now(); r.Failures() != 0 {
			t.Errorf("%s", r)
		}
	}
	producers.Wait()
	all.Wait()
	if r := c.Final(); r.Exit() != ExitOK || r.Delivered != streams*n {
		t.Fatalf("%s", r)
	}
}

// BenchmarkTenMillion shows the whole checker on 10 million records of 10,000 streams: memory before anything folds
// (all acknowledged, nothing seen) and records per second of one core.
func BenchmarkTenMillion(b *testing.B) {
	const streams, n = 10_000, 1000
	value := AppendRecord(nil, Record{Producer: 1 << 20, Seq: 1 << 20, Size: 100})
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		c := New(Config{})
		for seq := range uint64(n) {
			for i := range uint32(streams) {
				c.Sent(Stream{i, 1}, seq)
				c.Acked(Stream{i, 1}, seq)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB/10M")
		start := time.Now()
		for seq := range uint64(n) {
			for i := range uint32(streams) {
				value = AppendRecord(value[:0], Record{Producer: i, Incarnation: 1, Seq: seq, Size: 100})
				c.Seen(streamdown.TopicPartition{Topic: "orders", Partition: int32(i % 100)}, streamdown.Offset(seq*100+uint64(i/100)), value)
			}
		}
		b.ReportMetric(streams*n/time.Since(start).Seconds(), "made+seen/s")
		if r := c.Final(); r.Exit() != ExitOK {
			b.Fatal(r)
		}
	}
}

func BenchmarkSentAckedSeen(b *testing.B) {
	for _, size := range []int{100, 1024} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			c := New(Config{})
			tp := streamdown.TopicPartition{Topic: "orders"}
			var value []byte
			var seq uint64
			b.ReportAllocs()
			for b.Loop() {
				value = AppendRecord(value[:0], Record{Producer: 1, Seq: seq, Size: size})
				c.Sent(Stream{1, 0}, seq)
				c.Acked(Stream{1, 0}, seq)
				c.Seen(tp, streamdown.Offset(seq), value)
				seq++
			}
		})
	}
}

func BenchmarkSeenInParallel(b *testing.B) {
	c := New(Config{})
	var mu sync.Mutex
	var next uint32
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		mu.Lock()
		id := Stream{next, 0}
		tp := streamdown.TopicPartition{Topic: "t", Partition: int32(next)}
		next++
		mu.Unlock()
		var value []byte
		var seq uint64
		for pb.Next() {
			value = AppendRecord(value[:0], Record{Producer: id.Producer, Seq: seq, Size: 100})
			c.Sent(id, seq)
			c.Acked(id, seq)
			c.Seen(tp, streamdown.Offset(seq), value)
			seq++
		}
	})
}
