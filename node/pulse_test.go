package node_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/streamdown/streamdown/config"
	"github.com/streamdown/streamdown/node"
)

// A process that works has a pulse, also when it has nothing to do; one whose loops do not run has none, however well
// its timers tick.
func TestThePulseIsThatOfTheLoops(t *testing.T) {
	dir := t.TempDir()
	n := start(t, dir, "127.0.0.1:1")
	pulse := n.Pulse()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 5 {
		if err := pulse.Beat(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range n.Status(ctx).Holds {
		t.Errorf("it holds %+v", h)
	}
	n.stop(t)

	cfg, findings := config.Parse("test.yaml", fmt.Appendf(nil, `version: 1
listen: { kafka: { address: "127.0.0.1:0" }, http: { address: "127.0.0.1:0" } }
data: { dir: %q }
systems: { primary: { kafka: { bootstrap.servers: "127.0.0.1:1" } } }
streams: [ { name: all, topics: ["*"] } ]
`, dir), nil)
	if cfg == nil {
		t.Fatal(findings)
	}
	still, err := node.Open(node.Options{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	short, over := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer over()
	if err := still.Pulse().Beat(short); err == nil {
		t.Error("a process that does nothing has a pulse")
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := still.Run(ended); err != nil {
		t.Error(err)
	}
}
