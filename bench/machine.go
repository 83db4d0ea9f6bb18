package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// machine is where the figures come from.
type machine struct {
	Cores      int    `json:"cores"`
	CPU        string `json:"cpu"`
	MemoryMB   int64  `json:"memory_mb"`
	Kernel     string `json:"kernel"`
	Filesystem string `json:"filesystem"` // of the work directory
	Go         string `json:"go"`
	Kafka      string `json:"kafka"` // empty when it was not run
	Java       string `json:"java"`
	Revision   string `json:"revision"` // of this repository, with + when there were changes
}

func thisMachine(dir string) machine {
	m := machine{Cores: runtime.NumCPU(), Go: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH, Filesystem: filesystem(dir)}
	m.CPU = field("/proc/cpuinfo", "model name")
	if kb, _, _ := strings.Cut(field("/proc/meminfo", "MemTotal"), " "); kb != "" {
		n, _ := strconv.ParseInt(kb, 10, 64) // 0 = not known
		m.MemoryMB = n * 1024 / 1e6
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = string(bytes.TrimRight(u.Release[:], "\x00"))
	}
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, s := range b.Settings {
			switch {
			case s.Key == "vcs.revision":
				m.Revision = s.Value[:min(len(s.Value), 12)] + m.Revision
			case s.Key == "vcs.modified" && s.Value == "true":
				m.Revision += "+"
			}
		}
	}
	return m
}

// field returns the value of the first line "key : value" of a file, or "".
func field(file, key string) string {
	b, _ := os.ReadFile(file) // not there, not known
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func filesystem(dir string) string {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return ""
	}
	names := map[int64]string{
		unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
		unix.TMPFS_MAGIC: "tmpfs (memory: its fsync means nothing)", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs",
	}
	if name, ok := names[st.Type]; ok {
		return name
	}
	return fmt.Sprintf("type %#x", st.Type)
}

// load is the machine's load average over 1, 5 and 15 minutes.
type load [3]float64

func loadNow() (l load) {
	b, _ := os.ReadFile("/proc/loadavg") // not there: 0, and the table shows that
	for i, f := range strings.Fields(string(b)) {
		if i < len(l) {
			l[i], _ = strconv.ParseFloat(f, 64)
		}
	}
	return l
}

// busy is the processor time that the whole machine has spent on work, the time that its host took away included.
func busy() (d time.Duration, ok bool) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	f := strings.Fields(string(b[:max(bytes.IndexByte(b, '\n'), 0)]))
	// proc(5): user nice system idle iowait irq softirq steal; guests are within user.
	for i := 1; i < len(f) && i <= 8; i++ {
		n, err := strconv.ParseInt(f[i], 10, 64)
		if err != nil {
			return 0, false
		}
		if i != 4 && i != 5 {
			d += time.Duration(n) * (time.Second / 100)
		}
	}
	return d, len(f) > 8
}

// othersSince begins to watch the machine. The function it returns is told what our processes have used since, and
// says how many cores were busy with something else, the kernel's own threads among them.
func othersSince() func(ours time.Duration) (cores float64) {
	began := time.Now()
	before, ok := busy()
	return func(ours time.Duration) float64 {
		after, still := busy()
		if !ok || !still {
			return 0
		}
		return max((after-before-ours).Seconds()/time.Since(began).Seconds(), 0)
	}
}

// javaVersion is what the Java machine on PATH calls itself, "" if it does not say.
func javaVersion() string {
	out, err := exec.Command("java", "-version").CombinedOutput()
	if err != nil {
		return ""
	}
	if _, rest, ok := strings.Cut(string(out), `"`); ok {
		version, _, _ := strings.Cut(rest, `"`)
		return version
	}
	return ""
}
