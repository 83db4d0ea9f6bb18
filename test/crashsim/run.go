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
	"strconv"
	"strings"
	"sync"
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
	out, err := exec.CommandContext(ctx, "go", append(args, wal)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the tests of package wal: %w\n%s", err, out)
	}
	return program, nil
}

// run runs tests of the program. failed: some did, or it was stopped because it hung.
func run(ctx context.Context, program, tests string, crashes int64, seed uint64, timeout time.Duration, more ...string) (lines []line, out []byte, failed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	args := append([]string{"-test.run", tests, "-test.timeout", "0", "-test.failfast",
		"-crashes", strconv.FormatInt(crashes, 10), "-crashseed", strconv.FormatUint(seed, 10)}, more...)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1") // only one goroutine has something to do at a time
	cmd.Dir = filepath.Dir(program)
	out, err = cmd.CombinedOutput()
	for l := range bytes.Lines(out) {
		if rest, ok := bytes.CutPrefix(l, []byte("crashlab ")); ok {
			var x line
			if json.Unmarshal(rest, &x) == nil {
				lines = append(lines, x)
			}
		}
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return lines, fmt.Appendf(out, "%v\n", exit), true, nil
	}
	return lines, out, false, err
}

// crash makes n crashes in procs processes. Seeds of different processes are far apart.
func crash(ctx context.Context, program string, r *result, n int64, seed uint64, procs int) error {
	var wg sync.WaitGroup
	var mu sync.Mutex // guards r and errs
	var errs []error
	for p := range procs {
		wg.Go(func() {
			lines, out, failed, err := run(ctx, program, "^TestAckedSurvivesEveryCrash$", n/int64(procs)+1, seed+uint64(p)*1e12, 1000*time.Hour)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && failed && len(lines) == 0 {
				err = errors.New("a process died before it could say why")
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("simulate: %w\n%s", err, out))
			}
			for _, l := range lines {
				r.Crashes += l.Crashes
				r.Runs += l.Runs
				r.count(l)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (r *result) count(l line) {
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

const rest = "^TestEveryCrashPoint$|^TestRot|^TestADamagedManifest|^TestStale"

// steady runs the tests that do not depend on seeds: all crash points of short runs, and rot.
func steady(ctx context.Context, program string, r *result) error {
	_, out, failed, err := run(ctx, program, rest, 1, 1, time.Hour, "-crashpoints", "1")
	if failed {
		r.Other++
	}
	_, _ = os.Stdout.Write(out)
	return err
}

// seams runs the plants that are made at the log's seams.
func seams(ctx context.Context, program string, r *result) error {
	_, out, _, err := run(ctx, program, "^TestPlantsAreCaught$", 1, 1, time.Hour)
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
func try(ctx context.Context, dir string, p *plant, r *result, seed uint64, most int64) error {
	overlay, err := p.overlay(ctx, dir)
	if err != nil {
		return err
	}
	program, err := build(ctx, dir, overlay)
	if err != nil {
		return fmt.Errorf("plant %q: %w", p.name, err)
	}
	r.Planted++
	lines, out, failed, err := run(ctx, program, "^TestAckedSurvivesEveryCrash$", most, seed, 10*time.Minute)
	var how string
	switch {
	case err != nil:
		return err
	case failed && len(lines) > 0:
		how = fmt.Sprintf("after %d crashes: %s (%s)", lines[0].Crashes, p.name, lines[0].Violation+": "+lines[0].Text)
	case failed:
		how = fmt.Sprintf("by a crash of the program: %s (%s)", p.name, firstLine(out, "panic: "))
	default:
		_, out, failed, err = run(ctx, program, rest, 1, 1, 10*time.Minute, "-crashpoints", "3")
		how = fmt.Sprintf("by the tests of crash points and rot: %s (%s)", p.name, firstLine(out, "_test.go:"))
	}
	if !failed {
		fmt.Printf("plant NOT caught by %d crashes: %s\n", most, p.name)
		return err
	}
	r.Caught++
	fmt.Println("plant caught", how)
	return err
}

func firstLine(out []byte, with string) string {
	for l := range strings.Lines(string(out)) {
		if strings.Contains(l, with) {
			return strings.TrimSpace(l)
		}
	}
	return "no output"
}
