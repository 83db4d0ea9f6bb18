// Command storm shows the promise on a real Kafka of three brokers in bad weather: faults drawn from a seed, for as long as
// one says, under idempotent producers that send through one streamdown; then every partition is read straight from
// Kafka, and what is found is compared with what `streamdown reconcile` says.
//
//	go run ./test/storm -duration 1h [-seed N] [-rate 6000] [-unclean] [-dir DIR]
//
// The faults: kill -9 and pauses of brokers and of streamdown, all brokers at once, connections that are reset, refused,
// or stand and carry nothing (both ways, or answers alone), leaders that move, restarts one after the other; with
// -unclean, elections of a leader that slept while another one acked, on a topic with min.insync.replicas=1.
//
// Two kinds of topics: steady has three replicas of which two must be in sync, and nothing may be lost, doubled or out of
// order there. frail has two of which one is enough; what Kafka loses there must be healed, or be reported, record by record.
// In frail each partition has one producer, so the sequence of a record is its ordinal in the log and both sides
// can be compared range by range.
//
// The last line of the output is one JSON object, see result. The exit code is 0 when nothing is lost, doubled or out
// of order but what reconcile reports, and reconcile reports nothing else.
//
// Stability: may change.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"time"
)

func main() {
	o := options{}
	flag.DurationVar(&o.duration, "duration", time.Minute, "how long there are faults")
	flag.Uint64Var(&o.seed, "seed", rand.Uint64(), "seed of the faults; by default drawn")
	flag.IntVar(&o.rate, "rate", 6000, "records per second, all topics together")
	flag.BoolVar(&o.unclean, "unclean", false, "elect unclean leaders of the topic frail")
	flag.StringVar(&o.dir, "dir", "", "`DIR` for data and logs; the default is a temporary one, removed after success")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	o.log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	r, err := storm(ctx, o)
	line, jsonErr := json.Marshal(r)
	if jsonErr != nil {
		panic(jsonErr) // plain numbers and strings
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "storm:", err)
	}
	fmt.Println(string(line))
	if err != nil || !r.proved() {
		os.Exit(1)
	}
}
