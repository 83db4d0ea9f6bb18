package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/test/daemon"
	"github.com/streamdown/streamdown/test/process"
)

const (
	clusterID = "size"
	brokers   = 3
	ackWithin = 2 * time.Minute
	askEach   = 2 * time.Second // a page that somebody looks at
	nearlyThe = 128 << 20       // log bytes: a lane so far behind the others is with them; 64 MiB are read ahead
)

// lab is one run.
type lab struct {
	o     options
	b     *built
	g     *gateway
	ports []int // of the target's brokers
	r     *report
}

// measure runs all phases. The report is nil only if there was no log to begin with.
func measure(ctx context.Context, o options) (r *report, err error) {
	if o.Lanes < 2*watched || o.Producers < 1 || o.Bytes < 1<<20 {
		return nil, fmt.Errorf("-lanes is at least %d, -producers 1, -gb 0.001", 2*watched)
	}
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return nil, err
	}
	o.say("building a log of %.2f GB in %s", float64(o.Bytes)/1e9, o.dir)
	log := filepath.Join(o.dir, "log")
	b, err := build(ctx, log, o.shape)
	if !o.keep {
		defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }()
	}
	if err != nil {
		return nil, err
	}
	r = &report{SchemaVersion: 1, shape: o.shape, Batches: b.Batches, Build: b.Elapsed, Warnings: map[string]int{}, Wrong: []string{}}
	run := filepath.Join(o.dir, "run")
	if err := os.RemoveAll(run); err != nil { // of a run that did not come to its end
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(run)) }()
	if err := lay(log, filepath.Join(run, "data")); err != nil {
		return nil, err
	}
	if r.Segments, r.StateBytes, err = segments(log); err != nil {
		return nil, err
	}
	o.say("building streamdown")
	binary, err := daemon.Build(ctx, run)
	if err != nil {
		return nil, err
	}
	ports, err := process.Ports(2 + brokers)
	if err != nil {
		return nil, err
	}
	l := &lab{o: o, b: b, r: r, ports: ports[2:], g: newGateway(binary, run, ports[0], ports[1], o.env)}
	err = l.run(ctx)
	if l.g.proc != nil {
		err = errors.Join(err, l.g.proc.Kill())
	}
	r.judge(&o)
	return r, err
}

// run is the order of the phases.
func (l *lab) run(ctx context.Context) error {
	if err := l.start(ctx, "start"); err != nil {
		return err
	}
	if err := l.look(ctx, "wait", l.pause); err != nil {
		return err
	}
	target, err := kfake.NewCluster(l.target()...)
	if err != nil {
		return fmt.Errorf("start the embedded broker: %w", err)
	}
	defer func() { target.Close() }()
	if err := l.look(ctx, "bind", l.bound); err != nil {
		return err
	}
	if err := l.look(ctx, "drain", l.pause); err != nil {
		return err
	}
	if err := l.look(ctx, "hold", l.hold); err != nil {
		return err
	}
	if err := l.look(ctx, "cursors", l.cursors); err != nil {
		return err
	}
	if err := l.g.proc.Kill(); err != nil {
		return err
	}
	l.warnings()
	target.Close()
	if err := l.start(ctx, "again"); err != nil {
		return err
	}
	l.warnings()
	return nil
}

func (l *lab) warnings() {
	for name, n := range l.g.warnings() {
		l.r.Warnings[name] += n
	}
}

// target is a cluster with the topics of the log.
func (l *lab) target() []kfake.Opt {
	opts := []kfake.Opt{kfake.NumBrokers(brokers), kfake.Ports(l.ports...), kfake.ClusterID(clusterID), kfake.BlackholeProduce()}
	for i := range topics(l.o.Lanes) {
		opts = append(opts, kfake.SeedTopics(int32(partitions(l.o.Lanes, i)), topicName(i))) //nolint:gosec // small
	}
	return opts
}

// start runs the gateway from a cold page cache and produces a record as soon as that is possible.
func (l *lab) start(ctx context.Context, name string) error {
	if err := chill(l.g.data()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, ackWithin)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(l.g.addr()), kgo.DefaultProduceTopic(topicName(0)),
		kgo.RetryBackoffFn(func(int) time.Duration { return 5 * time.Millisecond }), kgo.MetadataMinAge(10*time.Millisecond),
		kgo.UnknownTopicRetries(-1), kgo.RecordRetries(1<<30), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer cl.Close()
	began := time.Now()
	if err := l.g.start(fmt.Sprintf("127.0.0.1:%d", l.ports[0])); err != nil {
		return err
	}
	l.o.say("%s: waiting for the first ack", name)
	ended := make(chan struct{})
	go func() { // a gateway that ended acks nothing
		defer close(ended)
		select {
		case <-l.g.proc.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	defer func() { cancel(); <-ended }()
	if err := cl.ProduceSync(ctx, kgo.StringRecord("first")).FirstErr(); err != nil {
		return fmt.Errorf("%s: the first record was not acked: %w\n%s", name, err, process.Tail(l.g.output, 10))
	}
	ack := time.Since(began).Seconds()
	rss, peak, err := l.g.memory()
	if err != nil {
		return err
	}
	use, err := l.g.proc.Usage()
	if err != nil {
		return err
	}
	p := phase{Name: name, Seconds: ack, FirstAck: &ack, RSS: rss, Peak: peak, CPU: use.CPU.Seconds() / ack}
	if d := l.g.opened().Seconds(); d > 0 {
		p.Opened = &d
	}
	l.r.Phases = append(l.r.Phases, p)
	l.o.say("%s: first ack after %.2f s, %d MB", name, ack, peak/1e6)
	return nil
}

// look measures what the gateway uses while work goes on.
func (l *lab) look(ctx context.Context, name string, work func(ctx context.Context) error) error {
	before, err := l.g.status(ctx)
	if err != nil {
		return err
	}
	l.g.forget()
	used, err := l.g.proc.Usage()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := work(ctx); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, process.Tail(l.g.output, 10))
	}
	p := phase{Name: name, Seconds: time.Since(began).Seconds()}
	use, err := l.g.proc.Usage()
	if err != nil {
		return err
	}
	after, err := l.g.status(ctx)
	if err != nil {
		return err
	}
	if p.RSS, p.Peak, err = l.g.memory(); err != nil {
		return err
	}
	p.CPU = (use.CPU - used.CPU).Seconds() / p.Seconds
	if n := after.Records.Confirmed - before.Records.Confirmed; n > 0 {
		bytes := float64(n) / batchRecords * float64(l.b.Body)
		rate, cost := bytes/1e6/p.Seconds, (use.CPU-used.CPU).Seconds()/(bytes/1e9)
		p.MBs, p.CPUPerGB = &rate, &cost
	}
	l.r.Phases = append(l.r.Phases, p)
	l.o.say("%s: %.1f s, peak %d MB, %s MB/s", name, p.Seconds, p.Peak/1e6, known(p.MBs, "%.1f"))
	return nil
}

// poll asks for the status now and then, until done says so or the time is over.
func (l *lab) poll(ctx context.Context, each, most time.Duration, done func(s *api.Status) bool) error {
	end := time.NewTimer(most)
	defer end.Stop()
	tick := time.NewTicker(each)
	defer tick.Stop()
	for {
		s, err := l.g.status(ctx)
		if err != nil {
			return err
		}
		if done(s) {
			return nil
		}
		select {
		case <-tick.C:
		case <-end.C:
			return errLate
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var errLate = errors.New("it did not happen in time")

// pause looks on for the length of a phase, or until there is nothing left to do.
func (l *lab) pause(ctx context.Context) error {
	err := l.poll(ctx, askEach, l.o.phase, func(s *api.Status) bool { return s.Records.Backlog == 0 })
	if errors.Is(err, errLate) {
		return nil
	}
	return err
}

// bound waits until every lane has an identity at the target.
func (l *lab) bound(ctx context.Context) error {
	err := l.poll(ctx, time.Second, 5*time.Minute, func(s *api.Status) bool {
		return len(s.Lanes) >= l.o.Lanes && !slices.ContainsFunc(s.Lanes, func(l api.Lane) bool { return l.Confirmed == 0 })
	})
	if err != nil {
		return fmt.Errorf("wait until each lane has something confirmed: %w", err)
	}
	return nil
}

// hold stops some lanes, one after the other, so that each stands at another place.
func (l *lab) hold(ctx context.Context) error {
	for i := range watched {
		if err := l.g.hold(ctx, laneOf(i).String()); err != nil {
			return err
		}
		err := l.poll(ctx, askEach, l.o.phase/watched, func(*api.Status) bool { return false })
		if !errors.Is(err, errLate) {
			return err
		}
	}
	return nil
}

// cursors lets them go on, and waits until they are where the others are.
func (l *lab) cursors(ctx context.Context) error {
	began := time.Now()
	for i := range watched {
		if err := l.g.resume(ctx, laneOf(i).String()); err != nil {
			return err
		}
	}
	err := l.poll(ctx, 500*time.Millisecond, 5*time.Minute, func(s *api.Status) bool {
		all := l.place(s)
		for i := range watched {
			if at := l.placeOf(s, i); at+nearlyThe < all {
				return false
			}
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("wait until the resumed lanes are with the others: %w", err)
	}
	took := time.Since(began).Seconds()
	l.r.CaughtUp = &took
	return nil
}

// place is where the target is with the log, on average.
func (l *lab) place(s *api.Status) streamdown.LSN {
	confirmed := 0.0
	for i := range s.Lanes {
		confirmed += float64(s.Lanes[i].Confirmed)
	}
	done := min(confirmed/batchRecords/float64(l.b.Batches), 1)
	return l.b.First + streamdown.LSN(done*float64(l.b.End-l.b.First))
}

// placeOf is where it is with a watched lane.
func (l *lab) placeOf(s *api.Status, i int) streamdown.LSN {
	tp := laneOf(i)
	for j := range s.Lanes {
		if a := &s.Lanes[j]; a.Topic == tp.Topic && a.Partition == tp.Partition {
			if next := int(a.Confirmed / batchRecords); next < len(l.b.Places[i]) {
				return l.b.Places[i][next]
			}
		}
	}
	return l.b.End
}

// segments counts them, and reads the size of the state that the newest begins with from its header (wal, "Files").
func segments(dir string) (n int, state int64, err error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil || len(names) == 0 {
		return 0, 0, errors.Join(err, errors.New("the log has no segments"))
	}
	f, err := os.Open(slices.Max(names))
	if err != nil {
		return 0, 0, err
	}
	var size [4]byte
	_, err = f.ReadAt(size[:], 48)
	return len(names), int64(binary.LittleEndian.Uint32(size[:])), errors.Join(err, f.Close())
}
