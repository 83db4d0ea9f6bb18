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
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const wal = "github.com/streamdown/streamdown/wal"

// A line is what the simulation prints of itself, behind "crashlab ".
type line struct {
	Crashes   int64  `json:"crashes"`
	Runs      int64  `json:"runs"`
	Violation string `json:"violation"` // lost, resurrected, another word; empty = none
	Text      string `json:"text"`
	Seed      uint64 `json:"seed"`
}

// build makes the test program of package wal, with files in place of others when overlay is not nil.
func build(ctx context.Context, dir string, overlay map[string]string) (program string, err error) {
	program = filepath.Join(dir, "wal.test")
	args := []string{"test", "-c", "-o", program}
	if overlay != nil {
		b, err := json.Marshal(map[string]any{"Replace": overlay})
		if err != nil {
			return "", err
		}
		file := filepath.Join(dir, "overlay.json")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			return "", err
		}
		program = filepath.Join(dir, "planted.test")
		args = []string{"test", "-c", "-vet=off", "-overlay", file, "-o", program}
	}
	cmd := exec.CommandContext(ctx, "go", append(args, wal)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := start(cmd); err != nil {
		return "", fmt.Errorf("build the tests of package wal: %w\n%s", err, out.Bytes())
	}
	return program, nil
}

// run runs tests of the program and passes on what they report. failed: some did.
func run(ctx context.Context, program, tests string, crashes int64, seed uint64, timeout time.Duration, report func(line), more ...string) (out []byte, failed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	args := append([]string{"-test.run", tests, "-test.timeout", "0", "-test.failfast",
		"-crashes", strconv.FormatInt(crashes, 10), "-crashseed", strconv.FormatUint(seed, 10)}, more...)
	cmd := exec.CommandContext(ctx, program, args...)
	// Only one goroutine has something to do at a time, and memory is there.
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=400")
	cmd.Dir = filepath.Dir(program)
	w := &reports{report: report}
	cmd.Stdout, cmd.Stderr = w, w
	err = start(cmd)
	var exit *exec.ExitError
	if ctx.Err() != nil {
		return w.all, false, fmt.Errorf("it took more than %v: %w", timeout, ctx.Err())
	}
	if errors.As(err, &exit) {
		return fmt.Appendf(w.all, "%v\n", exit), true, nil
	}
	return w.all, false, err
}

// start runs a command that dies with this process, also when that is killed. The kernel takes the end of the thread
// that started a child for that of its parent, so the thread must not end before.
func start(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd.Run()
}

// reports takes the output of a process. What it says of the simulation it passes on at once.
type reports struct {
	report func(line)
	all    []byte
	done   int // of all: what was looked at
}

func (r *reports) Write(b []byte) (int, error) {
	r.all = append(r.all, b...)
	for {
		end := bytes.IndexByte(r.all[r.done:], '\n')
		if end < 0 {
			return len(b), nil
		}
		rest, ok := bytes.CutPrefix(r.all[r.done:r.done+end], []byte("crashlab "))
		r.done += end + 1
		var x line
		if ok && json.Unmarshal(rest, &x) == nil {
			r.report(x)
		}
	}
}

// crash makes n crashes in procs processes. Seeds of different processes are far apart.
func crash(ctx context.Context, program string, r *result, n int64, procs int) error {
	var wg sync.WaitGroup
	var mu sync.Mutex // guards r and errs
	var errs []error
	for p := range procs {
		wg.Go(func() {
			said := false
			report := func(l line) {
				mu.Lock()
				defer mu.Unlock()
				said = said || l.Violation != ""
				r.count(l)
				r.save()
			}
			out, failed, err := run(ctx, program, "^TestAckedSurvivesEveryCrash$", n/int64(procs)+1, r.Seed+uint64(p)*1e12, 1000*time.Hour, report)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && failed && !said {
				err = errors.New("a process died before it could say why")
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("simulate: %w\n%s", err, out))
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (r *result) count(l line) {
	r.Crashes += l.Crashes
	r.Runs += l.Runs
	r.PerSecond = float64(int64(float64(r.Crashes) / time.Since(r.began).Seconds()))
	switch l.Violation {
	case "":
		return
	case "lost":
		r.Lost++
	case "resurrected":
		r.Resurrected++
	default:
		r.Other++
	}
	fmt.Printf("BROKEN %s, seed %d: %s\n", l.Violation, l.Seed, l.Text)
}

func ignore(line) {}

// refuge are the tests of a second directory, and rest those of all crash points of short runs, and of rot.
const refuge = "^TestWhatTheRefuge|^TestABrokenDirectory|^TestARefugeIsNot"
const rest = "^TestEveryCrashPoint$|^TestRotIsNamed|^TestADamagedManifest|^TestStale"

// steady runs the tests that do not depend on seeds: all crash points of short runs, and rot.
func steady(ctx context.Context, program string, r *result) error {
	out, failed, err := run(ctx, program, rest, 1, 1, time.Hour, ignore, "-crashpoints", "4")
	if failed {
		r.Other++
	}
	_, _ = os.Stdout.Write(out)
	return err
}

// seams runs the plants that are made at the log's seams.
func seams(ctx context.Context, program string, r *result) error {
	out, _, err := run(ctx, program, "^TestPlantsAreCaught$", 1, 1, time.Hour, ignore)
	for l := range strings.Lines(string(out)) {
		if strings.HasPrefix(l, "plant ") {
			r.Planted++
			fmt.Print(l)
		}
		if strings.HasPrefix(l, "plant caught ") {
			r.Caught++
		}
	}
	if err == nil && r.Planted == 0 {
		err = fmt.Errorf("no plants at the seams:\n%s", out)
	}
	return err
}

// try builds the log with one fault in it and runs it until that is caught.
func try(ctx context.Context, dir string, p *plant, r *result, most int64) error {
	overlay, err := p.overlay(ctx, dir)
	if err != nil {
		return err
	}
	program, err := build(ctx, dir, overlay)
	if err != nil {
		return fmt.Errorf("plant %q: %w", p.name, err)
	}
	r.Planted++
	var crashes int64
	var broken line
	report := func(l line) {
		crashes += l.Crashes
		if l.Violation != "" {
			broken = l
		}
	}
	out, failed, err := run(ctx, program, "^TestAckedSurvivesEveryCrash$", most, r.Seed, time.Hour, report)
	var how string
	switch {
	case err != nil:
		return fmt.Errorf("plant %q: %w", p.name, err)
	case failed && broken.Violation != "":
		how = fmt.Sprintf("after %d crashes: %s (%s)", crashes, p.name, broken.Violation+": "+broken.Text)
	case failed:
		how = fmt.Sprintf("by a crash of the program: %s (%s)", p.name, firstLine(out, "panic: "))
	default:
		for _, tests := range []string{refuge, rest} {
			out, failed, err = run(ctx, program, tests, 1, 1, time.Hour, ignore, "-crashpoints", "3")
			what := firstLine(out, "_test.go:")
			how = fmt.Sprintf("by the tests of crash points, refuge and rot: %s (%s)", p.name, what)
			if failed = failed && what != "no output"; failed || err != nil {
				break
			}
		}
	}
	if !failed {
		fmt.Printf("plant NOT caught by %d crashes: %s\n", most, p.name)
		return err
	}
	r.Caught++
	fmt.Println("plant caught", how)
	return err
}

// firstLine finds what a test said, but for what says only at how many disks it looked.
func firstLine(out []byte, with string) string {
	for l := range strings.Lines(string(out)) {
		if strings.Contains(l, with) && !strings.Contains(l, "ways to crash") && !strings.HasSuffix(l, " disks\n") {
			return strings.TrimSpace(l)
		}
	}
	return "no output"
}
