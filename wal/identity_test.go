package wal_test

import (
	"testing"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// TestARenewedLogKeepsItsNewName through restarts, segments, releases and in the eyes of who only reads it; its files keep
// the id that seeds their checksums (rule A2).
func TestARenewedLogKeepsItsNewName(t *testing.T) {
	fs := vfs.NewMem()
	var names []streamdown.ID
	var files streamdown.ID
	for life := range 20 {
		l, rec, err := wal.Open(wal.Config{FS: fs, Dir: "/d", SegmentSize: 4096})
		if err != nil {
			t.Fatal(err)
		}
		if life == 0 {
			files = l.ID()
			names = []streamdown.ID{files}
		}
		if l.ID() != names[len(names)-1] || l.Stats().ID != l.ID() || rec.LogID != l.ID() {
			t.Fatalf("life %d: the name is %s, %s was recovered, want %s", life, l.ID(), rec.LogID, names[len(names)-1])
		}
		if past := l.Renewals(); len(past) != min(len(names)-1, 16) || len(past) > 0 && past[len(past)-1].Was != names[len(names)-2] {
			t.Fatalf("life %d: %d renewals are known: %v", life, len(past), past)
		}
		if err := l.Begin(); err != nil {
			t.Fatal(err)
		}
		id, err := l.Renew()
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			e := wal.Entry{Kind: wal.KindTopic, Body: make([]byte, 1000)}
			if _, err := l.Append(&e); err != nil {
				t.Fatal(err)
			}
			if err := l.Wait(t.Context(), e.End()); err != nil {
				t.Fatal(err)
			}
		}
		if l.ID() != id || id == names[len(names)-1] {
			t.Fatalf("life %d: the name is %s, and was %s", life, l.ID(), names[len(names)-1])
		}
		names = append(names, id)
		r, err := wal.OpenReader(fs, "/d")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Walk(t.Context(), r.First(), func(*wal.Entry) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if r.ID() != files || r.Identity() != id {
			t.Fatalf("life %d: a reader sees the files of %s and the name %s", life, r.ID(), r.Identity())
		}
		r.Close()
		if _, err := l.Release(l.Durable()); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
