package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

const (
	laneBatch  = 3 << 10 // bytes of one batch: small ones are where many partitions hurt
	laneWindow = 256     // batches that are made durable together
	laneSyncs  = 16      // files synced at once when there is one per partition
)

// partitionCounts are those that are shown.
var partitionCounts = []int{10, 1_000, 10_000}

// partitioned compares one log with a file per partition.
type partitioned struct {
	Partitions int            `json:"partitions"`
	Runs       []partitionRun `json:"runs"`

	Log   *spread `json:"one_log_batches_per_second"`
	Files *spread `json:"file_per_partition_batches_per_second"`
	Times *spread `json:"times"` // within rounds
}

type partitionRun struct {
	Round int     `json:"round"`
	Log   float64 `json:"one_log_batches_per_second"`
	Files float64 `json:"file_per_partition_batches_per_second"`
}

func measurePartitions(ctx context.Context, dir string, o *logOptions, r *logReport, say func(string, ...any)) error {
	allowFiles()
	for _, n := range partitionCounts {
		r.Partitions = append(r.Partitions, partitioned{Partitions: n, Runs: []partitionRun{}})
	}
	return turns(ctx, o.rounds, len(partitionCounts), func(round, i int) (err error) {
		p := &r.Partitions[i]
		run := partitionRun{Round: round + 1}
		ways := []func() error{
			func() error { run.Log, err = inOneLog(ctx, dir, p.Partitions, o.window); return err },
			func() error { run.Files, err = inFiles(dir, p.Partitions, o.window); return err },
		}
		for k := range ways {
			if err := ways[(k+round)%2](); err != nil {
				return err
			}
		}
		p.Runs = append(p.Runs, run)
		say("round %d  %5d partitions: one log %8.0f batches/s, a file each %8.0f", round+1, p.Partitions, run.Log, run.Files)
		return nil
	})
}

func (p *partitioned) finish() {
	var log, files, times []float64
	for _, run := range p.Runs {
		log, files, times = append(log, run.Log), append(files, run.Files), append(times, run.Log/run.Files)
	}
	p.Log, p.Files, p.Times = spreadOf(log), spreadOf(files), spreadOf(times)
}

// allowFiles raises the number of files that this process may have open as far as it may.
func allowFiles() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		limit.Cur = limit.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) // where it is not enough, opening says so
	}
}

// rounds of windows that make up a measurement: batches go round the partitions, and a window is durable before the next.
func windowsFor(window time.Duration, one func(first int) error) (batchesPerSecond float64, err error) {
	n, began := 0, time.Now()
	for time.Since(began) < window || n < 2 {
		if err := one(n * laneWindow); err != nil {
			return 0, err
		}
		n++
	}
	return float64(n*laneWindow) / time.Since(began).Seconds(), nil
}

func inOneLog(ctx context.Context, dir string, partitions int, window time.Duration) (rate float64, err error) {
	dir = filepath.Join(dir, "one-log")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	l, _, err := wal.Open(wal.Config{Dir: dir})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	body := noise(laneBatch)
	lanes := make([]streamdown.LaneID, partitions)
	for p := range lanes {
		if lanes[p], err = l.Lane(streamdown.TopicPartition{Topic: "bench", Partition: int32(p)}); err != nil {
			return 0, err
		}
	}
	return windowsFor(window, func(first int) error {
		var e wal.Entry
		for i := range laneWindow {
			p := (first + i) % partitions
			e = wal.Entry{Kind: wal.KindBatch, Lane: lanes[p], Ordinal: streamdown.Ordinal((first + i) / partitions), Count: 1, Arrival: 1, Body: body}
			l.Ready()
			if _, err := l.Append(&e); err != nil {
				return err
			}
		}
		return l.Wait(ctx, e.End())
	})
}

func inFiles(dir string, partitions int, window time.Duration) (rate float64, err error) {
	dir = filepath.Join(dir, "files")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var fs vfs.OS
	files := make([]vfs.File, 0, partitions)
	defer func() {
		for _, f := range files {
			_ = f.Close() // all of it is synced
		}
	}()
	for p := range partitions {
		f, err := fs.Create(filepath.Join(dir, fmt.Sprint(p)))
		if err != nil {
			return 0, fmt.Errorf("%w; raise `ulimit -n`", err)
		}
		files = append(files, f)
	}
	if err := fs.SyncDir(dir); err != nil {
		return 0, err
	}
	todo, errs := make(chan vfs.File, laneWindow), make(chan error, laneWindow)
	var syncers sync.WaitGroup
	for range laneSyncs {
		syncers.Go(func() {
			for f := range todo {
				errs <- f.Sync()
			}
		})
	}
	defer syncers.Wait()
	defer close(todo)
	body := noise(laneBatch)
	return windowsFor(window, func(first int) error {
		for i := range laneWindow {
			if _, err := files[(first+i)%partitions].WriteAt(body, int64((first+i)/partitions*len(body))); err != nil {
				return err
			}
		}
		touched := min(laneWindow, partitions)
		for i := range touched {
			todo <- files[(first+i)%partitions]
		}
		var all error
		for range touched {
			all = errors.Join(all, <-errs)
		}
		return all
	})
}
