package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// errUsage is an error of the command line that was told already.
var errUsage = errors.New("wrong usage")

// options says what to measure.
type options struct {
	sizes      []int // bytes of a record's value
	window     time.Duration
	rounds     int
	limit      time.Duration // no round is begun that would probably end later
	only       []string      // names of paths, and "disk"; empty = all
	modes      []mode
	partitions int32
	batch      int32
	linger     time.Duration
	rate       int // records per second of the fixed load
	pacedSize  int // bytes of its records
	profile    string
	profiles   bool
	quick      bool
	dir        string
	out        string
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	sizes := f.String("sizes", "100,1024,10240", "record sizes in `bytes`, comma-separated")
	seconds := f.Float64("seconds", 2, "length of one measurement, in `seconds`")
	f.IntVar(&o.rounds, "rounds", 3, "how often each measurement is repeated, interleaved with the others")
	f.DurationVar(&o.limit, "limit", 6*time.Minute, "begin no round that would probably end later than this")
	f.BoolVar(&o.quick, "quick", false, "one round of one second: does it run at all? (-rounds 1 -seconds 1 -limit 90s)")
	only := f.String("only", "", "measure these alone, comma-separated: "+strings.Join(pathNames(), ", ")+", disk")
	modes := f.String("modes", "max,paced", "full speed (max), fixed offered load (paced), or both")
	partitions := f.Int("partitions", 6, "partitions of the topic")
	batch := f.Int("batch", 1_000_012, "the producer's largest batch in bytes (franz-go's default is 1000012)")
	f.DurationVar(&o.linger, "linger", 5*time.Millisecond, "how long the producer waits for a batch to fill at full speed; at the fixed load it does not wait")
	f.IntVar(&o.rate, "rate", 5000, "the fixed offered load, in records per second")
	f.IntVar(&o.pacedSize, "paced-size", 1024, "record size of the fixed load, in bytes")
	f.StringVar(&o.profile, "profile", "", "keep the gateway's CPU, allocation and mutex profiles in `directory`, one set per record size")
	f.BoolVar(&o.profiles, "profiles", true, "run the gateway once more under the profiler at the end, and say where the time goes")
	f.StringVar(&o.dir, "dir", filepath.Join("bench", "work"), "`directory` on the disk to measure; what is made there is removed again")
	f.StringVar(&o.out, "out", filepath.Join("bench", "results.json"), "`file` for the results in JSON")
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return o, err
	case err != nil:
		return o, errUsage
	}
	set := map[string]bool{}
	f.Visit(func(f *flag.Flag) { set[f.Name] = true })
	if o.quick {
		if !set["rounds"] {
			o.rounds = 1
		}
		if !set["seconds"] {
			*seconds = 1
		}
		if !set["limit"] {
			o.limit = 90 * time.Second
		}
	}
	o.window = time.Duration(*seconds * float64(time.Second))
	o.partitions, o.batch = int32(*partitions), int32(*batch)
	var errs []error
	for _, s := range strings.Split(*sizes, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < 1 || n > *batch/2 {
			errs = append(errs, fmt.Errorf("-sizes: %q is not a size between 1 and half of -batch", s))
		}
		o.sizes = append(o.sizes, n)
	}
	for _, m := range strings.Split(*modes, ",") {
		if m := mode(strings.TrimSpace(m)); m == modeMax || m == modePaced {
			o.modes = append(o.modes, m)
		} else {
			errs = append(errs, fmt.Errorf("-modes: %q is neither max nor paced", m))
		}
	}
	if *only != "" {
		for _, name := range strings.Split(*only, ",") {
			name = strings.TrimSpace(name)
			if name != diskName && !slices.Contains(pathNames(), name) {
				errs = append(errs, fmt.Errorf("-only: %q is none of %s, disk", name, strings.Join(pathNames(), ", ")))
			}
			o.only = append(o.only, name)
		}
	}
	if o.window < 50*time.Millisecond || o.rounds < 1 || *partitions < 1 || *batch < 512 || o.rate < 1 || o.pacedSize < 1 {
		errs = append(errs, errors.New("-seconds is at least 0.05, -batch 512, -rounds, -partitions, -rate and -paced-size 1"))
	}
	if f.NArg() > 0 {
		errs = append(errs, fmt.Errorf("%q: there are no arguments, only flags", f.Arg(0)))
	}
	if dir := filepath.Dir(o.out); !isDir(dir) {
		errs = append(errs, fmt.Errorf("-out: there is no directory %s; run from the root of the repository, or say where", dir))
	}
	if len(errs) > 0 {
		fmt.Fprintln(stderr, errors.Join(errs...))
		return o, errUsage
	}
	return o, nil
}

func isDir(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.IsDir()
}

func (o *options) wants(name string) bool { return len(o.only) == 0 || slices.Contains(o.only, name) }

// paths returns those that are to be measured.
func (o *options) paths() []path {
	return slices.DeleteFunc(slices.Clone(allPaths), func(p path) bool { return !o.wants(p.Name) })
}

// warm is how long a load runs before it is measured.
func (o *options) warm() time.Duration { return max(o.window/5, 200*time.Millisecond) }
