//go:build real

package gateway

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// TestKcatProduces runs librdkafka as Debian packs it. It needs kcat (apt-get install kcat) and fails without it.
func TestKcatProduces(t *testing.T) {
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		t.Fatalf("kcat is missing: apt-get install kcat: %v", err)
	}
	version, _ := exec.Command(kcat, "-V").CombinedOutput()
	t.Logf("%s", version)
	m := newMemory()
	s := serve(t, Config{}, m, m)
	for _, mode := range []string{"enable.idempotence=true", "acks=all", "acks=1", "acks=0"} {
		for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
			t.Run(mode+" "+codec, func(t *testing.T) {
				topic := strings.NewReplacer("=", "-", ".", "-").Replace(mode + codec)
				m.add(topic, 3)
				ctx, cancel := context.WithTimeout(t.Context(), testTime)
				defer cancel()
				cmd := exec.CommandContext(ctx, kcat, "-P", "-b", s.addr, "-t", topic, "-X", mode, "-z", codec)
				var in bytes.Buffer
				for i := range 1000 {
					fmt.Fprintf(&in, "a value that can be compressed %d\n", i)
				}
				cmd.Stdin = &in
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				eventually(t, "all records are there", func() bool { return m.records(topic) == 1000 })
			})
		}
	}
	t.Run("each class through the other one's port", func(t *testing.T) {
		m.add("critical-k", 3)
		m.add("low-k", 3)
		_, addrs := serveBoth(t, Config{}, m, m)
		for i, topic := range []string{"low-k", "critical-k"} {
			ctx, cancel := context.WithTimeout(t.Context(), testTime)
			defer cancel()
			cmd := exec.CommandContext(ctx, kcat, "-P", "-b", addrs[i], "-t", topic, "-X", "enable.idempotence=true")
			cmd.Stdin = strings.NewReader(strings.Repeat("a value\n", 100))
			if out, err := cmd.CombinedOutput(); err != nil || m.records(topic) != 100 {
				t.Errorf("%s: %v, %d records\n%s", topic, err, m.records(topic), out)
			}
		}
	})
	t.Run("a topic that no stream takes fails fast", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), testTime)
		defer cancel()
		cmd := exec.CommandContext(ctx, kcat, "-P", "-b", s.addr, "-t", "other-topic")
		cmd.Stdin = strings.NewReader("x\n")
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "authorization") {
			t.Errorf("%v\n%s", err, out)
		}
	})
}
