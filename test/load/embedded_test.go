package load_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/streamdown/streamdown/check"
	"github.com/streamdown/streamdown/test/load"
	"github.com/streamdown/streamdown/test/reader"
)

// The broker here is embedded (kfake); real_test.go has the real one and the other clients.
func embedded(t *testing.T) string {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, "t"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.ListenAddrs()[0]
}

const partitions = 2

func TestEveryRecordIsDeclaredBeforeItIsSent(t *testing.T) {
	addr := embedded(t)
	checker := check.New(check.Config{MinAcked: 2000, MinShare: 1})
	r, err := reader.Open(addr, "t", partitions, checker)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	result, err := load.Run(t.Context(), load.Spec{
		Client: load.Franz, Bootstrap: addr, Topic: "t", Partitions: partitions, Idempotent: true,
		Records: 1000, Dir: t.TempDir(), Journal: checker,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A record that was read before it was declared would be a phantom.
	if report := checker.Final(); report.Exit() != check.ExitOK || result.Sent != 2000 || result.Acked != 2000 {
		t.Errorf("%+v\n%v", result, report)
	}
}

func TestStopWaitsForTheLastAck(t *testing.T) {
	stop := make(chan struct{})
	checker := check.New(check.Config{})
	close(stop)
	result, err := load.Run(t.Context(), load.Spec{
		Client: load.Franz, Bootstrap: embedded(t), Topic: "t", Partitions: partitions,
		Stop: stop, Dir: t.TempDir(), Journal: checker,
	})
	if err != nil || result.Sent == 0 || result.Acked != result.Sent {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := load.Run(ctx, load.Spec{
		Client: load.Franz, Bootstrap: embedded(t), Topic: "t", Partitions: partitions,
		Stop: make(chan struct{}), Dir: t.TempDir(), Journal: check.New(check.Config{}),
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

func TestSpecsThatProveNothingAreRefused(t *testing.T) {
	whole := load.Spec{
		Client: load.Franz, Bootstrap: "127.0.0.1:1", Topic: "t", Partitions: 1, Records: 1,
		Dir: t.TempDir(), Journal: check.New(check.Config{}),
	}
	for _, c := range []struct {
		name string
		mar  func(*load.Spec)
		want string
	}{
		{"no topic", func(s *load.Spec) { s.Topic = "" }, "required"},
		{"no end", func(s *load.Spec) { s.Records = 0 }, "never end"},
		{"tiny records", func(s *load.Spec) { s.Size = 10 }, "at least"},
		{"idempotent with acks=1", func(s *load.Spec) { s.Idempotent, s.Acks = true, "1" }, "idempotence"},
		{"unknown client", func(s *load.Spec) { s.Client = "telnet" }, "no client"},
		{"unknown codec", func(s *load.Spec) { s.Compression = "zip" }, "no compression"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := whole
			c.mar(&s)
			if _, err := load.Run(t.Context(), s); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}
