//go:build real

package holes_test

import (
	"testing"
)

// Another cluster answers at the same address: nothing is sent there (H10, rule D6).
func TestAnExchangedClusterStopsItsLanes(t *testing.T) {
	k := startKafka(t, plain)
	s := k.begin(t, one(2), nil)
	s.send(50, 0)
	s.drained()
	s.must(k.Exchange(s.ctx))
	s.must(k.admin.Create(s.ctx, s.topic, one(2), nil))
	s.send(20, 0)
	s.stopped("the lane was bound to cluster")
	if n := s.ends(); n != 0 {
		t.Errorf("%d records are in the other cluster", n)
	}
	rep := s.reconcile()
	if rep.Exit() == 0 || rep.Total.Absent.Records > 0 {
		t.Errorf("reconcile: exit code %d, %d absent", rep.Exit(), rep.Total.Absent.Records)
	}
	s.restart()
	s.anew()
	s.send(20, 0)
	s.stopped("the lane was bound to cluster")
	if n := s.ends(); n != 0 {
		t.Errorf("%d records are in the other cluster after a restart", n)
	}
}
