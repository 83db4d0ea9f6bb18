// Command size shows that neither start-up nor memory grows with what is in the log.
//
//	go run ./test/size -gb 20 -lanes 10000
//
// It builds a log of that size as fast as the disk allows: valid batches of 3 KiB, written by idempotent producers, to
// lanes in random order. Then it runs the streamdown binary on it, with the page cache cold, and measures
//
//	start   from exec to the first ack of a produce (franz-go), while the target is down; then the memory
//	wait    the memory while the target stays down and as much is read ahead as may be
//	drain   rate and memory while the target works
//	hold    the same with some lanes held, each at another place in the log
//	cursors the same while those lanes are resumed and cursors of their own bring them up to the others
//	again   killed, and started a second time with the target down: every lane has an identity at the target now
//
// The target is an embedded broker that speaks the real protocol, checks sequences and stores nothing: kfake, in this
// process, on the same cores. Rates are therefore properties of all three together.
//
// It prints a table and, as the last line, the same in JSON. The exit code is 1 when the first ack took longer than
// -max-ack or the memory (VmHWM, reset before each phase) went over -max-rss. With -keep the log stays in -dir, and the
// next run with the same flags takes it from there.
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
	"path/filepath"
	"syscall"
	"time"
)

// options says what to build and how long to look.
type options struct {
	shape
	dir    string
	keep   bool
	phase  time.Duration // length of wait, drain and hold
	maxAck time.Duration
	maxRSS int64
	env    []string // of the gateway, beside our own
	say    func(format string, args ...any)
}

func main() {
	o := options{say: func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }}
	var gb float64
	var mb int64
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	flag.Float64Var(&gb, "gb", 20, "size of the log in units of 10^9 `bytes`")
	flag.IntVar(&o.Lanes, "lanes", 10_000, "topic-partitions")
	flag.IntVar(&o.Producers, "producers", 3, "idempotent producers that write to each topic")
	flag.StringVar(&o.dir, "dir", filepath.Join(cache, "streamdown", "size"), "`directory` for the log; removed at the end without -keep")
	flag.BoolVar(&o.keep, "keep", false, "leave the log for the next run")
	flag.DurationVar(&o.phase, "phase", 20*time.Second, "how long each phase is looked at")
	flag.DurationVar(&o.maxAck, "max-ack", 2*time.Second, "longest time from exec to the first ack")
	flag.Int64Var(&mb, "max-rss", 256, "most resident memory, in 10^6 `bytes`")
	flag.Parse()
	o.Bytes, o.maxRSS = int64(gb*1e9), mb*1e6
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	r, err := measure(ctx, o)
	stop()
	if r != nil {
		r.print(os.Stdout)
		if line, err := json.Marshal(r); err == nil {
			fmt.Println(string(line))
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "size:", err)
	}
	if err != nil || len(r.Wrong) > 0 {
		os.Exit(1)
	}
}
