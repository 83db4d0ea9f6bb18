package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/connect/kafka"
	"github.com/streamdown/streamdown/ledger"
	"github.com/streamdown/streamdown/reconcile"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// roleReconcile is the benchmark of reconcile, roleCompare its child: a process of its own, so that its memory is its own.
const (
	roleReconcile = "reconcile"
	roleCompare   = "reconcile-child"
)

// What the child does.
const (
	waysPlain    = "plain"    // reads the topic and does nothing with it
	waysLog      = "log"      // compares with the log alone
	waysLedger   = "ledger"   // compares with the ledger, the log being there
	waysReleased = "released" // compares with the ledger, the log having released the payload
)

// compared is what one run of the child measured.
type compared struct {
	Way      string  `json:"way"`
	Seconds  float64 `json:"seconds"`
	CPU      float64 `json:"cpu_seconds"` // of the process, which says something on a busy machine too
	TopicMB  float64 `json:"topic_mb"`    // of batches that were looked at
	ReadMB   float64 `json:"read_mb"`     // from files and sockets, with what was passed over or read again
	MaxRSSMB float64 `json:"max_rss_mb"`
	Verdict  string  `json:"verdict"`
	Batches  int64   `json:"batches"`
	Records  int64   `json:"records"`
}

type reconcileOptions struct {
	dir        string
	batches    int
	partitions int
	size       int
	rounds     int
}

func parseReconcileOptions(args []string, stderr io.Writer) (o reconcileOptions, err error) {
	f := flag.NewFlagSet("bench reconcile", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&o.batches, "batches", 1_000_000, "how many batches")
	f.IntVar(&o.partitions, "partitions", 50, "of how many partitions")
	f.IntVar(&o.size, "size", 1024, "bytes of the one record of each")
	f.IntVar(&o.rounds, "rounds", 3, "how often each way is measured, interleaved; the median is shown")
	f.StringVar(&o.dir, "dir", filepath.Join("bench", "work"), "`directory` on the disk to measure; what is made there is removed again")
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		return o, err
	} else if err != nil || f.NArg() > 0 || o.batches < o.partitions || o.partitions < 1 || o.size < 1 || o.rounds < 1 {
		return o, errUsage
	}
	return o, nil
}

func runReconcile(ctx context.Context, args []string) (err error) {
	o, err := parseReconcileOptions(args, os.Stderr)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "reconcile-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := stock(ctx, o, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	results := map[string][]compared{}
	measure := func(ways ...string) error {
		for range o.rounds {
			for _, way := range ways {
				c, err := s.measure(ctx, way)
				if err != nil {
					return err
				}
				results[way] = append(results[way], c)
			}
		}
		return nil
	}
	if err := measure(waysPlain, waysLog, waysLedger); err != nil {
		return err
	}
	if err := s.release(); err != nil {
		return err
	}
	if err := measure(waysReleased); err != nil {
		return err
	}
	printCompared(os.Stdout, &o, s, results)
	return nil
}

// measure runs the child.
func (s *stocked) measure(ctx context.Context, way string) (c compared, err error) {
	self, err := os.Executable()
	if err != nil {
		return c, err
	}
	cmd := exec.CommandContext(ctx, self, roleCompare, way, s.data, s.kafka.Addr(), strconv.Itoa(s.partitions))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return c, fmt.Errorf("%s: %w", way, err)
	}
	if err := json.Unmarshal(out, &c); err != nil {
		return c, fmt.Errorf("%s: %w", way, err)
	}
	want := "proved"
	if way == waysPlain {
		want = ""
	}
	if c.Verdict != want || c.Batches < int64(s.batches) {
		return c, fmt.Errorf("%s: %q, %d of %d batches", way, c.Verdict, c.Batches, s.batches)
	}
	return c, nil
}

// weighed counts what comes from Kafka.
type weighed struct {
	reconcile.Topic
	bytes, batches int64
}

func (w *weighed) Walk(ctx context.Context, tp streamdown.TopicPartition, id streamdown.ID, from, to streamdown.Offset, fn func(streamdown.Offset, []byte) error) error {
	return w.Topic.Walk(ctx, tp, id, from, to, func(base streamdown.Offset, raw []byte) error {
		w.bytes += int64(len(raw))
		w.batches++
		return fn(base, raw)
	})
}

// compareChild does one way and prints what it took.
func compareChild(ctx context.Context, args []string) error {
	if len(args) != 4 {
		return errUsage
	}
	way, data, addr := args[0], args[1], args[2]
	partitions, err := strconv.Atoi(args[3])
	if err != nil {
		return errUsage
	}
	client, err := kafka.New(kafka.Config{Bootstrap: []string{addr}, RequestTimeout: 2 * time.Minute})
	if err != nil {
		return err
	}
	defer client.Close()
	topic := &weighed{Topic: reconcile.NewKafkaTopics(client)}
	c := compared{Way: way}
	before, began := readSoFar(), time.Now()
	if way == waysPlain {
		for p := range partitions {
			tp := streamdown.TopicPartition{Topic: benchTopic, Partition: int32(p)} //nolint:gosec // a few
			pin, err := topic.Pin(ctx, tp)
			if err != nil {
				return err
			}
			if err := topic.Walk(ctx, tp, pin.Topic, pin.Start, pin.End, func(streamdown.Offset, []byte) error { return nil }); err != nil {
				return err
			}
		}
		c.Batches = topic.batches
	} else {
		log, err := wal.OpenReader(vfs.OS{}, data)
		if err != nil {
			return err
		}
		defer log.Close()
		cfg := reconcile.Config{Log: log, Topic: topic, Only: func(tp streamdown.TopicPartition) bool { return tp.Topic == benchTopic }}
		if way != waysLog {
			if cfg.Ledger, err = ledger.OpenReader(vfs.OS{}, filepath.Join(data, "ledger"), log.ID()); err != nil {
				return err
			}
		}
		rep, err := reconcile.Run(ctx, cfg)
		if err != nil {
			return err
		}
		c.Verdict, c.Batches, c.Records = rep.Verdict, rep.Total.Identical.Batches, rep.Total.Compared
	}
	c.Seconds = time.Since(began).Seconds()
	c.TopicMB = float64(topic.bytes) / 1e6
	c.ReadMB = float64(readSoFar()-before) / 1e6
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return err
	}
	c.CPU = time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
	c.MaxRSSMB = float64(peak()) / 1e6
	return json.NewEncoder(os.Stdout).Encode(&c)
}

// readSoFar is how many bytes this process has read, from files and sockets.
func readSoFar() int64 { return number("/proc/self/io", "rchar") }

// peak is the most memory that this process had, in bytes.
func peak() int64 { return number("/proc/self/status", "VmHWM") * 1024 }

func number(file, key string) int64 {
	text, _, _ := strings.Cut(field(file, key), " ")
	n, _ := strconv.ParseInt(text, 10, 64) // 0 = not known
	return n
}
