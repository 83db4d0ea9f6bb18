package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamdown/streamdown/test/daemon"
	"github.com/streamdown/streamdown/test/process"
	"github.com/streamdown/streamdown/test/realkafka"
)

// kafkaProperties undo what realkafka makes small for tests: these are Kafka's own defaults.
var kafkaProperties = map[string]string{
	"log.segment.bytes":        "1073741824",
	"log.index.size.max.bytes": "10485760",
	"num.network.threads":      "3",
	"num.io.threads":           "8",

	// What a measurement left in the page cache must not be written to disk during the next one: topics are deleted at
	// once. The thread that does so waits for half a minute after the start of the broker by default.
	"log.segment.delete.delay.ms": "0",
	"log.initial.task.delay.ms":   "100",
}

// kafkaJVM lets the Java machine compile as it does in production, in a heap that fits beside everything else.
var kafkaJVM = []string{"-XX:TieredStopAtLevel=4", "-Xms512m", "-Xmx1g"}

// broker is what stands behind: Kafka, or one that stores nothing.
type broker struct {
	addr  string
	admin *kadm.Client
	usage func() (process.Usage, error)
	dirs  string // where the partitions' directories are; empty = it has none
	stop  func() error
}

// lab holds what lives through the whole run.
type lab struct {
	o        options
	self     string // this binary
	gateway  string // the streamdown binary
	dir      string // work directory of this run
	log      *slog.Logger
	kafka    *broker // nil when no path needs it
	embedded *broker
	topics   int // made so far
}

func newLab(ctx context.Context, o options, log *slog.Logger) (l *lab, err error) {
	l = &lab{o: o, log: log}
	if l.self, err = os.Executable(); err != nil {
		return nil, fmt.Errorf("find this binary, which runs itself as its children: %w", err)
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return nil, fmt.Errorf("work directory: %w; choose another with -dir", err)
	}
	if l.dir, err = os.MkdirTemp(o.dir, "run-"); err != nil {
		return nil, fmt.Errorf("work directory: %w; choose another with -dir", err)
	}
	if l.dir, err = filepath.Abs(l.dir); err != nil {
		return nil, fmt.Errorf("work directory: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	for _, p := range o.paths() {
		if p.Acks != "" && l.gateway == "" {
			if l.gateway, err = daemon.Build(ctx, l.dir); err != nil {
				return nil, err
			}
		}
		switch {
		case p.Embedded && l.embedded == nil:
			l.embedded, err = l.startEmbedded(ctx)
		case !p.Embedded && l.kafka == nil:
			l.kafka, err = l.startKafka(ctx)
		}
		if err != nil {
			return nil, err
		}
	}
	return l, nil
}

// close ends the brokers and removes what was made.
func (l *lab) close() error {
	var errs []error
	for _, b := range []*broker{l.kafka, l.embedded} {
		if b != nil {
			b.admin.Close()
			errs = append(errs, b.stop())
		}
	}
	return errors.Join(append(errs, os.RemoveAll(l.dir))...)
}

func (l *lab) broker(p *path) *broker {
	if p.Embedded {
		return l.embedded
	}
	return l.kafka
}

func admin(addr string) (*kadm.Client, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		return nil, err
	}
	return kadm.NewClient(cl), nil
}

func (l *lab) startKafka(ctx context.Context) (*broker, error) {
	dir := filepath.Join(l.dir, "kafka")
	k, err := realkafka.Start(ctx, realkafka.Options{Dir: dir, Properties: kafkaProperties, JVM: kafkaJVM, Log: l.log})
	if err != nil {
		return nil, fmt.Errorf("%w; paths without Kafka: -only embedded,embedded-wal,disk", err)
	}
	b := &broker{addr: k.Addr(), usage: k.Usage, dirs: filepath.Join(dir, "data"), stop: k.Kill}
	if b.admin, err = admin(b.addr); err != nil {
		return nil, errors.Join(err, k.Kill())
	}
	return b, nil
}

func (l *lab) startEmbedded(ctx context.Context) (*broker, error) {
	ports, err := process.Ports(1)
	if err != nil {
		return nil, fmt.Errorf("start the embedded broker: %w", err)
	}
	p, err := process.Start(process.Options{
		Path: l.self, Args: []string{roleEmbedded, "-port", fmt.Sprint(ports[0])}, Log: filepath.Join(l.dir, "embedded.log"),
	})
	if err != nil {
		return nil, fmt.Errorf("start the embedded broker: %w", err)
	}
	b := &broker{addr: fmt.Sprintf("127.0.0.1:%d", ports[0]), usage: p.Usage, stop: p.Kill}
	if b.admin, err = admin(b.addr); err != nil {
		return nil, errors.Join(err, p.Kill())
	}
	err = poll(ctx, 10*time.Second, func(ctx context.Context) error {
		_, err := b.admin.BrokerMetadata(ctx)
		return err
	})
	if err != nil {
		b.admin.Close()
		return nil, errors.Join(fmt.Errorf("start the embedded broker: %w\n%s", err, process.Tail(p.Log(), 10)), p.Kill())
	}
	return b, nil
}

// topic makes a new one and waits until the broker shows it.
func (l *lab) topic(ctx context.Context, b *broker) (string, error) {
	l.topics++
	name := fmt.Sprintf("bench-%d", l.topics)
	if _, err := b.admin.CreateTopic(ctx, l.o.partitions, 1, nil, name); err != nil {
		return "", fmt.Errorf("create topic %s: %w", name, err)
	}
	err := poll(ctx, 10*time.Second, func(ctx context.Context) error {
		ends, err := b.admin.ListEndOffsets(ctx, name)
		if err == nil {
			err = ends.Error()
		}
		if n := len(ends[name]); err == nil && n != int(l.o.partitions) {
			err = fmt.Errorf("%d of %d partitions", n, l.o.partitions)
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("create topic %s: %w", name, err)
	}
	return name, nil
}

// held is how many records the broker has of a topic.
func held(ctx context.Context, b *broker, topic string) (n int64, err error) {
	ends, err := b.admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("read the end of topic %s: %w", topic, err)
	}
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n, nil
}

// remove deletes a topic and waits until its files are gone, and with them what the kernel had yet to write of them.
func (l *lab) remove(ctx context.Context, b *broker, topic string) error {
	if _, err := b.admin.DeleteTopics(ctx, topic); err != nil {
		return fmt.Errorf("delete topic %s: %w", topic, err)
	}
	if b.dirs == "" {
		return nil
	}
	return poll(ctx, 20*time.Second, func(context.Context) error {
		names, err := os.ReadDir(b.dirs)
		if err != nil {
			return err
		}
		for _, n := range names {
			if strings.HasPrefix(n.Name(), topic+"-") || strings.HasPrefix(n.Name(), topic+".") {
				return fmt.Errorf("delete topic %s: %s is still there", topic, n.Name())
			}
		}
		return nil
	})
}

// poll calls f until it returns nil, for a bounded time, and returns its last error.
func poll(ctx context.Context, within time.Duration, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), last)
		}
	}
}
