package reconcile_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/reconcile"
	"github.com/streamdown/streamdown/wal"
)

var (
	orders = streamdown.TopicPartition{Topic: "orders", Partition: 0}
	audit  = streamdown.TopicPartition{Topic: "audit", Partition: 3}
)

// healthy is a twin of 2 lanes with 10 batches of 3 records each in orders, all confirmed, with strangers between.
func healthy(t testing.TB) (*twin, []item) {
	return fill(newTwin(t, 2000))
}

// fill makes the healthy twin.
func fill(w *twin) (*twin, []item) {
	w.noise(orders)
	w.bind(orders, 0, 0)
	w.bind(audit, 2, 0)
	var items []item
	for i := range 10 {
		it := w.accept(orders, 3, batch.Codec(i%5))
		items = append(items, it)
		w.send(it, w.accept(audit, 1, batch.None))
		if i%4 == 0 {
			w.noise(orders)
		}
	}
	w.confirmAll()
	return w, items
}

func TestAHealthyTwinIsProved(t *testing.T) {
	w, _ := healthy(t)
	for _, window := range []int{0, 1, 3} {
		r := w.run(window)
		if r.Exit() != 0 || r.Verdict != "proved" || r.Total.Identical.Records != 40 || r.Total.Identical.Batches != 20 || r.RangeCount != 0 ||
			r.Total.Coverage == nil || *r.Total.Coverage != 1 || r.Total.Percent() != "100.00 %" {
			t.Fatalf("window %d: %s", window, r)
		}
	}
	r := w.run(0)
	out, err := json.Marshal(r)
	if err != nil || !strings.Contains(string(out), `"schema_version":1`) || !strings.Contains(string(out), `"worst_ranges":[]`) {
		t.Errorf("%s, %v", out, err)
	}
	if s := r.String(); strings.Count(s, "\n") != 2 || !strings.Contains(s, "audit (1 partitions): compared 10 of 10 records (100.00 %)") {
		t.Error(s)
	}
	if p := r.Partitions[1]; p.Topic != "orders" || p.First != 0 || p.End != 30 || p.Confirmed != 30 || p.To != w.to[orders].pin.End {
		t.Errorf("%+v", p)
	}
}

// TestWhatIsPlantedIsFound plants one fault at a time; each must be found, as what it is, whatever the window.
func TestWhatIsPlantedIsFound(t *testing.T) {
	for _, tt := range plants(t) {
		t.Run(tt.name, func(t *testing.T) {
			for _, window := range []int{0, 1, 4} {
				w, items := healthy(t)
				tt.plant(w, items, w.to[orders])
				tt.check(t, fmt.Sprintf("window %d", window), w.run(window))
			}
		})
	}
}

// plant is one fault at the target or in the log, and what has to be said of it.
type plant struct {
	name    string
	plant   func(w *twin, items []item, p *partition)
	verdict reconcile.Verdict
	reason  reconcile.Reason
	from    streamdown.Ordinal
	records int64
	exit    int
}

// check says what is wrong with a report.
func (tt *plant) check(t *testing.T, when string, r *reconcile.Report) {
	t.Helper()
	if r.Exit() != tt.exit {
		t.Fatalf("%s: exit %d, want %d: %s", when, r.Exit(), tt.exit, r)
	}
	for v := range reconcile.Absent + 1 {
		want := int64(0)
		if v == tt.verdict {
			want = tt.records
		} else if v == reconcile.Identical || v == reconcile.Rewritten && (strings.Contains(tt.name, "of a ") || strings.Contains(tt.name, "within")) {
			continue // the rest of that batch
		} else if v == reconcile.NotComparable && strings.Contains(when, "released") && strings.Contains(tt.name, "within") {
			continue // likewise, without its payload
		}
		if got := r.Total.Of(v).Records; got != want && (v != reconcile.Identical || !strings.Contains(when, "released")) {
			t.Fatalf("%s: %d records %s, want %d: %s", when, got, v, want, r)
		}
	}
	if tt.verdict == reconcile.Identical || tt.verdict == reconcile.Pending {
		return
	}
	if x := r.Worst[0]; x.Verdict != tt.verdict || x.Reason != tt.reason || x.From != tt.from || x.Topic != "orders" {
		t.Fatalf("%s: the worst range is %s", when, x)
	}
}

func plants(t *testing.T) []plant {
	// The batches of orders at the target: noise, ours 0, noise, ours 1 … 4, noise, …
	at := func(p *partition, it item) int { // the place of a batch of ours
		for i, raw := range p.batches {
			if h, _ := batch.ParseHeader(raw); h.ProducerID == pid && h.BaseSequence == int32(it.ordinal) {
				return i
			}
		}
		panic("not there")
	}
	rebuild := func(p *partition, f func(bs [][]byte) [][]byte) {
		bs := f(p.batches)
		p.batches, p.pin.End = nil, 0
		for _, b := range bs {
			p.store(b)
		}
	}
	without := func(i int) func([][]byte) [][]byte {
		return func(bs [][]byte) [][]byte { return append(bs[:i:i], bs[i+1:]...) }
	}
	return []plant{
		{"absent in the middle", func(_ *twin, it []item, p *partition) {
			rebuild(p, without(at(p, it[4])))
		}, reconcile.Absent, "", 12, 3, 4},
		{"absent at the end", func(_ *twin, it []item, p *partition) {
			rebuild(p, without(at(p, it[9])))
		}, reconcile.Absent, "", 27, 3, 4},
		{"absent at the start", func(_ *twin, it []item, p *partition) {
			rebuild(p, without(at(p, it[0])))
		}, reconcile.Absent, "", 0, 3, 4},
		{"all absent", func(_ *twin, _ []item, p *partition) {
			rebuild(p, func(bs [][]byte) [][]byte { return bs[:1] })
		}, reconcile.Absent, "", 0, 30, 4},
		{"doubled at once", func(w *twin, it []item, p *partition) {
			i := at(p, it[4])
			rebuild(p, func(bs [][]byte) [][]byte { return append(bs[:i+1:i+1], bs[i:]...) })
		}, reconcile.Doubled, "", 12, 3, 4},
		{"doubled at the end", func(w *twin, it []item, p *partition) { w.send(it[1], it[2]) }, reconcile.Doubled, "", 3, 6, 4},
		{"neighbours swapped", func(_ *twin, it []item, p *partition) {
			i := at(p, it[5])
			rebuild(p, func(bs [][]byte) [][]byte { bs[i], bs[i+1] = bs[i+1], bs[i]; return bs })
		}, reconcile.Reordered, "", 15, 3, 4},
		{"one far behind", func(w *twin, it []item, p *partition) {
			rebuild(p, without(at(p, it[2])))
			w.send(it[2])
		}, reconcile.Reordered, "", 6, 3, 4},
		{"a bit of a payload, with a right checksum", func(_ *twin, it []item, p *partition) {
			raw := p.batches[at(p, it[5])]
			change(raw, func(b []byte) { b[len(b)-3] ^= 1 })
		}, reconcile.Altered, "", 17, 1, 4},
		{"a bit of a compressed payload, with a right checksum", func(_ *twin, it []item, p *partition) {
			change(p.batches[at(p, it[6])], func(b []byte) { b[len(b)-3] ^= 1 })
		}, reconcile.Altered, "", 18, 3, 4},
		{"a bit of a payload, with the old checksum", func(_ *twin, it []item, p *partition) {
			raw := p.batches[at(p, it[6])]
			raw[len(raw)-3] ^= 1
		}, reconcile.Altered, "", 18, 3, 4},
		{"all times moved by the header alone", func(_ *twin, it []item, p *partition) {
			change(p.batches[at(p, it[5])], func(b []byte) { b[34]++; b[42]++ })
		}, reconcile.Altered, "", 15, 3, 4},
		{"two batches' contents exchanged", func(_ *twin, it []item, p *partition) {
			i, j := at(p, it[0]), at(p, it[5])
			a, b := p.batches[i], p.batches[j]
			var ha, hb [batch.HeaderSize]byte
			batch.Restamp(&ha, a, batch.Stamp{ProducerID: pid, BaseSequence: 15})
			batch.Restamp(&hb, b, batch.Stamp{ProducerID: pid, BaseSequence: 0})
			x, y := append(ha[:], a[batch.HeaderSize:]...), append(hb[:], b[batch.HeaderSize:]...)
			rebuild(p, func(bs [][]byte) [][]byte { bs[i], bs[j] = y, x; return bs })
		}, reconcile.Altered, "", 0, 6, 4},
		{"more than the log holds", func(w *twin, _ []item, p *partition) {
			w.send(item{tp: orders, ordinal: 30, raw: w.build(2)})
		}, reconcile.Foreign, "", 30, 2, 4},
		{"a later epoch", func(w *twin, _ []item, p *partition) {
			raw := w.build(2)
			batch.Restamp((*[batch.HeaderSize]byte)(raw), raw, batch.Stamp{ProducerID: pid, Epoch: 1})
			p.store(raw)
		}, reconcile.Foreign, "", -1, 2, 4},
		{"an earlier epoch, long forgotten", func(w *twin, _ []item, _ *partition) {
			raw := w.build(2)
			batch.Restamp((*[batch.HeaderSize]byte)(raw), raw, batch.Stamp{ProducerID: pid, Epoch: 1})
			w.partition(audit).store(raw) // bound at epoch 2
		}, reconcile.Identical, "", 0, 40, 0},
		{"backlog", func(w *twin, _ []item, _ *partition) {
			w.accept(orders, 4, batch.None)
			w.accept(orders, 1, batch.None)
		}, reconcile.Pending, "", 30, 5, 0},
		{"delivered, not confirmed yet", func(w *twin, _ []item, _ *partition) {
			w.send(w.accept(orders, 4, batch.None))
		}, reconcile.Identical, "", 0, 44, 0},
		{"a hole in what is not confirmed yet", func(w *twin, _ []item, _ *partition) {
			w.accept(orders, 4, batch.None)
			w.send(w.accept(orders, 1, batch.None))
		}, reconcile.Absent, "", 30, 4, 4},
		{"trimmed", func(_ *twin, it []item, p *partition) {
			p.pin.Start, _ = extent(p.batches[at(p, it[3])])
		}, reconcile.NotComparable, reconcile.Trimmed, 0, 9, 0},
		{"trimmed within a batch", func(_ *twin, it []item, p *partition) {
			p.pin.Start, _ = extent(p.batches[at(p, it[3])])
			p.pin.Start++
		}, reconcile.NotComparable, reconcile.Trimmed, 0, 9, 0},
		{"all trimmed", func(_ *twin, _ []item, p *partition) { p.pin.Start = p.pin.End }, reconcile.NotComparable, reconcile.Trimmed, 0, 30, 0},
		{"a batch compacted away", func(_ *twin, it []item, p *partition) {
			p.pin.Compacted = true
			p.batches = without(at(p, it[3]))(p.batches)
		}, reconcile.NotComparable, reconcile.Compacted, 9, 3, 0},
		{"the last batch compacted away", func(_ *twin, it []item, p *partition) {
			p.pin.Compacted = true
			p.batches = p.batches[:at(p, it[9])]
		}, reconcile.NotComparable, reconcile.Compacted, 27, 3, 0},
		{"records of a batch compacted away", func(w *twin, it []item, p *partition) {
			p.pin.Compacted = true
			i := at(p, it[5])
			p.batches[i] = thin(t, p.batches[i], 1)
		}, reconcile.NotComparable, reconcile.Compacted, 16, 1, 0},
		{"absent on a compacted topic that shows every offset", func(_ *twin, it []item, p *partition) {
			p.pin.Compacted = true
			rebuild(p, without(at(p, it[4])))
		}, reconcile.Absent, "", 12, 3, 4},
		{"offsets skipped that nothing explains", func(_ *twin, it []item, p *partition) {
			p.batches = without(at(p, it[3]))(p.batches)
		}, reconcile.Absent, "", 9, 3, 4},
		{"records missing within a batch", func(_ *twin, it []item, p *partition) {
			i := at(p, it[5])
			p.batches[i] = thin(t, p.batches[i], 1)
		}, reconcile.Absent, "", 16, 1, 4},
		{"recompressed", func(_ *twin, it []item, p *partition) {
			i := at(p, it[5])
			p.batches[i] = remake(t, batch.Zstd, p.batches[i])[0]
		}, reconcile.Rewritten, "", 15, 3, 0},
		{"cut smaller", func(_ *twin, it []item, p *partition) {
			i := at(p, it[5])
			cut := remake(t, batch.None, p.batches[i], 1, 2)
			rebuild(p, func(bs [][]byte) [][]byte { return append(append(bs[:i:i], cut...), bs[i+1:]...) })
		}, reconcile.Rewritten, "", 15, 3, 0},
		{"merged", func(_ *twin, it []item, p *partition) {
			i := at(p, it[5])
			one := merge(t, p.batches[i], p.batches[i+1], p.batches[i+2])
			rebuild(p, func(bs [][]byte) [][]byte { return append(append(bs[:i:i], one), bs[i+3:]...) })
		}, reconcile.Rewritten, "", 15, 9, 0},
		{"stamped with the broker's time", func(_ *twin, it []item, p *partition) {
			change(p.batches[at(p, it[5])], func(b []byte) { b[22] |= 8; b[42]++ })
		}, reconcile.Identical, "", 0, 40, 0},
		{"created anew", func(_ *twin, _ []item, p *partition) { p.pin.Topic[0]++ }, reconcile.NotComparable, reconcile.OtherTopic, 0, 30, 3},
		{"another cluster", func(_ *twin, _ []item, p *partition) { p.pin.Cluster = "d" }, reconcile.NotComparable, reconcile.OtherTopic, 0, 30, 3},
		{"deleted", func(w *twin, _ []item, _ *partition) { delete(w.to, orders) }, reconcile.NotComparable, reconcile.NoTopic, 0, 30, 3},
		{"a damaged batch in the log", func(w *twin, it []item, _ *partition) { w.rot(it[5]) },
			reconcile.NotComparable, reconcile.LogDamaged, 15, 3, 3},
		{"the newest batch damaged in the log", func(w *twin, it []item, _ *partition) { w.rot(it[9]) },
			reconcile.NotComparable, reconcile.LogDamaged, 27, 3, 3},
		{"the oldest batch damaged in the log", func(w *twin, it []item, _ *partition) { w.rot(it[0]) },
			reconcile.NotComparable, reconcile.LogDamaged, 0, 3, 3},
	}
}

func TestNothingComparedIsNotProved(t *testing.T) {
	w := newTwin(t, 1<<20)
	if r := w.run(0); r.Exit() != 6 || r.Verdict != "not checked" || r.Total.Coverage != nil || !strings.Contains(r.String(), "(nothing)") {
		t.Errorf("an empty log: %s", r)
	}
	w.accept(orders, 5, batch.None)
	if r := w.run(0); r.Exit() != 6 || r.Total.Accepted != 5 || r.Total.Percent() != "0.00 %" {
		t.Errorf("nothing was sent: %s", r)
	}
	w, _ = healthy(t)
	for _, p := range w.to {
		p.pin.Start = p.pin.End
	}
	if r := w.run(0); r.Exit() != 6 || r.Total.NotComparable.Records != 40 {
		t.Errorf("all trimmed: %s", r)
	}
}

func TestCoverageIsNeverRoundedUp(t *testing.T) {
	for _, tt := range []struct {
		compared, accepted int64
		want               string
	}{
		{0, 0, "nothing"}, {0, 1, "0.00 %"}, {1, 1, "100.00 %"}, {99999, 100000, "99.99 %"}, {2, 3, "66.66 %"}, {28, 100, "28.00 %"},
		{1<<62 - 1, 1 << 62, "99.99 %"}, {1 << 62, 1 << 62, "100.00 %"},
	} {
		s := reconcile.Sums{Compared: tt.compared, Accepted: tt.accepted}
		if got := s.Percent(); got != tt.want {
			t.Errorf("%d of %d: %s, want %s", tt.compared, tt.accepted, got, tt.want)
		}
	}
}

// TestIdentitiesThatChangeAreFollowed rebinds under new epochs and producer ids, with a backlog behind each.
func TestIdentitiesThatChangeAreFollowed(t *testing.T) {
	w := newTwin(t, 1500)
	next := streamdown.Ordinal(0)
	for epoch := range int16(5) {
		a, b := w.accept(orders, 2, batch.None), w.accept(orders, 3, batch.None)
		c := w.accept(orders, 1, batch.Gzip)
		w.bind(orders, epoch, next)
		w.send(a, b, c)
		next += 6
	}
	w.confirmAll()
	if r := w.run(2); r.Exit() != 0 || r.Total.Identical.Records != 30 {
		t.Fatal(r)
	}
}

// TestOnlyWhatTheLogKeepsIsInTheRange releases the older part of the log.
func TestOnlyWhatTheLogKeepsIsInTheRange(t *testing.T) {
	w, _ := healthy(t)
	for range 20 {
		w.send(w.accept(orders, 3, batch.None))
		w.confirm(orders, w.next[w.lane(orders)])
	}
	n, err := w.log.Release(w.log.Durable())
	if err != nil || n == 0 {
		t.Fatalf("released %d: %v", n, err)
	}
	r := w.run(3)
	if r.Exit() != 0 || r.Total.Accepted == 0 || r.Total.Accepted > 60 || r.Total.Identical.Records != r.Total.Accepted {
		t.Fatal(r)
	}
	if p := r.Partitions[1]; p.First == 0 || p.From == 0 {
		t.Errorf("the target was read from its beginning: %+v", p)
	}
	// Planted in the part that is left: found. In the part that is gone: nobody can say.
	p := w.to[orders]
	change(p.batches[len(p.batches)-1], func(b []byte) { b[len(b)-3] ^= 1 })
	if r := w.run(3); r.Exit() != 4 || r.Total.Altered.Records != 1 {
		t.Fatal(r)
	}
}

func TestLanesAreSelected(t *testing.T) {
	w, _ := healthy(t)
	delete(w.to, audit)
	r, err := wal.OpenReader(w.fs, "/d")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var done, total int64
	rep, err := reconcile.Run(t.Context(), reconcile.Config{Log: r, Topic: w.to,
		Only:     func(tp streamdown.TopicPartition) bool { return tp == orders },
		Progress: func(d, n int64) { done, total = d, n },
	})
	if err != nil || rep.Exit() != 0 || len(rep.Topics) != 1 || rep.Total.Accepted != 30 {
		t.Fatalf("%s %v", rep, err)
	}
	if done != total || total == 0 {
		t.Errorf("progress ended at %d of %d", done, total)
	}
}

// TestAnUnreachableTargetIsAnError: the caller must not take it for a verdict.
func TestAnUnreachableTargetIsAnError(t *testing.T) {
	w, _ := healthy(t)
	r, err := wal.OpenReader(w.fs, "/d")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	away := errors.New("no route")
	for _, tt := range []struct{ pin, walk error }{{pin: away}, {walk: away}} {
		if _, err := reconcile.Run(t.Context(), reconcile.Config{Log: r, Topic: lost{w.to, tt.pin, tt.walk}}); !errors.Is(err, away) {
			t.Errorf("got %v", err)
		}
	}
}

// TestTheTargetIsReadOnceForEachWindow: a partition is not read from its start again and again.
func TestTheTargetIsReadOnceForEachWindow(t *testing.T) {
	w, _ := healthy(t)
	w.run(5)
	if n := w.to[orders].walks; n > 6 {
		t.Errorf("%d walks for 20 batches in windows of 5", n)
	}
}
