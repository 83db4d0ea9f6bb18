//go:build real

package holes_test

import (
	"testing"
	"time"

	"github.com/streamdown/streamdown/api"
)

const hour = time.Hour

// Kafka forgets a producer by the time of its records. What it stored unheard of is found by a scan, and not stored again (H1).
func TestStateThatExpiredByRecordTimeIsReplacedByAScan(t *testing.T) {
	for _, life := range []struct {
		name string
		kill bool
	}{{"the gateway lives", false}, {"the gateway is killed", true}} {
		t.Run(life.name, func(t *testing.T) {
			k := startKafka(t, forgetful)
			s := k.begin(t, one(3), nil)
			s.send(30, 5*hour)
			s.drained()
			s.unheard(40, 5*hour)
			s.forgotten()
			before := s.status().Forward.Scans
			if life.kill {
				s.must(s.gateway.Kill())
			}
			s.heard()
			if life.kill {
				s.must(s.gateway.Restart(s.ctx))
				before = 0
			}
			s.send(40, 5*hour)
			if after := s.drained().Forward.Scans; after == before {
				t.Error("nobody scanned")
			}
			s.proved()
		})
	}
}

// A producer that was idle until Kafka had forgotten it goes on: nothing is taken for a duplicate, nothing overtakes (H2, H19).
func TestALaneThatIsIdleLongerThanKafkaRemembersGoesOn(t *testing.T) {
	k := startKafka(t, hasty)
	s := k.begin(t, one(3), nil)
	for range 3 {
		s.send(60, 0)
		s.drained()
		s.forgotten()
	}
	s.proved()
}

// After any restart Kafka knows only the last batch of a producer. Those before it are not sent again, although it says
// "out of order" to them (H3).
func TestAWindowThatShrankDoublesNothing(t *testing.T) {
	for _, how := range []string{"stopped", "killed"} {
		for _, gateway := range []string{"lives", "is killed"} {
			t.Run(how+", the gateway "+gateway, func(t *testing.T) {
				k := startKafka(t, plain)
				s := k.begin(t, one(1), nil)
				s.send(50, 0)
				s.drained() // warm: five may be in flight
				before := s.ends()
				s.unheard(50, 0)
				s.eventually("several batches are stored", func() bool { return s.ends() > before+20 }, func() string { return "" })
				b := k.Brokers[0]
				if gateway == "is killed" {
					s.must(s.gateway.Kill())
				}
				if how == "stopped" {
					s.must(b.Stop(s.ctx))
				} else {
					s.must(b.Kill())
				}
				s.heard()
				s.must(b.Restart(s.ctx))
				if gateway == "is killed" {
					s.must(s.gateway.Restart(s.ctx))
				}
				s.send(50, 0)
				s.drained()
				s.proved()
			})
		}
	}
}

// A frozen gateway wakes up beside one that has taken over a copy of its directory: both go on, all that either acked is
// there once and in order, and nobody writes under the other's name (H18, rule A2).
func TestAFrozenGatewayWakesUpBesideItsCopy(t *testing.T) {
	k := startKafka(t, plain)
	s := k.begin(t, one(3), nil)
	s.send(50, 0)
	s.drained()
	s.unheard(20, 0) // some at Kafka, none heard, all acked
	s.must(s.gateway.Pause())
	copied := s.copied()
	s.heard()
	two := s.startAt(copied)
	s.untilAt(two, "the copy has drained", func(st api.Status) bool { return st.Records.Backlog == 0 })
	s.to(two, 30, 0)
	s.must(s.gateway.Continue())
	s.send(30, 0)
	s.to(two, 30, 0)
	s.drained()
	s.untilAt(two, "the copy has drained", func(st api.Status) bool { return st.Records.Backlog == 0 })
	if rep := s.found(); rep.Failures() != 0 {
		t.Errorf("%s\n%v", rep, rep.Examples)
	}
	for _, d := range []struct {
		name string
		of   api.Status
	}{{"original", s.status()}, {"copy", s.statusOf(two)}} {
		for i := range d.of.Lanes {
			if l := &d.of.Lanes[i]; l.Stop != nil || l.Doubled > 0 {
				t.Errorf("%s: %+v", d.name, l)
			}
		}
	}
}
