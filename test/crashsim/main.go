// Command crashsim crashes the write-ahead log a given number of times, and then proves that it would have noticed.
//
//	go run ./test/crashsim -n 1000000 [-seed 1] [-procs 2] [-o result.json]
//
// It builds the tests of package wal and runs their simulation (TestAckedSurvivesEveryCrash and the tests of crash
// points and of rot) in several processes, each with seeds of its own. Then it builds them again and again, each time
// with one fault planted in the log's own code (see plants.go), and runs each until it is caught. The plants at the
// log's seams, which need no build, are run by TestPlantsAreCaught. The last line of the output is
//
//	{"crashes":…,"lost":0,"resurrected":0,"other":0,"planted":…,"caught":…,…}
//
// The exit code is 0 when nothing was broken and every plant was caught. A broken promise comes with the seed that
// shows it again: go test ./wal -run TestAckedSurvivesEveryCrash -args -crashes 1 -crashseed SEED -crashtrace.
//
// Stability: may change.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"time"
)

// A result is the last line. Lost, Resurrected and Other count runs that broke a promise.
type result struct {
	Crashes     int64   `json:"crashes"`
	Lost        int     `json:"lost"`
	Resurrected int     `json:"resurrected"`
	Other       int     `json:"other"`
	Planted     int     `json:"planted"`
	Caught      int     `json:"caught"`
	Seed        uint64  `json:"seed"` // the first
	Runs        int64   `json:"runs"` // one seed each
	PerSecond   float64 `json:"crashes_per_second"`

	out   string // the file that holds it so far
	began time.Time
}

// save writes what is known so far to the file, if one was asked for: a run of hours may be ended by somebody.
func (r *result) save() {
	if r.out == "" {
		return
	}
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // plain numbers
	}
	if err := os.WriteFile(r.out, append(b, '\n'), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, "crashsim:", err)
	}
}

func main() {
	n := flag.Int64("n", 100_000, "crashes")
	seed := flag.Uint64("seed", 1, "seed of the first run; the others follow")
	procs := flag.Int("procs", runtime.NumCPU(), "processes")
	most := flag.Int64("plants", 200_000, "crashes within which a plant must be caught; 0 = plant nothing")
	only := flag.String("only", "", "only plants with this in their names, and nothing else")
	out := flag.String("o", "", "file that is to hold the result so far, while it grows; empty = none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	r := &result{Seed: *seed, out: *out, began: time.Now()}
	err := all(ctx, r, *n, max(*procs, 1), *most, *only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "crashsim:", err)
		stop()
		os.Exit(2) //nolint:gocritic // stop was called
	}
	line, err := json.Marshal(r)
	if err != nil {
		panic(err) // plain numbers
	}
	fmt.Println(string(line))
	if r.Lost+r.Resurrected+r.Other > 0 || r.Caught < r.Planted {
		stop()
		os.Exit(1)
	}
}

func all(ctx context.Context, r *result, n int64, procs int, most int64, only string) error {
	dir, err := os.MkdirTemp("", "crashsim")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // of the temporary directory: nothing depends on it
	sound, err := build(ctx, dir, nil)
	if err != nil {
		return err
	}
	r.began = time.Now()
	if only == "" {
		if err := sane(ctx, sound, r, n, procs, most); err != nil || most <= 0 {
			return err
		}
	}
	for i := range plants {
		if !strings.Contains(plants[i].name, only) {
			continue
		}
		r.save()
		if err := try(ctx, dir, &plants[i], r, most); err != nil {
			return err
		}
	}
	r.save()
	return nil
}

// sane runs what is about the log as it is, and the plants at its seams.
func sane(ctx context.Context, sound string, r *result, n int64, procs int, most int64) error {
	if err := crash(ctx, sound, r, n, procs); err != nil {
		return err
	}
	if err := steady(ctx, sound, r); err != nil {
		return err
	}
	r.save()
	if most <= 0 {
		return nil
	}
	return seams(ctx, sound, r)
}
