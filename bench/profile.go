package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// profileShown is how many functions of a profile are shown.
const profileShown = 12

// costs is where a gateway's processor time went.
type costs struct {
	Path        string  `json:"path"`
	Mode        mode    `json:"mode"`
	RecordBytes int     `json:"record_bytes"`
	MBs         float64 `json:"mb_per_second"` // under the profiler
	CPUSeconds  float64 `json:"cpu_seconds"`
	// Ours are our functions, each with what it called in the runtime and the kernel but not in our own code.
	Ours []cost `json:"ours"`
	// Leaves are the functions that ran, whoever called them.
	Leaves []cost `json:"leaves"`
	// Unowned is the share that no function of ours called: the scheduler, the collector, the poller.
	Unowned float64 `json:"unowned"`
}

type cost struct {
	Function string  `json:"function"`
	Seconds  float64 `json:"cpu_seconds"`
	Share    float64 `json:"share"` // of all
}

const module = "github.com/streamdown/streamdown"

// readProfile has `go tool pprof` add up a CPU profile.
func readProfile(ctx context.Context, file string) (*costs, error) {
	ours, total, err := top(ctx, file, "-nodecount=100", "-nodefraction=0", "-show="+module)
	if err != nil {
		return nil, err
	}
	leaves, _, err := top(ctx, file, "-nodecount=100")
	if err != nil {
		return nil, err
	}
	c := &costs{CPUSeconds: total, Unowned: 1, Ours: ours, Leaves: leaves}
	for _, f := range ours {
		c.Unowned -= f.Share
	}
	c.Unowned = max(c.Unowned, 0)
	c.Ours, c.Leaves = ours[:min(len(ours), profileShown)], leaves[:min(len(leaves), profileShown)]
	return c, nil
}

func top(ctx context.Context, file string, flags ...string) ([]cost, float64, error) {
	args := append([]string{"tool", "pprof", "-top", "-unit=ms"}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, file)...)
	var diag bytes.Buffer
	cmd.Stderr = &diag
	text, err := cmd.Output()
	if err != nil {
		return nil, 0, fmt.Errorf("read profile: go tool pprof: %w: %s", err, bytes.TrimSpace(diag.Bytes()))
	}
	return parseTop(text)
}

// parseTop reads what `go tool pprof -top -unit=ms` prints: a line with the total, one with the columns' names, and
// per function: flat, flat share, running sum, cumulated, its share, name.
func parseTop(text []byte) (all []cost, total float64, err error) {
	body := false
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		f := strings.Fields(s.Text())
		switch {
		case len(f) > 2 && f[len(f)-1] == "total" && f[len(f)-3] == "of":
			if total, err = inSeconds(f[len(f)-2]); err != nil {
				return nil, 0, fmt.Errorf("read profile: %w", err)
			}
		case len(f) > 1 && f[0] == "flat" && f[1] == "flat%":
			body = true
		case body && len(f) >= 6:
			sec, err := inSeconds(f[0])
			if err != nil {
				return nil, 0, fmt.Errorf("read profile: %w", err)
			}
			if sec > 0 && total > 0 {
				all = append(all, cost{strings.ReplaceAll(strings.Join(f[5:], " "), module+"/", ""), sec, sec / total})
			}
		}
	}
	if !body || total == 0 {
		return nil, 0, errors.New("read profile: it holds no samples; measure for longer with -seconds")
	}
	return all, total, nil
}

// inSeconds reads a number of milliseconds such as 120ms; zero has no unit.
func inSeconds(s string) (float64, error) {
	ms, err := strconv.ParseFloat(strings.TrimSuffix(s, "ms"), 64)
	return ms * time.Millisecond.Seconds(), err
}
