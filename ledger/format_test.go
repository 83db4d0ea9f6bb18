package ledger

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/test/budget"
	"github.com/streamdown/streamdown/wal"
)

var update = flag.Bool("update", false, "write the golden file")

// sample is a file with all kinds of rows.
func sample() (file []byte, rows []Row) {
	h := header{log: streamdown.ID{1, 2, 3, 15: 16}, number: 7, first: 4096, created: 1700000000000, state: []byte("a state")}
	rows = []Row{
		{Entry: wal.Entry{Kind: wal.KindLane, LSN: 4096, Lane: 1, Ordinal: 3, Arrival: 1700000000001, Body: []byte("orders")}, Size: 6},
		{Entry: wal.Entry{Kind: wal.KindBatch, LSN: 4152, Lane: 1, Count: 3, Arrival: 1700000000002}, Size: 200, CRC: 0xdeadbeef, Codec: batch.LZ4, Base: 1699999999999, Max: 1700000000001},
		{
			Entry: wal.Entry{Kind: wal.KindBatch, LSN: 5000, Lane: 300, Ordinal: 1 << 40, Count: 1, Arrival: 1700000000000}, Size: 1 << 20, CRC: 1, Base: -1, Max: -1,
			Digested: true, Digest: Digest{Records: 1, Content: 1 << 63, Times: 77},
		},
		{Entry: wal.Entry{Kind: wal.KindOpened, LSN: 2 << 20, Arrival: 1700000000500}},
	}
	var b builder
	b.begin(4096)
	for i := range rows {
		b.add(&rows[i])
	}
	file = append(h.encode(), b.finish(2<<20+48)...)
	b.begin(2<<20 + 48)
	return append(file, b.finish(3<<20)...), rows
}

// TestTheFormatStays: what this version writes, later ones read (promise G14).
func TestTheFormatStays(t *testing.T) {
	file, rows := sample()
	const golden = "testdata/golden.hex"
	if *update {
		if err := os.WriteFile(golden, []byte(hex.Dump(file)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if hex.Dump(file) != string(want) {
		t.Errorf("the format changed: what is written in it could not be read any more")
	}
	h, start, err := parseHeader(file)
	if err != nil || h.number != 7 || h.first != 4096 || h.created != 1700000000000 || string(h.state) != "a state" || h.log[0] != 1 {
		t.Fatalf("%+v %v", h, err)
	}
	x, n, err := parseBlock(file[start:])
	if err != nil || x.from != 4096 || x.to != 2<<20+48 {
		t.Fatalf("%+v %v", x, err)
	}
	i := 0
	err = x.each(func(r *Row) error {
		if len(r.Body) == 0 {
			r.Body = nil
		}
		if !reflect.DeepEqual(*r, rows[i]) {
			t.Errorf("row %d is %+v, want %+v", i, *r, rows[i])
		}
		i++
		return nil
	})
	if err != nil || i != len(rows) {
		t.Fatal(i, err)
	}
	if x, _, err = parseBlock(file[start+n:]); err != nil || x.rows != 0 || x.to != 3<<20 {
		t.Fatalf("%+v %v", x, err)
	}
	newer := slices.Clone(file)
	newer[7] = 2
	if _, _, err := parseHeader(newer); !errors.Is(err, errHeader) && !errors.Is(err, errNewer) {
		t.Errorf("a later version: %v", err)
	}
}

// FuzzFile: bytes that are no ledger never panic, cost little, and give no row that was not checked.
func FuzzFile(f *testing.F) {
	file, _ := sample()
	f.Add(file)
	f.Add(file[:100])
	f.Add(append(slices.Clone(file[:130]), file[131:]...))
	f.Add(bytes.Repeat(blockMagic, 50))
	f.Fuzz(func(t *testing.T, b []byte) {
		budget.Allow(t, 16*uint64(len(b))+64<<10, func() {
			_, start, err := parseHeader(b)
			if err != nil {
				start = resync(b, 0)
			}
			for at := start; at < len(b); {
				x, n, err := parseBlock(b[at:])
				if err != nil {
					at = resync(b, at)
					continue
				}
				_ = x.each(func(r *Row) error { // a row that is none is an error, which is what is wanted
					if r.LSN < x.from || r.End() > x.to {
						t.Errorf("a row at %d in a block of [%d, %d)", r.LSN, x.from, x.to)
					}
					return nil
				})
				at += n
			}
		})
	})
}

// FuzzRows: whatever rows a block claims to have.
func FuzzRows(f *testing.F) {
	_, rows := sample()
	c := cursor{lsn: 4096}
	var b []byte
	for i := range rows {
		b = c.put(b, &rows[i])
	}
	f.Add(b, 4)
	f.Add(b[:20], 4)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		budget.Check(t, len(b), func() {
			x := block{from: 4096, to: 1 << 40, rows: min(n, len(b)), body: b}
			_ = x.each(func(r *Row) error {
				if r.Size < 0 || r.Kind == 0 {
					t.Errorf("%+v", r)
				}
				return nil
			})
		})
	})
}

// TestDigestsShowEveryFault alters, loses, doubles and exchanges records, and cuts them in all ways.
func TestDigestsShowEveryFault(t *testing.T) {
	var s Hasher
	rec := func(i int) batch.Record {
		return batch.Record{Timestamp: int64(i), Key: fmt.Appendf(nil, "k%d", i), Value: fmt.Appendf(nil, "v%d", i%3), Headers: []batch.RecordHeader{{Key: []byte("h")}}}
	}
	fold := func(list []int) (d Digest) {
		for _, i := range list {
			r := rec(i)
			d = s.Add(d, &r)
		}
		return d
	}
	all := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	want := fold(all)
	for i := range all {
		if got := fold(all[:i]).Then(fold(all[i:])); got != want {
			t.Errorf("cut at %d: %v, want %v", i, got, want)
		}
		lost := slices.Delete(slices.Clone(all), i, i+1)
		lostAndDoubled := append(slices.Clone(lost), lost[0])
		for _, bad := range [][]int{lost, lostAndDoubled, slices.Insert(slices.Clone(all), i, i), slices.Replace(slices.Clone(all), i, i+1, 99)} {
			if fold(bad) == want {
				t.Errorf("%v looks like %v", bad, all)
			}
		}
		if i > 0 {
			swapped := slices.Clone(all)
			swapped[i], swapped[i-1] = swapped[i-1], swapped[i]
			if fold(swapped).Content == want.Content {
				t.Errorf("%v looks like %v", swapped, all)
			}
		}
	}
	a, b := rec(1), rec(1)
	a.Value, b.Value = nil, []byte{}
	if s.Add(Digest{}, &a) == s.Add(Digest{}, &b) {
		t.Error("null looks like empty")
	}
	b = rec(1)
	b.Key, b.Value = []byte("k1v"), []byte("1")
	a = rec(1)
	if s.Add(Digest{}, &a) == s.Add(Digest{}, &b) {
		t.Error("a byte may move from value to key")
	}
	b = rec(1)
	b.Timestamp++
	if x, y := s.Add(Digest{}, &a), s.Add(Digest{}, &b); x.Content != y.Content || x.Times == y.Times {
		t.Error("times are apart from contents")
	}
}
