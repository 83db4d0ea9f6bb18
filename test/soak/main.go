package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"time"
)

// A result is the last line.
type result struct {
	Seeds      uint64 `json:"seeds"` // played without a plant
	Violations int    `json:"violations"`
	Planted    int    `json:"planted"`
	Caught     int    `json:"caught"`

	CoreSeeds     uint64  `json:"core_seeds"`
	NodeSeeds     uint64  `json:"node_seeds"`
	MedianSeeds   float64 `json:"median_seeds"`   // that a plant took
	MedianSeconds float64 `json:"median_seconds"` // without building
	Seconds       float64 `json:"seconds"`        // of all of it

	Plants []catch  `json:"-"`
	Broken []string `json:"-"`
}

// A catch is how a plant fared.
type catch struct {
	Plant   string  `json:"plant"`
	Where   string  `json:"where"` // core, seam, code
	Caught  bool    `json:"caught"`
	Seeds   uint64  `json:"seeds"`
	Seconds float64 `json:"seconds"`
	Promise string  `json:"promise"` // that it broke
}

// A soak is one run of this program.
type soak struct {
	dir     string // for what is built
	seed    uint64
	procs   int
	most    uint64 // seeds within which a plant at the node must be caught
	verbose bool
	r       result
}

func main() {
	s := &soak{}
	duration := flag.Duration("duration", time.Minute, "how long the sound code is played; the plants come on top")
	flag.Uint64Var(&s.seed, "seed", 1, "seed of the first run of the whole node; the others follow. The cores begin with 1")
	flag.IntVar(&s.procs, "procs", max(2, runtime.NumCPU()), "processes; one plays the cores")
	flag.Uint64Var(&s.most, "plants", 400, "seeds within which a plant in the whole node must be caught; 0 = plant nothing")
	flag.BoolVar(&s.verbose, "v", false, "a line for every plant")
	only := flag.String("only", "", "only plants with this in their names, and nothing else")
	out := flag.String("o", "", "file that is to hold the result and every plant; empty = none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	began := time.Now()
	err := s.all(ctx, *duration, *only)
	s.r.Seconds = time.Since(began).Round(100 * time.Millisecond).Seconds()
	s.r.summarize()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		stop()
		os.Exit(2) //nolint:gocritic // stop was called
	}
	if *out != "" {
		whole := struct {
			result
			Broken []string `json:"broken"`
			Plants []catch  `json:"plants"`
		}{s.r, s.r.Broken, s.r.Plants}
		b, err := json.MarshalIndent(whole, "", "  ")
		if err == nil {
			err = os.WriteFile(*out, append(b, '\n'), 0o600)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "soak:", err)
		}
	}
	line, err := json.Marshal(&s.r)
	if err != nil {
		panic(err) // plain numbers
	}
	fmt.Println(string(line))
	if s.r.Violations > 0 || s.r.Caught < s.r.Planted {
		stop()
		os.Exit(1)
	}
}

// all builds, plays and plants.
func (s *soak) all(ctx context.Context, duration time.Duration, only string) (err error) {
	if s.dir, err = os.MkdirTemp("", "soak"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(s.dir) }() // of the temporary directory: nothing depends on it
	core, err := s.build(ctx, "core.test", corePackage, nil)
	if err != nil {
		return err
	}
	whole, err := s.build(ctx, "node.test", nodePackage, nil)
	if err != nil {
		return err
	}
	if only == "" {
		if err := s.sound(ctx, core, whole, duration); err != nil || s.most == 0 {
			return err
		}
	}
	if err := s.plantCores(ctx, core, only); err != nil {
		return err
	}
	if err := s.plantSeams(ctx, whole, only); err != nil {
		return err
	}
	for i := range plants {
		if !strings.Contains(plants[i].name, only) {
			continue
		}
		if err := s.plantCode(ctx, &plants[i]); err != nil {
			return err
		}
	}
	return nil
}

// note adds a plant to the result.
func (s *soak) note(c catch) {
	s.r.Plants = append(s.r.Plants, c)
	s.r.Planted++
	how := "NOT caught"
	if c.Caught {
		s.r.Caught++
		how = "caught"
	}
	if s.verbose || !c.Caught {
		fmt.Printf("plant %s: %s (%s; %d seeds, %.1f s; %.120s)\n", how, c.Plant, c.Where, c.Seeds, c.Seconds, c.Promise)
	}
}
