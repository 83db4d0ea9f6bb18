//go:build real

package handover_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamdown/streamdown/check"
	"github.com/streamdown/streamdown/test/daemon"
	"github.com/streamdown/streamdown/test/handover"
	"github.com/streamdown/streamdown/test/load"
	"github.com/streamdown/streamdown/test/process"
	"github.com/streamdown/streamdown/test/reader"
	"github.com/streamdown/streamdown/test/realkafka"
)

const (
	partitions = 2
	patience   = 2 * time.Minute
)

// upgrades is how often the process is exchanged; UPGRADES says otherwise.
func upgrades(t *testing.T) int {
	n := 5
	if s := os.Getenv("UPGRADES"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// lane is one client's load.
type lane struct {
	name    string
	checker *check.Checker
	journal *counting
	reader  *reader.Reader
	run     func(ctx context.Context, stop <-chan struct{}) (load.Result, error)
	result  load.Result
	err     error
}

// counting lets a test wait for acks.
type counting struct {
	*check.Checker
	mu    sync.Mutex // guards the following
	acked int
	moved chan struct{}
}

func (c *counting) Acked(s check.Stream, seq uint64) {
	c.Checker.Acked(s, seq)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acked++
	close(c.moved)
	c.moved = make(chan struct{})
}

// more waits for so many further acks.
func (c *counting) more(ctx context.Context, n int) error {
	c.mu.Lock()
	until := c.acked + n
	for c.acked < until {
		moved := c.moved
		c.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
		c.mu.Lock()
	}
	c.mu.Unlock()
	return nil
}

// knows waits until the gateway shows a leader for every topic.
func knows(ctx context.Context, addr string, topics []string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		return err
	}
	defer cl.Close()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		m, err := kadm.NewClient(cl).Metadata(ctx, topics...)
		if err == nil && m.Topics.Error() == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err, m.Topics.Error())
		case <-tick.C:
		}
	}
}

func TestUpgradesCostDefaultClientsNothing(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	dir := t.TempDir()
	kafka, err := realkafka.Start(ctx, realkafka.Options{Dir: filepath.Join(dir, "kafka")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kafka.Kill() })
	binary, err := daemon.Build(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	sarama, err := handover.BuildSarama(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"sarama-default", "sarama-idempotent", "franz-idempotent", "franz-plain", "java-idempotent"}
	for _, name := range names {
		if err := kafka.CreateTopic(ctx, name, partitions, nil); err != nil {
			t.Fatal(err)
		}
	}
	g, err := handover.Start(ctx, binary, dir, kafka.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Kill() })
	// What is tried is the upgrade. A topic that streamdown has just heard of is another matter, and default Sarama
	// does not wait for one either.
	if err := knows(ctx, g.Addr, names); err != nil {
		t.Fatal(err)
	}

	var lanes []*lane
	add := func(name string, ordered bool, run func(l *lane, producer uint32) func(context.Context, <-chan struct{}) (load.Result, error)) {
		producer := uint32(100 * len(lanes))
		c := check.New(check.Config{MinAcked: 500, MinShare: 1})
		if !ordered {
			for p := range uint32(partitions) {
				c.Expect(check.Stream{Producer: producer + p, Incarnation: 1}, check.Unordered)
			}
		}
		l := &lane{name: name, checker: c, journal: &counting{Checker: c, moved: make(chan struct{})}}
		if l.reader, err = reader.Open(kafka.Addr(), name, partitions, c); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.reader.Close)
		l.run = run(l, producer)
		lanes = append(lanes, l)
	}
	withSarama := func(args ...string) func(*lane, uint32) func(context.Context, <-chan struct{}) (load.Result, error) {
		return func(l *lane, producer uint32) func(context.Context, <-chan struct{}) (load.Result, error) {
			return handover.Sarama{
				Binary: sarama, Log: filepath.Join(dir, l.name+".log"), Bootstrap: g.Addr, Topic: l.name, Partitions: partitions,
				Producer: producer, Every: 5 * time.Millisecond, Journal: l.journal, Args: args,
			}.Run
		}
	}
	with := func(client load.Client, idempotent bool) func(*lane, uint32) func(context.Context, <-chan struct{}) (load.Result, error) {
		return func(l *lane, producer uint32) func(context.Context, <-chan struct{}) (load.Result, error) {
			return func(ctx context.Context, stop <-chan struct{}) (load.Result, error) {
				return load.Run(ctx, load.Spec{
					Client: client, Bootstrap: g.Addr, Topic: l.name, Partitions: partitions, Producer: producer, Incarnation: 1,
					Idempotent: idempotent, Rate: 400, Stop: stop, Dir: filepath.Join(dir, l.name), Classpath: kafka.Classpath(), Journal: l.journal,
				})
			}
		}
	}
	add("sarama-default", false, withSarama())
	add("sarama-idempotent", true, withSarama("-idempotent"))
	add("franz-idempotent", true, with(load.Franz, true))
	add("franz-plain", false, with(load.Franz, false))
	add("java-idempotent", true, with(load.Java, true))

	stop := make(chan struct{})
	var sending sync.WaitGroup
	for _, l := range lanes {
		sending.Go(func() {
			if l.result, l.err = l.run(ctx, stop); l.err != nil {
				cancel()
			}
		})
	}
	n := upgrades(t)
	var longest time.Duration
	failed := func() error {
		for i := range n {
			for _, l := range lanes {
				if err := l.journal.more(ctx, 100); err != nil {
					return fmt.Errorf("%s gets no acks before upgrade %d: %w", l.name, i, err)
				}
			}
			began := time.Now()
			if err := g.Upgrade(ctx); err != nil {
				return fmt.Errorf("upgrade %d: %w", i, err)
			}
			longest = max(longest, time.Since(began))
		}
		for _, l := range lanes {
			if err := l.journal.more(ctx, 100); err != nil {
				return fmt.Errorf("%s gets no acks after the last upgrade: %w", l.name, err)
			}
		}
		return nil
	}()
	close(stop)
	sending.Wait()
	for _, l := range lanes {
		failed = errors.Join(failed, l.err)
	}
	if failed != nil {
		t.Fatal(failed)
	}
	for _, l := range lanes {
		if err := l.reader.Await(ctx, func() bool { return l.checker.Unseen() == 0 }); err != nil {
			t.Errorf("%s: %d acked records do not arrive: %v", l.name, l.checker.Unseen(), err)
		}
	}
	if err := g.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	for _, l := range lanes {
		if err := l.reader.CatchUp(ctx); err != nil {
			t.Error(err)
		}
		report := l.checker.Final()
		t.Logf("%s: sent %d, acked %d, given up %d, retried %d, silent for %v at most: %v", l.name, l.result.Sent, l.result.Acked,
			l.result.Failed, l.result.Retried, l.result.Silence.Round(time.Millisecond), report)
		if report.Exit() != check.ExitOK {
			t.Errorf("%s: %+v", l.name, report)
		}
		if l.result.Failed > 0 || l.result.Acked != l.result.Sent {
			t.Errorf("%s: the client gave up on %d of %d records, first: %s", l.name, l.result.Failed, l.result.Sent, l.result.FirstFailure)
		}
	}
	if testing.Verbose() {
		t.Logf("the last of its log:\n%s", process.Tail(g.Log, 30))
	}
	t.Logf("%d upgrades, from the signal to the new process %v at most", n, longest.Round(time.Millisecond))
}
