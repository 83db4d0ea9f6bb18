package wal_test

import (
	"flag"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

var (
	simCrashes = flag.Int("crashes", 0, "crashes that the simulation makes; 0 = a short run")
	simSeed    = flag.Uint64("crashseed", 1, "seed of its first run; each run has the next one")
	simTrace   = flag.Bool("crashtrace", false, "tell what happens")
)

// TestAckedSurvivesEveryCrash crashes logs at random moments in random ways and checks the promises I1 to I9: what was
// acknowledged is there, byte by byte and in order; nothing that was never appended, or that a crash took, is there;
// recoveries agree; numbers are not used twice; a crash is not taken for rot; the log works again once the disk does.
func TestAckedSurvivesEveryCrash(t *testing.T) {
	want := *simCrashes
	if want == 0 {
		want = 4000
	}
	began := time.Now()
	crashes, entries, retries, cut := 0, 0, 0, 0
	seed := *simSeed
	for crashes < want {
		synctest.Test(t, func(t *testing.T) {
			for range 200 {
				if crashes >= want {
					return
				}
				l := run(t.Context(), seed, nil)
				if l.wrong != nil {
					t.Errorf("seed %d: %v", seed, l.wrong)
					return
				}
				crashes, entries, retries, cut = crashes+l.crashes, entries+l.entries, retries+l.retries, cut+l.cut
				seed++
			}
		})
		if t.Failed() {
			break
		}
	}
	took := time.Since(began)
	fmt.Printf("%d crashes in %d runs, %d entries acknowledged, %d failed commits, %d cuts, %.0f crashes/s\n",
		crashes, seed-*simSeed, entries, retries, cut, float64(crashes)/took.Seconds())
}
