//go:build real

package holes_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/streamdown/streamdown/test/realkafka"
)

// cut takes bytes off the end of a partition's log, as a loss of power does, while its broker is down.
func cut(s *scene, b *realkafka.Member, bytes int64) {
	s.Helper()
	logs, err := filepath.Glob(filepath.Join(b.Data(), s.topic+"-0", "*.log"))
	s.must(err)
	slices.Sort(logs)
	if len(logs) == 0 {
		s.Fatal("the partition has no log")
	}
	last := logs[len(logs)-1]
	info, err := os.Stat(last)
	s.must(err)
	if info.Size() < bytes {
		s.Fatalf("the log has %d bytes", info.Size())
	}
	s.must(os.Truncate(last, info.Size()-bytes))
}

// A broker loses the end of a log that it had acked. The loss is noticed, with records on their way and on an idle
// lane, and healed in order (H6, rule D4).
func TestATruncatedLogIsHealed(t *testing.T) {
	waitsFor(t, "healing (rule D4): a lane stops today when records that were confirmed are gone")
	for _, tt := range []struct {
		name          string
		before, after int // records sent while the broker is away; and later
		killed        bool
	}{
		{"idle", 0, 0, false},
		{"under load", 40, 40, false},
		{"the gateway is killed too", 40, 40, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := startKafka(t, plain)
			s := k.begin(t, one(1), nil)
			s.send(200, 0)
			s.drained()
			b := k.Brokers[0]
			s.must(b.Kill())
			cut(s, b, 5000) // some four batches
			if tt.before > 0 {
				s.send(tt.before, 0)
			}
			if tt.killed {
				s.restart()
			}
			s.must(b.Restart(s.ctx))
			if tt.after > 0 {
				s.send(tt.after, 0)
			}
			s.eventually("healed", func() bool { return s.ends() >= int64(200+tt.before+tt.after) }, func() string { //nolint:gosec // small
				st := s.status()
				return st.Target.BreakerWhy
			})
			s.drained()
			s.proved()
		})
	}
}

// Until it is healed, a loss that is noticed stops the lane, is named by status and by reconcile to the record, and
// nothing is sent behind the gap.
func TestATruncatedLogIsNoticedUnderLoad(t *testing.T) {
	if os.Getenv("HOLES") == "all" {
		t.Skip("it is healed instead")
	}
	k := startKafka(t, plain)
	s := k.begin(t, one(1), nil)
	s.send(200, 0)
	s.drained()
	b := k.Brokers[0]
	s.must(b.Kill())
	cut(s, b, 5000)
	s.send(40, 0)
	s.must(b.Restart(s.ctx))
	s.stopped("the target lost records that it had confirmed")
	end := s.ends()
	rep := s.reconcile()
	if n := rep.Total.Absent.Records; n != 200-end {
		t.Errorf("reconcile calls %d records absent; the topic ends at %d of 200", n, end)
	}
	if rep.Exit() != 4 {
		t.Errorf("exit code %d", rep.Exit())
	}
}

// A leader acks alone, dies, and a replica that slept follows it: what is lost is noticed and healed (H6, H7).
func TestAnUncleanElectionIsHealed(t *testing.T) {
	waitsFor(t, "healing (rule D4): a lane stops today when records that were confirmed are gone")
	for _, tt := range []struct {
		name string
		idle bool
	}{{"idle", true}, {"under load", false}} {
		t.Run(tt.name, func(t *testing.T) {
			k := startKafka(t, pair)
			s := k.begin(t, [][]int32{{1, 2}}, map[string]string{"min.insync.replicas": "1", "unclean.leader.election.enable": "true"})
			s.send(100, 0)
			s.drained()
			s.must(k.Broker(2).Pause())
			s.must(k.admin.Await(s.ctx, s.topic, func(ps []kadm.PartitionDetail) bool { return slices.Equal(ps[0].ISR, []int32{1}) }))
			s.send(50, 0)
			s.drained()
			s.must(k.Broker(1).Kill())
			s.must(k.Broker(2).Continue())
			s.must(k.admin.Await(s.ctx, s.topic, func(ps []kadm.PartitionDetail) bool { return ps[0].Leader == 2 }))
			if !tt.idle {
				s.send(50, 0)
			}
			s.must(k.Broker(1).Restart(s.ctx))
			want := int64(s.next[s.gateway][0]) //nolint:gosec // small
			s.eventually("healed", func() bool { return s.ends() >= want }, func() string { return s.status().Target.BreakerWhy })
			s.drained()
			s.proved()
		})
	}
}

// A topic on which an ack is worth little, or whose retention is shorter than the backlog is old, is warned about (H7, H16).
func TestWeakTopicsAreWarnedAbout(t *testing.T) {
	waitsFor(t, "a warning for min.insync.replicas=1 and for retention below the age of the backlog: nothing reads catalog.TopicConfig.MinInSync or Retention")
	k := startKafka(t, pair)
	s := k.begin(t, [][]int32{{1, 2}}, map[string]string{"min.insync.replicas": "1"})
	s.send(10, 0)
	s.drained()
	s.printed("min.insync.replicas")
}
