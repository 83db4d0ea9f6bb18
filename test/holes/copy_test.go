//go:build real

package holes_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/test/daemon"
	"github.com/streamdown/streamdown/test/realkafka"
)

// copied makes a copy of the gateway's data, where startAt looks for it.
func (s *scene) copied() string {
	s.Helper()
	dir := filepath.Join(s.kafka.dir, s.topic+"-copy")
	s.must(os.CopyFS(filepath.Join(dir, "data"), os.DirFS(filepath.Join(filepath.Dir(s.gateway.Config()), "data"))))
	return dir
}

// startAt runs a second gateway.
func (s *scene) startAt(dir string) *daemon.Daemon {
	s.Helper()
	d, err := daemon.Start(s.ctx, daemon.Options{Binary: binary, Dir: dir, Upstream: s.kafka.Bootstrap(), Log: s.kafka.log})
	s.must(err)
	s.Cleanup(func() { _ = d.Kill() })
	return d
}

// until2 waits for a state of another gateway.
func (s *scene) untilAt(d *daemon.Daemon, what string, ok func(api.Status) bool) {
	s.Helper()
	s.eventually(what, func() bool { return ok(s.statusOf(d)) }, func() string { return "" })
}

// known waits until the gateway shows producers the topic that there is: its id and its partitions.
func (s *scene) known() {
	s.Helper()
	through, err := realkafka.NewAdmin(s.gateway.Addr())
	s.must(err)
	defer through.Close()
	var want, got string
	s.eventually("the topic is known", func() bool {
		want, err = s.kafka.admin.Identity(s.ctx, s.topic)
		s.must(err)
		got, err = through.Identity(s.ctx, s.topic)
		return err == nil && got == want
	}, func() string { return got + ", want " + want })
}

// trimmed waits until nothing is left of the topic.
func (s *scene) trimmed() {
	s.Helper()
	var starts, ends []int64
	s.eventually("the topic is empty", func() bool {
		var err error
		ends, err = s.kafka.admin.Ends(s.ctx, s.topic)
		s.must(err)
		starts, err = s.kafka.admin.Starts(s.ctx, s.topic)
		s.must(err)
		return slices.Equal(starts, ends)
	}, func() string { return fmt.Sprintf("it goes from %v to %v", starts, ends) })
}

// resume tells the gateway to try again.
func (s *scene) resume() {
	s.Helper()
	if out, err := exec.CommandContext(s.ctx, binary, "resume", "-c", s.gateway.Config(), s.topic).CombinedOutput(); err != nil { //nolint:gosec // ours
		s.Fatalf("resume: %v\n%s", err, out)
	}
}

// try sends one record of the age and size to partition 0 and says what came of it.
func (s *scene) try(age time.Duration, size int) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.gateway.Addr()), kgo.DefaultProduceTopic(s.topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	s.must(err)
	defer cl.Close()
	return cl.ProduceSync(s.ctx, &kgo.Record{Timestamp: time.Now().Add(-age), Value: make([]byte, size)}).FirstErr()
}

// printed wants a word in what the gateway printed.
func (s *scene) printed(word string) {
	s.Helper()
	out, err := os.ReadFile(s.gateway.Output())
	s.must(err)
	if !strings.Contains(string(out), word) {
		s.Errorf("the gateway does not print %q", word)
	}
}
