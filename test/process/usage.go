package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is USER_HZ, the unit of processor times in /proc, which Linux has fixed at 100 for user space.
const clockTick = time.Second / 100

// Usage is what a process holds and has used.
type Usage struct {
	ResidentBytes int64         // VmRSS
	CPU           time.Duration // user and system time of all its threads, to 10 ms
}

// UsageOf is what any process of this machine holds and has used.
func UsageOf(pid int) (Usage, error) {
	var u Usage
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, fmt.Errorf("read memory use: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				return u, fmt.Errorf("read memory use: %w", err)
			}
			u.ResidentBytes = kib << 10
		}
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, fmt.Errorf("read processor use: %w", err)
	}
	// proc(5): the name in parentheses may hold blanks; utime and stime are the 12th and 13th fields after it.
	_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')'):]), " ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return u, fmt.Errorf("read processor use: /proc/%d/stat has %d fields", pid, len(f))
	}
	for _, ticks := range f[11:13] {
		n, err := strconv.ParseInt(ticks, 10, 64)
		if err != nil {
			return u, fmt.Errorf("read processor use: %w", err)
		}
		u.CPU += time.Duration(n) * clockTick
	}
	return u, nil
}
