package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// roleLog is the benchmark of the log alone.
const roleLog = "log"

// Parts of the log's benchmark.
const (
	partCommits    = "commits"
	partPartitions = "partitions"
	partAcks       = "acks"
	partAllocs     = "allocs"
)

var logParts = []string{partCommits, partPartitions, partAcks, partAllocs}

// logOptions says what to measure of the log.
type logOptions struct {
	options
	parts []string
	rates []int // records per second
}

func parseLogOptions(args []string, stderr io.Writer) (logOptions, error) {
	var o logOptions
	f := flag.NewFlagSet("bench log", flag.ContinueOnError)
	f.SetOutput(stderr)
	seconds := f.Float64("seconds", 1, "length of one measurement, in `seconds`; acks are measured for three times that")
	f.IntVar(&o.rounds, "rounds", 5, "how often each measurement is repeated, interleaved with the others")
	f.BoolVar(&o.quick, "quick", false, "one round of 0.2 seconds: does it run at all?")
	only := f.String("only", strings.Join(logParts, ","), "measure these alone, comma-separated")
	f.StringVar(&o.dir, "dir", filepath.Join("bench", "work"), "`directory` on the disk to measure; what is made there is removed again")
	f.StringVar(&o.out, "out", filepath.Join("bench", "log-results.json"), "`file` for the results in JSON")
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return o, err
	case err != nil:
		return o, errUsage
	}
	if o.quick {
		o.rounds, *seconds = 1, min(*seconds, 0.2)
	}
	o.window = time.Duration(*seconds * float64(time.Second))
	var errs []error
	for _, part := range strings.Split(*only, ",") {
		if !slices.Contains(logParts, part) {
			errs = append(errs, fmt.Errorf("-only: %q is none of %s", part, strings.Join(logParts, ", ")))
		}
		o.parts = append(o.parts, part)
	}
	if o.window < 50*time.Millisecond || o.rounds < 1 {
		errs = append(errs, errors.New("-seconds is at least 0.05, -rounds 1"))
	}
	if f.NArg() > 0 {
		errs = append(errs, fmt.Errorf("%q: there are no arguments, only flags", f.Arg(0)))
	}
	if dir := filepath.Dir(o.out); !isDir(dir) {
		errs = append(errs, fmt.Errorf("-out: there is no directory %s; run from the root of the repository, or say where", dir))
	}
	if len(errs) > 0 {
		fmt.Fprintln(stderr, errors.Join(errs...))
		return o, errUsage
	}
	// Of the other benchmark: its paths are used for the acks.
	o.only, o.partitions, o.batch, o.pacedSize = []string{"embedded", "embedded-wal"}, 6, 1_000_012, 1024
	o.rates = []int{5000, 20_000}
	return o, nil
}

// benchLog measures what was asked for. The report is nil only if nothing could be begun.
func benchLog(ctx context.Context, o logOptions, progress io.Writer) (r *logReport, err error) {
	began := time.Now()
	say := func(format string, args ...any) {
		fmt.Fprintf(progress, "%5.1fs  "+format+"\n", append([]any{time.Since(began).Seconds()}, args...)...)
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return nil, fmt.Errorf("work directory: %w; choose another with -dir", err)
	}
	dir, err := os.MkdirTemp(o.dir, "log-")
	if err != nil {
		return nil, fmt.Errorf("work directory: %w; choose another with -dir", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r = newLogReport(&o, dir)
	defer r.finish(began)
	for _, part := range o.parts {
		switch part {
		case partCommits:
			err = measureCommits(ctx, dir, &o, r, say)
		case partPartitions:
			err = measurePartitions(ctx, dir, &o, r, say)
		case partAcks:
			err = measureAcks(ctx, &o, r, say)
		case partAllocs:
			err = measureAllocs(ctx, dir, r, say)
		}
		if err != nil {
			return r, fmt.Errorf("measure %s: %w", part, err)
		}
	}
	return r, nil
}

// turns runs each measurement once per round, in an order that moves on by one from round to round.
func turns(ctx context.Context, rounds, n int, measure func(round, i int) error) error {
	for round := range rounds {
		for k := range n {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := measure(round, (k+round)%n); err != nil {
				return err
			}
		}
	}
	return nil
}

// acked is what producers saw at a fixed load, straight to a broker that stores nothing and through the gateway.
type acked struct {
	Path    string     `json:"path"`
	Title   string     `json:"title"`
	Offered int        `json:"offered_records_per_second"`
	Runs    []measured `json:"runs"`

	RecordsPerSecond *spread `json:"records_per_second"`
	AckP50           *spread `json:"ack_p50_seconds"`
	AckP99           *spread `json:"ack_p99_seconds"`
	CommitBytes      *spread `json:"bytes_per_commit"`
	GatewayCPU       *spread `json:"gateway_cpu_seconds_per_gb"`
}

// measureAcks offers fixed loads to the gateway and to the broker behind it.
func measureAcks(ctx context.Context, o *logOptions, r *logReport, say func(string, ...any)) (err error) {
	say("building streamdown, starting the broker")
	l, err := newLab(ctx, o.options, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	l.o.window = 3 * o.window
	paths := o.paths()
	for _, rate := range o.rates {
		for _, p := range paths {
			r.Acks = append(r.Acks, acked{Path: p.Name, Title: p.Title, Offered: rate, Runs: []measured{}})
		}
	}
	return turns(ctx, o.rounds, len(r.Acks), func(round, i int) error {
		a := &r.Acks[i]
		l.o.rate = a.Offered
		m, err := l.measure(ctx, cell{paths[i%len(paths)], modePaced, o.pacedSize}, "")
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			m = &measured{Failed: err.Error()}
		}
		m.Round = round + 1
		a.Runs = append(a.Runs, *m)
		say("round %d  %-28s %6d records/s  ack p50 %s, p99 %s %s", round+1, a.Title, a.Offered, millis(m.AckP50), millis(m.AckP99), m.Failed)
		return nil
	})
}

func (a *acked) finish() {
	w := row{Runs: a.Runs}
	of := func(f func(*measured) *float64) *spread { return spreadOf(w.values(f)) }
	a.RecordsPerSecond = of(func(m *measured) *float64 { return &m.RecordsPerSecond })
	a.AckP50 = of(func(m *measured) *float64 { return &m.AckP50 })
	a.AckP99 = of(func(m *measured) *float64 { return &m.AckP99 })
	a.CommitBytes = of(func(m *measured) *float64 { return m.CommitBytes })
	a.GatewayCPU = of(func(m *measured) *float64 { return m.GatewayCPUPerGB })
}
