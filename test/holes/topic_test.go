//go:build real

package holes_test

import (
	"testing"
	"time"

	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/check"
	"github.com/streamdown/streamdown/reconcile"
)

// A topic that was deleted and made again is another one: nothing is sent there before a person said so, nothing is
// lost, and reconcile says why it cannot compare (H8, rule D6).
func TestATopicMadeAnewStopsItsLanes(t *testing.T) {
	k := startKafka(t, plain)
	s := k.begin(t, one(2), nil)
	s.send(50, 0)
	s.drained()
	s.must(k.admin.Delete(s.ctx, s.topic))
	s.must(k.admin.Create(s.ctx, s.topic, one(2), nil))
	s.known()
	s.anew()
	s.send(20, 0)
	s.stopped("was deleted and created again")
	if n := s.ends(); n != 0 {
		t.Errorf("%d records are in the new topic", n)
	}
	var rep *reconcile.Report
	s.eventually("the log knows what was confirmed", func() bool { // it is written down a moment later than it is known
		rep = s.reconcile()
		return rep.Total.NotComparable.Records == 100
	}, func() string { return rep.String() })
	if rep.Exit() == 0 || rep.Total.Absent.Records > 0 {
		t.Errorf("reconcile: exit code %d", rep.Exit())
	}
	for _, r := range rep.Worst {
		if r.Verdict == reconcile.NotComparable && r.Reason != reconcile.OtherTopic {
			t.Errorf("%+v", r)
		}
	}
	s.restart() // it knows after a restart too
	s.stopped("was deleted and created again")
	if n := s.ends(); n != 0 {
		t.Errorf("%d records are in the new topic after a restart", n)
	}
}

// The same is noticed when nothing is to be sent: what was confirmed is gone (H8, rules C7, D4 and D6).
func TestATopicMadeAnewIsNoticedByAnIdleLane(t *testing.T) {
	waitsFor(t, "a look at idle lanes: forward.Core.advance returns before moved when a lane has nothing queued")
	k := startKafka(t, plain)
	s := k.begin(t, one(2), nil)
	s.send(50, 0)
	s.drained()
	s.must(k.admin.Delete(s.ctx, s.topic))
	s.must(k.admin.Create(s.ctx, s.topic, one(2), nil))
	s.stopped("was deleted and created again")
}

// Partitions are added: what is in the log stays in the partition that its producer chose, and the new ones are used (H9).
func TestPartitionsThatAreAddedKeepEachRecordInItsPlace(t *testing.T) {
	k := startKafka(t, plain)
	s := k.begin(t, one(2), nil)
	s.send(50, 0)
	s.unheard(50, 0)
	s.must(k.admin.Grow(s.ctx, s.topic, 5))
	s.heard()
	s.known()
	s.parts = 5
	s.anew()
	s.send(50, 0)
	s.drained()
	s.proved()
}

// What Kafka writes differently is the same all the same: it is found again after a crash, not sent again, and reconcile says
// what became of it (H14).
func TestWhatKafkaRewritesIsRecognized(t *testing.T) {
	for _, tt := range []struct {
		name    string
		config  map[string]string
		verdict reconcile.Verdict
	}{
		{"as it came", nil, reconcile.Identical},
		{"log append time", map[string]string{"message.timestamp.type": "LogAppendTime"}, reconcile.Identical},
		{"gzip", map[string]string{"compression.type": "gzip"}, reconcile.Rewritten},
		{"zstd", map[string]string{"compression.type": "zstd"}, reconcile.Rewritten},
		{"zstd, log append time", map[string]string{"compression.type": "zstd", "message.timestamp.type": "LogAppendTime"}, reconcile.Rewritten},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := startKafka(t, plain)
			s := k.begin(t, one(2), tt.config)
			s.send(50, 0)
			s.drained()
			s.unheard(50, 0)
			s.must(s.gateway.Kill())
			s.heard()
			s.must(s.gateway.Restart(s.ctx))
			s.send(50, 0)
			s.drained()
			rep := s.proved()
			if n := rep.Total.Of(tt.verdict).Records; n != 300 {
				t.Errorf("%d records are %s, want all 300", n, tt.verdict)
			}
		})
	}
}

// Somebody deletes records during the outage: those that Kafka is known to have had are not sent again, and are called "not
// comparable", never lost (H15, rule D3).
func TestRecordsDeletedInTheOutageAreNotSentAgain(t *testing.T) {
	k := startKafka(t, plain)
	s := k.begin(t, one(1), nil)
	s.send(100, 0)
	s.drained()
	s.unheard(50, 0)
	s.eventually("several batches are stored", func() bool { return s.ends() > 120 }, func() string { return "" })
	end := s.ends()
	s.must(k.admin.Trim(s.ctx, s.topic, 0, end))
	s.must(s.gateway.Kill())
	s.heard()
	s.must(s.gateway.Restart(s.ctx))
	s.send(50, 0)
	s.drained()
	if n := s.ends(); n != 200 {
		t.Errorf("the topic ends at %d, want the 200 that were acked", n)
	}
	s.must(s.gateway.Stop(s.ctx)) // what is confirmed is written down a moment later than it is known, or now
	rep := s.reconcile()
	if rep.Exit() != 0 || rep.Total.NotComparable.Records != end || rep.Total.Absent.Records > 0 {
		t.Errorf("reconcile: exit code %d, %d not comparable, want %d", rep.Exit(), rep.Total.NotComparable.Records, end)
	}
}

// The same when Kafka has forgotten the producer too: nobody can say what was stored. The lane stops and asks; a person who says
// "again" gets them again (H15, rules D3 and E).
func TestRecordsDeletedByAKafkaThatForgotStopTheLane(t *testing.T) {
	k := startKafka(t, forgetful)
	s := k.begin(t, one(1), nil)
	s.send(100, 5*hour)
	s.drained()
	s.unheard(50, 5*hour)
	end := s.ends()
	s.forgotten()
	s.must(k.admin.Trim(s.ctx, s.topic, 0, end))
	s.must(s.gateway.Kill())
	s.heard()
	s.must(s.gateway.Restart(s.ctx))
	s.stopped("cannot be proved")
	if n := s.ends(); n != end {
		t.Errorf("%d records were sent meanwhile", n-end)
	}
	s.resume()
	s.drained()
	if n := s.ends(); n != end+50 {
		t.Errorf("the topic ends at %d, want %d: all that was in doubt again", n, end+50)
	}
}

// The backlog is older than what the topic keeps: Kafka deletes it as soon as it has it. None of it is sent twice for that, and
// reconcile calls it "not comparable", never lost (H16).
func TestABacklogOlderThanRetentionIsNotSentAgain(t *testing.T) {
	k := startKafka(t, plain)
	s := k.begin(t, one(1), map[string]string{"retention.ms": "3600000"})
	s.send(50, 5*hour)
	s.drained()
	s.unheard(50, 5*hour)
	s.must(s.gateway.Kill())
	s.trimmed()
	s.heard()
	s.must(s.gateway.Restart(s.ctx))
	s.send(50, 5*hour)
	s.drained()
	if n := s.ends(); n != 150 {
		t.Errorf("the topic ends at %d, want the 150 that were acked", n)
	}
	s.trimmed()
	s.must(s.gateway.Stop(s.ctx)) // what is confirmed is written down a moment later than it is known, or now
	rep := s.reconcile()
	if rep.Total.NotComparable.Records != 150 || rep.Total.Unexplained.Records > 0 || rep.Exit() != 6 {
		t.Errorf("reconcile: exit code %d", rep.Exit())
	}
}

// Limits are lowered during the outage below what was acked: the lane stops and says which; when they are put back, all of it
// arrives in order (H16, H17, rule D5).
func TestLimitsLoweredInTheOutageStopTheLane(t *testing.T) {
	for _, tt := range []struct {
		name, key, lower, back string
		code                   int16
		age                    time.Duration
	}{
		{"time", "message.timestamp.before.max.ms", "3600000", "9223372036854775807", 32, 5 * hour},
		{"size", "max.message.bytes", "300", "1048588", 10, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := startKafka(t, plain)
			s := k.begin(t, one(1), nil)
			s.send(30, tt.age)
			s.drained()
			before := s.ends()
			k.Brokers[0].Door.Refuse()
			s.send(60, tt.age)
			s.must(k.admin.Alter(s.ctx, s.topic, map[string]string{tt.key: tt.lower}))
			s.must(k.Brokers[0].Door.Open())
			st := s.until("stopped", func(st api.Status) bool { return st.Lanes[0].Stop != nil && st.Lanes[0].Stop.Code == tt.code })
			t.Log(st.Lanes[0].Stop.Reason)
			if n := s.ends(); n != before {
				t.Errorf("%d records passed", n-before)
			}
			s.must(k.admin.Alter(s.ctx, s.topic, map[string]string{tt.key: tt.back}))
			s.resume()
			s.drained()
			s.proved()
		})
	}
}

// What a topic would refuse is refused before the ack (H16, rule B3).
func TestWhatKafkaWouldRefuseIsRefusedBeforeTheAck(t *testing.T) {
	k := startKafka(t, plain)
	s := k.begin(t, one(1), map[string]string{"message.timestamp.before.max.ms": "3600000", "max.message.bytes": "5000"})
	s.send(10, 0)
	for name, refused := range map[string]func() error{
		"too old":   func() error { return s.try(5*hour, 100) },
		"too large": func() error { return s.try(0, 9000) },
	} {
		if err := refused(); err == nil {
			t.Errorf("%s: acked", name)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
	s.send(10, 0)
	s.drained()
	if rep := s.found(); rep.Exit() != check.ExitOK || rep.Read != 20 {
		t.Errorf("%s", rep)
	}
}
