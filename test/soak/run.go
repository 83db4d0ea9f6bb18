package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	module      = "github.com/streamdown/streamdown/"
	corePackage = module + "forward"
	nodePackage = module + "test/soak"
)

// build makes the test program of a package, with files in place of others when overlay is not nil.
func (s *soak) build(ctx context.Context, name, pkg string, overlay map[string]string) (program string, err error) {
	program = filepath.Join(s.dir, name)
	args := []string{"test", "-c", "-o", program}
	if overlay != nil {
		b, err := json.Marshal(map[string]any{"Replace": overlay})
		if err != nil {
			return "", err
		}
		file := filepath.Join(s.dir, "overlay.json")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			return "", err
		}
		args = append(args, "-vet=off", "-overlay", file)
	}
	if out, err := s.run(ctx, nil, "go", append(args, pkg)...); err != nil {
		return "", fmt.Errorf("build the tests of %s: %w\n%s", pkg, err, out)
	}
	return program, nil
}

// run runs a command that dies with this process, also when that is killed, and returns what it says. The kernel takes
// the end of the thread that started a child for that of its parent, so the thread must not end before.
func (s *soak) run(ctx context.Context, env []string, name string, args ...string) ([]byte, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Env = append(os.Environ(), env...)
	if filepath.IsAbs(name) {
		cmd.Dir = s.dir
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.Bytes(), err
}

// sum is what a process that played the whole node says last.
type sum struct {
	Seeds      uint64         `json:"seeds"`
	Violations uint64         `json:"violations"`
	Broken     string         `json:"broken"` // the last one
	Seed       uint64         `json:"seed"`   // that broke it
	Did        map[string]int `json:"did"`
}

// whole plays the whole node in a process of its own. A process that does not live to say what it came to is a broken
// promise as well.
func (s *soak) whole(ctx context.Context, program string, limit time.Duration, args ...string) (sum, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	args = append([]string{"-test.run", "^TestWholeNode$", "-test.timeout", "0", "-test.v"}, args...)
	// Only one goroutine has something to do at a time, and the more so the same order comes again.
	out, err := s.run(ctx, []string{"GOMAXPROCS=1", "GOGC=400"}, program, args...)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return sum{}, out, err
	}
	for line := range strings.Lines(string(out)) {
		var r sum
		if rest, ok := strings.CutPrefix(line, "soaksum "); ok && json.Unmarshal([]byte(rest), &r) == nil {
			return r, out, nil
		}
	}
	why := "it ended without a word"
	if at := bytes.Index(out, []byte("panic: ")); at >= 0 {
		why, _, _ = strings.Cut(string(out[at:]), "\n")
	}
	if ctx.Err() != nil {
		why = fmt.Sprintf("it hangs: nothing for %v", limit)
	}
	return sum{Violations: 1, Broken: why, Seeds: uint64(bytes.Count(out, []byte("=== RUN   TestWholeNode/")))}, out, nil
}

// sound plays the code as it is: the cores in one process, the whole node in the others.
func (s *soak) sound(ctx context.Context, core, whole string, duration time.Duration) error {
	var wg sync.WaitGroup
	var mu sync.Mutex // guards the following and s.r
	var errs []error
	fail := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		errs = append(errs, err)
	}
	began := time.Now()
	wg.Go(func() {
		for seeds, rest := uint64(100), duration; rest > 0; {
			n, broken, took, err := s.cores(ctx, core, seeds)
			if err != nil {
				fail(err)
				return
			}
			mu.Lock()
			s.r.CoreSeeds = max(s.r.CoreSeeds, n) // seeds begin with 1 each time
			s.r.Broken = append(s.r.Broken, broken...)
			s.r.Violations += len(broken)
			fmt.Printf("cores: %d seeds, %d violations\n", s.r.CoreSeeds, len(broken))
			mu.Unlock()
			if rest = duration - time.Since(began); len(broken) > 0 || rest < 2*took {
				return
			}
			// One more run, as long as there is time.
			seeds = uint64(float64(seeds) * 0.9 * float64(rest) / float64(max(took, time.Millisecond)))
		}
	})
	for p := range max(1, s.procs-1) {
		wg.Go(func() {
			for seed, rest := s.seed+uint64(p)*1e9, duration; rest > 0; rest = duration - time.Since(began) {
				slice := min(rest, 20*time.Second)
				r, out, err := s.whole(ctx, whole, slice+2*time.Minute, "-soakseed", strconv.FormatUint(seed, 10), "-soakfor", slice.String())
				if err != nil {
					fail(err)
					return
				}
				seed += r.Seeds
				mu.Lock()
				s.r.NodeSeeds += r.Seeds
				s.r.Violations += int(r.Violations)
				fmt.Printf("whole node: %d seeds, %d violations\n", s.r.NodeSeeds, r.Violations)
				if r.Violations > 0 {
					s.r.Broken = append(s.r.Broken, r.Broken)
					_, _ = os.Stdout.Write(out)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

var (
	seedsPlayed = regexp.MustCompile(`: (\d+) seeds: `)
	coreBroken  = regexp.MustCompile(`(?m)^.*seed \d+ breaks a promise: .*\n.*replay: .*$`)
)

// cores plays seeds 1 to n of the cores.
func (s *soak) cores(ctx context.Context, program string, n uint64) (played uint64, broken []string, took time.Duration, err error) {
	began := time.Now()
	env := []string{"GOMAXPROCS=1", "GOGC=400", fmt.Sprintf("SIM_SEEDS=%d", n)}
	out, err := s.run(ctx, env, program, "-test.run", "^TestSimulation$", "-test.v", "-test.timeout", "0")
	took = time.Since(began)
	for _, b := range coreBroken.FindAll(out, -1) {
		broken = append(broken, string(b))
		fmt.Println(string(b))
	}
	if m := seedsPlayed.FindSubmatch(out); m != nil {
		played, _ = strconv.ParseUint(string(m[1]), 10, 64) // digits
	}
	if err != nil && len(broken) == 0 {
		return played, nil, took, fmt.Errorf("play the cores: %w\n%s", err, out)
	}
	return played, broken, took, nil
}
