package main

import (
	"context"
	"slices"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/forward"
	"github.com/streamdown/streamdown/sink"
	"github.com/streamdown/streamdown/vfs"
)

// A seamPlant is a bug that is made where the node meets its disk and its target; it needs no build.
type seamPlant struct {
	name string
	disk func(vfs.FS) vfs.FS
	// What the target is told and what is heard of it. Nil = as it is.
	send   func(parcels []sink.Parcel) []sink.Parcel
	answer func(parcels int, answers []sink.Answer, err error) ([]sink.Answer, error)
	found  func(f sink.Found) sink.Found
}

var seamPlants = []seamPlant{
	{name: "a sync of the log is skipped (A1)", disk: func(fs vfs.FS) vfs.FS { return noSync{fs} }},
	{name: "the sync of a directory is forgotten (A6)", disk: func(fs vfs.FS) vfs.FS { return noSyncDir{fs} }},
	{name: "two lanes of a request are swapped", send: func(in []sink.Parcel) []sink.Parcel {
		if len(in) < 2 {
			return in
		}
		out := slices.Clone(in)
		out[0].TopicPartition, out[1].TopicPartition = in[1].TopicPartition, in[0].TopicPartition
		out[0].TopicID, out[1].TopicID = in[1].TopicID, in[0].TopicID
		return out
	}},
	{name: "a lost connection counts as an OK (D2)", answer: func(n int, answers []sink.Answer, err error) ([]sink.Answer, error) {
		if err == nil {
			return answers, nil
		}
		return slices.Repeat([]sink.Answer{{Class: sink.OK, Base: streamdown.NoOffset, LogStart: streamdown.NoOffset}}, n), nil
	}},
	{name: "a time-out counts as an OK (D2)", answer: rewrite(7, 7)},
	{name: "not enough replicas counts as stored (D2)", answer: rewrite(19, 20)},
	{name: "the answers of a request are mixed up", answer: func(_ int, answers []sink.Answer, err error) ([]sink.Answer, error) {
		slices.Reverse(answers)
		return answers, err
	}},
	{name: "a scan overlooks the last batch (D3)", found: func(f sink.Found) sink.Found {
		if n := len(f.Batches); n > 0 {
			f.Batches = f.Batches[:n-1]
		}
		return f
	}},
}

// rewrite makes OK of some codes.
func rewrite(from, to int16) func(int, []sink.Answer, error) ([]sink.Answer, error) {
	return func(_ int, answers []sink.Answer, err error) ([]sink.Answer, error) {
		for i := range answers {
			if a := &answers[i]; a.Code >= from && a.Code <= to {
				*a = sink.Answer{Class: sink.OK, Base: streamdown.NoOffset, LogStart: a.LogStart}
			}
		}
		return answers, err
	}
}

// noSync is a disk whose files are never synced.
type noSync struct{ vfs.FS }

func (d noSync) Create(name string) (vfs.File, error) {
	f, err := d.FS.Create(name)
	return noSyncFile{f}, err
}

type noSyncFile struct{ vfs.File }

func (noSyncFile) Sync() error { return nil }

// noSyncDir is a disk whose names are never synced.
type noSyncDir struct{ vfs.FS }

func (noSyncDir) SyncDir(string) error { return nil }

// seam is what stands between the forwarder and its target. Without a plant it is there for one thing that cannot run in
// a bubble: the forwarder holds a mutex while it asks for a producer id, and a bubble's clock stands still while somebody
// waits for a mutex. So that question takes no time and does not go over the network.
type seam struct {
	forward.Target
	w *world
	p *seamPlant
}

func (s seam) NewProducerID(context.Context) (int64, error) {
	pid, up := s.w.cluster.ProducerID()
	if !up {
		return -1, errNobody
	}
	return pid, nil
}

func (s seam) Scan(ctx context.Context, r forward.ScanRequest) (sink.Found, error) {
	f, err := s.Target.Scan(ctx, r)
	if err == nil && s.p != nil && s.p.found != nil {
		f = s.p.found(f)
	}
	return f, err
}

func (s seam) Dial(ctx context.Context, node int32, depth int, answered func(uint64, []sink.Answer, error)) (forward.Pipe, error) {
	if s.p == nil || s.p.send == nil && s.p.answer == nil {
		return s.Target.Dial(ctx, node, depth, answered)
	}
	l := &liar{p: s.p, sizes: make(chan int, 4*depth)}
	pipe, err := s.Target.Dial(ctx, node, depth, func(tag uint64, answers []sink.Answer, err error) {
		n := <-l.sizes
		if s.p.answer != nil {
			answers, err = s.p.answer(n, answers, err)
		}
		answered(tag, answers, err)
	})
	l.Pipe = pipe
	return l, err
}

// liar is a connection with a plant at both ends.
type liar struct {
	forward.Pipe
	p     *seamPlant
	sizes chan int
}

func (l *liar) Send(tag uint64, parcels []sink.Parcel) bool {
	if l.p.send != nil {
		parcels = l.p.send(parcels)
	}
	if !l.Pipe.Send(tag, parcels) {
		return false
	}
	l.sizes <- len(parcels)
	return true
}
