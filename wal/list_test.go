package wal_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

func TestSegmentsSayWhatTheyHold(t *testing.T) {
	fs := aLog(t, 2, 30, 1500)
	list, err := wal.Segments(t.Context(), fs, "/d", true)
	if err != nil {
		t.Fatal(err)
	}
	var sum wal.Counts
	for i, s := range list {
		if !s.Whole || s.Created.IsZero() || s.Number != uint64(i+1) || s.State == 0 || i > 0 && s.First != list[i-1].End {
			t.Errorf("%+v", s)
		}
		sum.Batches += s.Counts.Batches
		sum.Records += s.Counts.Records
		sum.Damage += s.Counts.Damage
	}
	if len(list) < 5 || sum.Batches != 60 || sum.Records != 90 || sum.Damage != 0 {
		t.Errorf("%d segments, %+v", len(list), sum)
	}
	fs.Change("/d/"+list[2].Name, func(b []byte) []byte { b[70] ^= 1; b[len(b)-9] ^= 1; return b })
	list, err = wal.Segments(t.Context(), fs, "/d", true)
	if err != nil || list[2].Whole || !list[1].Whole || list[2].Counts.Damage != 1 || list[3].Counts.Damage != 0 {
		t.Errorf("%+v %v", list[2], err)
	}
	if list, err = wal.Segments(t.Context(), fs, "/d", false); err != nil || list[0].Counts != nil {
		t.Errorf("counted unasked: %v", err)
	}
	if list, err = wal.Segments(t.Context(), vfs.NewMem(), "/d", true); err != nil || len(list) != 0 {
		t.Errorf("empty directory: %v, %v", list, err)
	}
}

func TestWalkShowsWhatTheLogHolds(t *testing.T) {
	fs := aLog(t, 2, 30, 1500)
	var lsns []streamdown.LSN
	batches := 0
	fn := func(e *wal.Entry, lane streamdown.TopicPartition) error {
		lsns = append(lsns, e.LSN)
		if e.Kind == wal.KindBatch {
			if batches++; lane.Topic != "orders" {
				return fmt.Errorf("lane %d is %q", e.Lane, lane)
			}
		}
		return nil
	}
	if err := wal.Walk(t.Context(), fs, "/d", 0, fn); err != nil || batches != 60 {
		t.Fatalf("%d batches: %v", batches, err)
	}
	all := len(lsns)
	middle := lsns[all/2]
	lsns = nil
	if err := wal.Walk(t.Context(), fs, "/d", middle, fn); err != nil || len(lsns) != all-all/2 || lsns[0] != middle {
		t.Errorf("from the middle: %d of %d: %v", len(lsns), all, err)
	}
	enough := errors.New("enough")
	if err := wal.Walk(t.Context(), fs, "/d", 0, func(*wal.Entry, streamdown.TopicPartition) error { return enough }); err != enough {
		t.Errorf("the caller's error came back as %v", err)
	}
	if err := wal.Walk(t.Context(), fs, "/d", 8, fn); !errors.Is(err, wal.ErrReleased) {
		t.Errorf("before the beginning: %v", err)
	}

	list, err := wal.Segments(t.Context(), fs, "/d", false)
	if err != nil {
		t.Fatal(err)
	}
	fs.Change("/d/"+list[2].Name, func(b []byte) []byte { b[len(b)-9] ^= 1; return b })
	batches = 0
	var bad *wal.CorruptError
	if err := wal.Walk(t.Context(), fs, "/d", 0, fn); !errors.As(err, &bad) || batches != 59 || bad.Segment != list[2].Name {
		t.Errorf("behind damage: %d batches, %v", batches, err)
	}
}

func TestLoadKnowsWhatTheProcessKnew(t *testing.T) {
	fs := vfs.NewMem()
	l, d, _ := open(t, fs, 600)
	for i := range 60 {
		if err := l.Wait(t.Context(), appendBody(t, l, fmt.Appendf(nil, "fact number %d", i))); err != nil {
			t.Fatal(err)
		}
		if i == 40 {
			if _, err := l.Release(l.Durable()); err != nil {
				t.Fatal(err)
			}
		}
	}
	got := &diary{}
	id, err := wal.Load(t.Context(), fs, "/d", got) // the process holds the lock
	if err != nil || id != l.ID() || !same(got.list(), d.list()) {
		t.Errorf("%d facts of %d: %v", len(got.list()), len(d.list()), err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	names := segmentNames(t, fs)
	fs.Change("/d/"+names[0], func(b []byte) []byte { b[3] ^= 1; return b }) // the next whole state serves
	got = &diary{}
	if _, err := wal.Load(t.Context(), fs, "/d", got); err != nil || !same(got.list(), d.list()) {
		t.Errorf("without the first header: %d facts of %d: %v", len(got.list()), len(d.list()), err)
	}
}
