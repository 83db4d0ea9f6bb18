package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// commitSizes are the bytes of one commit.
var commitSizes = []int{64 << 10, 256 << 10, 1 << 20}

// Ways to make bytes durable.
const (
	diskLonger = "disk, file grows"
	diskOver   = "disk, written over"
	logFresh   = "log, new segments"
	logOver    = "log, segments written over"
	logAlone   = "log, one commit at a time"
)

// commits is one way at one size.
type commits struct {
	Way       string      `json:"way"`
	SyncBytes int         `json:"bytes_per_commit"`
	Runs      []commitRun `json:"runs"`

	MBs   *spread `json:"mb_per_second"`
	P50   *spread `json:"commit_p50_seconds"`
	P99   *spread `json:"commit_p99_seconds"`
	CPU   *spread `json:"cpu_seconds_per_gb"`
	Bytes *spread `json:"bytes_per_commit_measured"`
	// Ratios of MB/s, within rounds.
	ToLonger *spread `json:"times_disk_file_grows"`
	ToOver   *spread `json:"times_disk_written_over"`
}

type commitRun struct {
	Round       int     `json:"round"`
	MBs         float64 `json:"mb_per_second"`
	P50         float64 `json:"commit_p50_seconds"`
	P99         float64 `json:"commit_p99_seconds"`
	CPUPerGB    float64 `json:"cpu_seconds_per_gb"`
	Bytes       float64 `json:"bytes_per_commit"`
	OthersCores float64 `json:"others_cores"`
}

// measureCommits has every way take its turn at every size. A log that is written over lives through all rounds, as do
// the files of the disk.
func measureCommits(ctx context.Context, dir string, o *logOptions, r *logReport, say func(string, ...any)) (err error) {
	for _, size := range commitSizes {
		for _, way := range []string{diskLonger, diskOver, logFresh, logOver, logAlone} {
			r.Commits = append(r.Commits, commits{Way: way, SyncBytes: size, Runs: []commitRun{}})
		}
	}
	old, err := newRecycled(ctx, filepath.Join(dir, "recycled"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, old.close()) }()
	over, err := newOverwritten(filepath.Join(dir, "overwritten"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, over.f.Close()) }()
	return turns(ctx, o.rounds, len(r.Commits), func(round, i int) error {
		c := &r.Commits[i]
		var run commitRun
		var err error
		switch c.Way {
		case diskLonger:
			var d diskRun
			d, err = runDisk(dir, c.SyncBytes, o.window)
			run = commitRun{MBs: d.MBs, P50: d.SyncP50, P99: d.SyncP99, CPUPerGB: d.CPUPerGB, Bytes: float64(c.SyncBytes), OthersCores: d.OthersCores}
		case diskOver:
			run, err = over.run(c.SyncBytes, o.window)
		case logFresh:
			run, err = freshLog(ctx, filepath.Join(dir, "fresh"), c.SyncBytes, o.window)
		case logOver:
			run, err = commitFor(ctx, old.log, c.SyncBytes, o.window, 2)
		case logAlone:
			run, err = commitFor(ctx, old.log, c.SyncBytes, o.window, 1)
		}
		if err != nil {
			return fmt.Errorf("%s, %d bytes: %w", c.Way, c.SyncBytes, err)
		}
		run.Round = round + 1
		c.Runs = append(c.Runs, run)
		say("round %d  %-28s %4d KiB  %7.1f MB/s  p50 %s", round+1, c.Way, c.SyncBytes>>10, run.MBs, millis(run.P50))
		return nil
	})
}

func (c *commits) finish(r *logReport) {
	of := func(f func(*commitRun) float64) *spread {
		var v []float64
		for i := range c.Runs {
			v = append(v, f(&c.Runs[i]))
		}
		return spreadOf(v)
	}
	c.MBs = of(func(m *commitRun) float64 { return m.MBs })
	c.P50 = of(func(m *commitRun) float64 { return m.P50 })
	c.P99 = of(func(m *commitRun) float64 { return m.P99 })
	c.CPU = of(func(m *commitRun) float64 { return m.CPUPerGB })
	c.Bytes = of(func(m *commitRun) float64 { return m.Bytes })
	against := func(way string) *spread {
		if c.Way == diskLonger || c.Way == diskOver {
			return nil
		}
		base := r.commits(way, c.SyncBytes)
		var v []float64
		for i := range min(len(c.Runs), len(base.Runs)) {
			if off := c.Runs[i].Bytes / float64(c.SyncBytes); off < 1+sizeOff && off > 1-sizeOff {
				v = append(v, c.Runs[i].MBs/base.Runs[i].MBs)
			}
		}
		return spreadOf(v)
	}
	c.ToLonger, c.ToOver = against(diskLonger), against(diskOver)
}

// sizeOff is how far the log's commits may be from what was meant, on average, for a run to be compared.
const sizeOff = 0.2

// gauge measures what goes on between its making and its end.
type gauge struct {
	others func(ours time.Duration) float64
	cpu    time.Duration
	began  time.Time
	lat    samples
}

func newGauge() *gauge { return &gauge{others: othersSince(), cpu: selfCPU(), began: time.Now()} }

func (g *gauge) end(bytes int64, groups float64) commitRun {
	elapsed, cpu := time.Since(g.began), selfCPU()-g.cpu
	p := g.lat.quantiles(0.5, 0.99)
	return commitRun{
		MBs: float64(bytes) / 1e6 / elapsed.Seconds(), P50: p[0].Seconds(), P99: p[1].Seconds(),
		CPUPerGB: cpu.Seconds() / (float64(bytes) / 1e9), Bytes: float64(bytes) / groups, OthersCores: g.others(cpu),
	}
}

// overwritten is a file as large as a segment whose blocks are all written once.
type overwritten struct {
	f    vfs.File
	used int
}

func newOverwritten(name string) (*overwritten, error) {
	f, err := vfs.OS{}.Create(name)
	if err != nil {
		return nil, err
	}
	o := &overwritten{f: f}
	for o.used < diskSegment {
		if err := o.commit(noise(diskPiece)); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return o, nil
}

// commit writes as the log does: in pieces, with one sync at the end.
func (o *overwritten) commit(b []byte) error {
	if o.used+len(b) > diskSegment {
		o.used = 0
	}
	for len(b) > 0 {
		n, err := o.f.WriteAt(b[:min(len(b), diskPiece)], int64(o.used))
		if err != nil {
			return err
		}
		b, o.used = b[n:], o.used+n
	}
	return o.f.Sync()
}

func (o *overwritten) run(size int, window time.Duration) (commitRun, error) {
	buf := noise(size)
	g := newGauge()
	n := 0
	for ; time.Since(g.began) < window; n++ {
		at := time.Now()
		if err := o.commit(buf); err != nil {
			return commitRun{}, err
		}
		g.lat.add(time.Since(at))
	}
	return g.end(int64(n*size), float64(n)), nil
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(b) // never fails
	return b
}

// commitBatch is the body of one entry: several share a commit.
const commitBatch = 16 << 10

// commitFor appends commits of a size for a while. At most ahead of them are not durable: with 2 the next one is being
// collected while one is written, which is how producers keep a log busy. With 1 nothing is, and a commit is one entry,
// since the writer does not wait for a second one. The time of a commit runs from before its first entry is appended until
// it is durable.
func commitFor(ctx context.Context, l *wal.Log, size int, window time.Duration, ahead int) (commitRun, error) {
	lane, err := l.Lane(streamdown.TopicPartition{Topic: "bench"})
	if err != nil {
		return commitRun{}, err
	}
	entries := size / commitBatch
	if ahead == 1 {
		entries = 1
	}
	body := noise(size/entries - 64) // with its header it is as large as that, or nearly
	ordinal := streamdown.Ordinal(0)
	type open struct {
		at  time.Time
		end streamdown.LSN
	}
	var undone []open
	before := l.Stats()
	g := newGauge()
	for {
		more := time.Since(g.began) < window
		if !more && len(undone) == 0 {
			break
		}
		if more {
			c := open{at: time.Now()}
			for range entries {
				e := wal.Entry{Kind: wal.KindBatch, Lane: lane, Ordinal: ordinal, Count: 1, Arrival: 1, Body: body}
				if _, err := l.Append(&e); err != nil {
					return commitRun{}, err
				}
				ordinal++
				c.end = e.End()
			}
			if undone = append(undone, c); len(undone) < ahead {
				letIn()
				continue
			}
		}
		if err := l.Wait(ctx, undone[0].end); err != nil {
			return commitRun{}, err
		}
		for durable := l.Durable(); len(undone) > 0 && undone[0].end <= durable; undone = undone[1:] {
			g.lat.add(time.Since(undone[0].at))
		}
	}
	after := l.Stats()
	return g.end(int64(after.Bytes-before.Bytes), float64(after.Groups-before.Groups)), nil //nolint:gosec // a few GB
}

// letIn gives the log's writer, which was idle, a moment to take what was appended: what came next would become part of
// the same commit, and they would stay together from then on. It is far shorter than any commit.
func letIn() {
	for began := time.Now(); time.Since(began) < 50*time.Microsecond; {
		runtime.Gosched()
	}
}

func freshLog(ctx context.Context, dir string, size int, window time.Duration) (run commitRun, err error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return run, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	l, _, err := wal.Open(wal.Config{Dir: dir})
	if err != nil {
		return run, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	return commitFor(ctx, l, size, window, 2)
}

// recycled is a log whose segments are released behind it, as a forwarder that keeps up does: it writes them over.
type recycled struct {
	log  *wal.Log
	stop context.CancelFunc
	done chan error
}

// releaseEach is how often a forwarder releases.
const releaseEach = 250 * time.Millisecond

func newRecycled(ctx context.Context, dir string) (*recycled, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	l, _, err := wal.Open(wal.Config{Dir: dir})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	r := &recycled{log: l, stop: stop, done: make(chan error, 1)}
	go func() { r.done <- releaseBehind(ctx, l) }()
	// Until there are files to write over, with some to spare.
	for l.Stats().First < 2*diskSegment {
		if _, err := commitFor(ctx, l, 4<<20, releaseEach, 2); err != nil {
			return nil, errors.Join(err, r.close())
		}
	}
	return r, nil
}

func releaseBehind(ctx context.Context, l *wal.Log) error {
	tick := time.NewTicker(releaseEach)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if _, err := l.Release(l.Durable()); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (r *recycled) close() error {
	r.stop()
	return errors.Join(<-r.done, r.log.Close())
}
