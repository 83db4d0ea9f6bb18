package demo

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/streamdown/streamdown/config"
	"github.com/streamdown/streamdown/forward"
	"github.com/streamdown/streamdown/node"
)

// gateway is the node under rescue, with the defaults that a user gets.
type gateway struct {
	*node.Node
	dir    string // of the log
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended; then left and err are valid
	left   int64
	err    error
}

// openGateway starts a node on free loopback ports in front of the broker at bootstrap.
func openGateway(ctx context.Context, dir, bootstrap, version string, log *slog.Logger, wrap func(forward.Target) forward.Target) (*gateway, error) {
	g := &gateway{dir: filepath.Join(dir, "streamdown"), done: make(chan struct{})}
	file := fmt.Sprintf(`version: 1
listen: { kafka: { address: "127.0.0.1:0" }, http: { address: "127.0.0.1:0" } }
data: { dir: %q }
systems: { primary: { kafka: { bootstrap.servers: %q } } }
streams: [ { name: all, topics: ["*"], to: primary } ]
`, g.dir, bootstrap)
	cfg, findings := config.Parse("demo.yaml", []byte(file), nil)
	if cfg == nil {
		return nil, fmt.Errorf("configure the node: %w", findings.Err())
	}
	var err error
	if g.Node, err = node.Open(node.Options{Config: cfg, Version: version, Logger: log, WrapTarget: wrap}); err != nil {
		return nil, fmt.Errorf("open the node: %w", err)
	}
	// It ends after everything that uses it, also when ctx ends.
	ctx, g.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(g.done)
		g.left, g.err = g.Run(ctx)
	}()
	return g, nil
}

// stop ends the node and waits. It returns how many records it could not bring to the broker. Stopping twice returns
// the same.
func (g *gateway) stop() (left int64, err error) {
	g.cancel()
	<-g.done
	return g.left, g.err
}

// ended reports whether the node has ended by itself, and why.
func (g *gateway) ended() error {
	select {
	case <-g.done:
		return fmt.Errorf("the node has ended: %w", g.err)
	default:
		return nil
	}
}
