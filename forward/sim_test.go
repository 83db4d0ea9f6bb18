package forward

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestSimulation plays the path with random faults and judges it by what producers, log and brokers really hold.
//
//	SIM_SEEDS=10000 go test -run TestSimulation ./forward     more seeds
//	SIM_SEED=17 go test -run TestSimulation -v ./forward      one seed, with its trace
func TestSimulation(t *testing.T) {
	if one := os.Getenv("SIM_SEED"); one != "" {
		seed, err := strconv.ParseUint(one, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		s := newSim(seed, noPlant, true)
		s.run()
		t.Logf("seed %d: %+v\n%s", seed, s.stats, s.out)
		if s.broken != "" {
			t.Error(s.broken)
		}
		return
	}
	seeds := uint64(simSeeds)
	if n := os.Getenv("SIM_SEEDS"); n != "" {
		var err error
		if seeds, err = strconv.ParseUint(n, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	sum, failures := playAll(seeds)
	t.Logf("%s in %v", sum, time.Since(began).Round(time.Millisecond))
	for _, f := range failures {
		t.Error(f)
	}
	if void := sum.void(); len(failures) == 0 && void != "" {
		t.Errorf("the run proves nothing: %s", void)
	}
}

// playAll plays seeds 1 to n, on all processors, and returns the sum and the first failures in the order of seeds.
// Each run is single-threaded.
func playAll(n uint64) (sum *simStats, failures []string) {
	sum = &simStats{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	workers := uint64(runtime.GOMAXPROCS(0))
	broken := map[uint64]string{}
	for w := range workers {
		wg.Go(func() {
			for seed := 1 + w; seed <= n; seed += workers {
				s := newSim(seed, noPlant, false)
				s.run()
				mu.Lock()
				sum.add(&s.stats)
				if s.broken != "" {
					broken[seed] = s.broken
				}
				stop := len(broken) >= 10
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	wg.Wait()
	for seed := uint64(1); seed <= n; seed++ {
		if why := broken[seed]; why != "" {
			failures = append(failures, fmt.Sprintf("seed %d breaks a promise: %s\n\treplay: SIM_SEED=%d go test -run 'TestSimulation$' -v ./forward", seed, why, seed))
		}
	}
	return sum, failures
}

// TestSameSeedSameTrace: nothing in a run depends on anything but its seed.
func TestSameSeedSameTrace(t *testing.T) {
	for seed := uint64(1); seed <= 25; seed++ {
		var runs [2]string
		for i := range runs {
			s := newSim(seed, noPlant, true)
			s.run()
			runs[i] = s.out.String()
		}
		if runs[0] != runs[1] {
			a, b := strings.Split(runs[0], "\n"), strings.Split(runs[1], "\n")
			for i := range a {
				if i >= len(b) || a[i] != b[i] {
					t.Fatalf("seed %d: line %d is\n%s\nthe second time\n%s", seed, i+1, a[i], b[min(i, len(b)-1)])
				}
			}
			t.Fatalf("seed %d: the second trace is longer", seed)
		}
		if len(runs[0]) < 1000 {
			t.Errorf("seed %d: a trace of %d bytes", seed, len(runs[0]))
		}
	}
}

// String tells what happened in all runs together.
func (a *simStats) String() string {
	return fmt.Sprintf("%d seeds: %d batches with %d records made, %d acks seen, %d refusals, %d client retries recognized, %d epoch bumps; "+
		"%d crashes of ours, %d books restored from a snapshot; %d brokers killed, %d leader changes, %d batches truncated, "+
		"%d requests of dead connections applied, %d duplicates answered, %d states expired, %d shrunk; %d connections lost, %d breaker openings, "+
		"%d silences, %d holds, %d time-outs, %d batches damaged; %d answers of doubt, %d asks, %d scans, %d bindings, %d lanes set aside, %d cursors; "+
		"%d acks waited for the target; %d records of others; "+
		"%d rollbacks, %d clones, %d batches lost with them, %d foreign batches in our name, %d log ids taken, %d foreign ranges reported; "+
		"%d batches ill, %d limits lowered, %d batches quarantined, %d lanes stopped after three, %d sent again, %d found, %d outcomes not known; longest drain %v",
		a.seeds, a.batches, a.records, a.acks, a.refusals, a.repeats, a.bumps, a.crashes, a.restores, a.kills, a.elections, a.truncated,
		a.zombies, a.duplicates, a.expired, a.shrunk, a.cuts, a.breakers, a.silences, a.holds, a.timeouts, a.damaged, a.doubts, a.asks, a.scans,
		a.binds, a.parked, a.cursors, a.remote, a.foreign,
		a.rollbacks, a.clones, a.lost, a.strangers, a.renewals, a.reported,
		a.ill, a.limits, a.quarantined, a.rows, a.late, a.found, a.unknown, a.drain.Round(time.Millisecond))
}

// void says which fault never happened in enough runs to expect it.
func (a *simStats) void() string {
	if a.seeds < 200 {
		return ""
	}
	for _, f := range []struct {
		what string
		n    int
	}{
		{"records", a.records}, {"acks", a.acks}, {"crashes", a.crashes}, {"restores from a snapshot", a.restores}, {"broker kills", a.kills},
		{"leader changes", a.elections}, {"truncations", a.truncated}, {"requests of dead connections", a.zombies}, {"duplicates", a.duplicates},
		{"expiries", a.expired}, {"shrunk states", a.shrunk}, {"lost connections", a.cuts}, {"breaker openings", a.breakers}, {"silences", a.silences},
		{"holds", a.holds}, {"time-outs", a.timeouts}, {"damage", a.damaged}, {"doubts", a.doubts}, {"asks", a.asks}, {"scans", a.scans},
		{"bindings", a.binds}, {"lanes set aside", a.parked}, {"cursors", a.cursors}, {"refusals", a.refusals}, {"client retries", a.repeats},
		{"waits for the target", a.remote}, {"epoch bumps of clients", a.bumps}, {"rollbacks", a.rollbacks}, {"clones", a.clones},
		{"batches lost with a rollback", a.lost}, {"foreign batches", a.strangers}, {"new log ids", a.renewals}, {"foreign ranges", a.reported},
		{"batches that brokers refuse", a.ill}, {"lowered limits", a.limits}, {"quarantined batches", a.quarantined}, {"three in a row", a.rows},
		{"batches sent again", a.late}, {"batches found when they were to be sent again", a.found}, {"retries of unknown outcome", a.unknown},
	} {
		if f.n == 0 {
			return "no " + f.what
		}
	}
	return ""
}
