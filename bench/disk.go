package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/streamdown/streamdown/vfs"
)

const (
	diskPiece   = 256 << 10 // one write(2) of the log
	diskSegment = 128 << 20 // one file of the log
)

// diskSizes are the group commits that are shown for the bare disk.
var diskSizes = []int{64 << 10, 256 << 10, 1 << 20, 4 << 20}

// diskRun is the bare disk for a while: writes of at most 256 KiB, one fdatasync per so many bytes, a new file every
// 128 MiB, by the same calls as the log's.
type diskRun struct {
	SyncBytes   int     `json:"bytes_per_sync"`
	MBs         float64 `json:"mb_per_second"`
	SyncP50     float64 `json:"commit_p50_seconds"` // of write and sync
	SyncP99     float64 `json:"commit_p99_seconds"`
	Syncs       int     `json:"syncs"`
	CPUPerGB    float64 `json:"cpu_seconds_per_gb"`
	OthersCores float64 `json:"others_cores"`
}

func runDisk(dir string, syncBytes int, window time.Duration) (r diskRun, err error) {
	r.SyncBytes = syncBytes
	dir, err = os.MkdirTemp(dir, "disk-")
	if err != nil {
		return r, fmt.Errorf("bare disk: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	buf := make([]byte, syncBytes)
	rng := rand.NewChaCha8([32]byte{2})
	_, _ = rng.Read(buf) // never fails
	var fs vfs.OS
	var f vfs.File
	defer func() {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	var commits samples
	var total int64
	used := 0
	others, cpu, began := othersSince(), selfCPU(), time.Now()
	for n := 0; time.Since(began) < window; n++ {
		if f == nil || used >= diskSegment {
			if f != nil {
				if err := f.Close(); err != nil {
					return r, fmt.Errorf("bare disk: %w", err)
				}
			}
			if f, err = fs.Create(filepath.Join(dir, fmt.Sprintf("%d", n))); err != nil {
				return r, fmt.Errorf("bare disk: %w", err)
			}
			if err := fs.SyncDir(dir); err != nil {
				return r, fmt.Errorf("bare disk: %w", err)
			}
			used = 0
		}
		at := time.Now()
		for rest := buf; len(rest) > 0; {
			n, err := f.WriteAt(rest[:min(len(rest), diskPiece)], int64(used+len(buf)-len(rest)))
			if err != nil {
				return r, fmt.Errorf("bare disk: %w", err)
			}
			rest = rest[n:]
		}
		if err := f.Sync(); err != nil {
			return r, fmt.Errorf("bare disk: %w", err)
		}
		commits.add(time.Since(at))
		used += syncBytes
		total += int64(syncBytes)
	}
	elapsed := time.Since(began)
	cpu = selfCPU() - cpu
	r.OthersCores = others(cpu)
	p := commits.quantiles(0.5, 0.99)
	r.MBs, r.SyncP50, r.SyncP99 = float64(total)/1e6/elapsed.Seconds(), p[0].Seconds(), p[1].Seconds()
	r.Syncs, r.CPUPerGB = commits.len(), cpu.Seconds()/(float64(total)/1e9)
	return r, nil
}

// selfCPU is the processor time that this process has used.
func selfCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0 // only for a bad address
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
