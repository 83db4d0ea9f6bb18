package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/streamdown/streamdown/test/realkafka"
)

// bench measures everything that was asked for. The report is nil only if nothing could be begun.
func bench(ctx context.Context, o options, progress io.Writer) (rep *report, err error) {
	began := time.Now()
	say := func(format string, args ...any) {
		fmt.Fprintf(progress, "%5.1fs  "+format+"\n", append([]any{time.Since(began).Seconds()}, args...)...)
	}
	before := loadNow()
	say("building streamdown, starting the brokers")
	l, err := newLab(ctx, o, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	rep = newReport(&o, l, before)
	defer rep.finish(began)
	if err := l.warmUp(ctx, say); err != nil {
		return rep, err
	}
	var longest time.Duration
	for round := range o.rounds {
		at := time.Now()
		if round > 0 && time.Since(began)+longest > o.limit {
			say("no further round: it would end after -limit %v", o.limit)
			break
		}
		if o.wants(diskName) {
			for _, size := range diskSizes {
				d, err := runDisk(l.dir, size, o.diskWindow())
				if err != nil {
					return rep, err
				}
				rep.addDisk(d)
			}
		}
		for _, c := range rotated(o.cells(), round) {
			m, err := l.measure(ctx, c, "")
			if ctx.Err() != nil {
				return rep, context.Cause(ctx)
			}
			if err != nil {
				m = &measured{Failed: err.Error()}
				say("round %d  %-6s %6d B  %-28s FAILED: %v", round+1, c.mode, c.size, c.path.Title, err)
			} else {
				say("round %d  %-6s %6d B  %-28s %9.0f records/s  %7.1f MB/s  ack p50 %s", round+1, c.mode, c.size,
					c.path.Title, m.RecordsPerSecond, m.MBs, millis(m.AckP50))
			}
			m.Round = round + 1
			rep.add(c, *m)
		}
		rep.Rounds++
		longest = max(longest, time.Since(at))
	}
	if o.profiles {
		if err := l.profile(ctx, rep, say); err != nil {
			return rep, err
		}
	}
	return rep, nil
}

// warmKafka is how long Kafka is made to work before anything counts; small records are the most work.
const warmKafka = 4 * time.Second

// warmUp lets the Java machine compile what will be measured. What it shows counts for nothing.
func (l *lab) warmUp(ctx context.Context, say func(string, ...any)) error {
	if l.kafka == nil {
		return nil
	}
	say("warming up Kafka %s", realkafka.Version())
	topic, err := l.topic(ctx, l.kafka)
	if err != nil {
		return err
	}
	_, err = produce(ctx, offer{
		addr: l.kafka.addr, topic: topic, partitions: l.o.partitions, size: slices.Min(l.o.sizes), batch: l.o.batch, linger: 0, window: warmKafka,
	})
	if err != nil {
		return fmt.Errorf("warm up: %w", err)
	}
	return l.remove(ctx, l.kafka, topic)
}

// profiled is what is run under the profiler: full speed, where bytes cost, and the fixed load of small batches, where
// batches and requests do. One record size is enough unless the profiles are kept.
func profiled(p path, o *options) (cells []cell) {
	for _, m := range o.modes {
		switch sizes := o.sizes; {
		case m == modePaced:
			cells = append(cells, cell{p, m, o.pacedSize})
		case o.profile == "":
			cells = append(cells, cell{p, m, sizes[len(sizes)/2]})
		default:
			for _, size := range sizes {
				cells = append(cells, cell{p, m, size})
			}
		}
	}
	return cells
}

// profile runs the gateway once more, under the profiler.
func (l *lab) profile(ctx context.Context, rep *report, say func(string, ...any)) error {
	var p *path
	for _, q := range l.o.paths() {
		if q.Acks != "" {
			p = &q
			break
		}
	}
	if p == nil {
		return nil
	}
	dir := l.o.profile
	if dir == "" {
		dir = filepath.Join(l.dir, "profiles")
	}
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	for _, c := range profiled(*p, &l.o) {
		say("profiling the gateway, %s, records of %d B", c.mode, c.size)
		file := filepath.Join(dir, fmt.Sprintf("gateway-%s-%s-%d.cpu", p.Name, c.mode, c.size))
		m, err := l.measure(ctx, c, file)
		if err != nil {
			return fmt.Errorf("profile: %w", err)
		}
		costs, err := readProfile(ctx, file)
		if err != nil {
			rep.Warnings = append(rep.Warnings, err.Error())
			continue
		}
		costs.Path, costs.Mode, costs.RecordBytes, costs.MBs = p.Name, c.mode, c.size, m.MBs
		rep.Profiles = append(rep.Profiles, *costs)
	}
	return nil
}
