package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *listing {
		for _, p := range seamPlants {
			fmt.Println("seam", p.name)
		}
	}
	goleak.VerifyTestMain(m)
}

var (
	first   = flag.Uint64("soakseed", 1, "seed of the first run of the whole node; the others follow")
	runs    = flag.Uint64("soakseeds", 12, "runs of the whole node")
	lasts   = flag.Duration("soakfor", 0, "real time for runs of the whole node, instead of a number of them")
	planted = flag.String("soakplant", "", "plant this at the seams and stop when it is caught")
	untilIt = flag.Bool("soakuntil", false, "stop at the first promise that is broken")
	listing = flag.Bool("soaklist", false, "list the plants at the seams")
	tracing = flag.Bool("soaktrace", false, "print the trace of each run")
)

// TestWholeNode plays the whole node with faults from seeds.
//
//	GOMAXPROCS=1 go test ./test/soak -run TestWholeNode -v -args -soakseed 17 -soakseeds 1 -soaktrace
func TestWholeNode(t *testing.T) {
	var p *seamPlant
	if *planted != "" {
		i := slices.IndexFunc(seamPlants, func(p seamPlant) bool { return p.name == *planted })
		if i < 0 {
			t.Fatalf("no plant is called %q", *planted)
		}
		p = &seamPlants[i]
	}
	sum := sum{Did: map[string]int{}}
	began := time.Now()
	for *lasts == 0 && sum.Seeds < *runs || *lasts > 0 && time.Since(began) < *lasts {
		seed := *first + sum.Seeds
		sum.Seeds++
		w := one(t, seed, p)
		for what, n := range w.did {
			sum.Did[what] += n
		}
		if w.broken == "" {
			continue
		}
		sum.Violations++
		sum.Broken, sum.Seed = w.broken, seed
		if p == nil && !*untilIt {
			t.Errorf("seed %d breaks a promise: %s\n\treplay: GOMAXPROCS=1 go test ./test/soak -run TestWholeNode -v -args -soakseed %d -soakseeds 1 -soaktrace", seed, w.broken, seed)
			continue
		}
		break
	}
	sum.say()
	if void := sum.void(); p == nil && !*untilIt && void != "" {
		t.Errorf("the runs prove nothing: %s", void)
	}
}

// one plays a seed in a bubble of its own.
func one(t *testing.T, seed uint64, p *seamPlant) (w *world) {
	t.Run(fmt.Sprint(seed), func(t *testing.T) {
		cryptotest.SetGlobalRandom(t, seed)
		synctest.Test(t, func(t *testing.T) {
			w = play(seed, p)
			if *tracing || w.broken != "" && p == nil && !*untilIt {
				t.Logf("seed %d\n%s", seed, w.trace.String())
			}
		})
	})
	return w
}

// TestEverySeamPlantIsCaught plants what the seams allow, one at a time.
func TestEverySeamPlantIsCaught(t *testing.T) {
	if testing.Short() || *planted != "" {
		t.Skip("make soak does this for all plants")
	}
	for i := range seamPlants[:3] {
		p := &seamPlants[i]
		began := time.Now()
		caught := ""
		seed := uint64(1)
		for ; caught == "" && seed <= 60; seed++ {
			caught = one(t, seed, p).broken
		}
		if caught == "" {
			t.Errorf("%s: 60 seeds, and no promise broken", p.name)
			continue
		}
		t.Logf("%s: caught by seed %d in %v: %.200s", p.name, seed-1, time.Since(began).Round(time.Millisecond), caught)
	}
}

func (s *sum) say() {
	line, err := json.Marshal(s)
	if err != nil {
		panic(err) // plain words and numbers
	}
	fmt.Fprintf(os.Stderr, "soaksum %s\n", line)
}

// void says which fault never happened in enough runs to expect it.
func (s *sum) void() string {
	if s.Seeds < 200 {
		return ""
	}
	var never []string
	for i := range faults {
		if s.Did[faults[i].name] == 0 {
			never = append(never, faults[i].name)
		}
	}
	if len(never) == 0 {
		return ""
	}
	return fmt.Sprintf("never happened: %s; did: %v", strings.Join(never, ", "), slices.Sorted(maps.Keys(s.Did)))
}

// sleep lets the bubble's time pass: everything here runs in one.
func sleep(d time.Duration) { time.Sleep(d) }
