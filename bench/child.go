package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/pprof"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/streamdown/streamdown/config"
	"github.com/streamdown/streamdown/node"
)

// Roles of this binary as its own child. The gateway's is the command of streamdown that it stands in for.
const (
	roleGateway  = "run"
	roleEmbedded = "embedded-broker"
)

// profileEnv names the file that a gateway child writes its CPU profile to; allocations and mutexes go beside it.
const profileEnv = "STREAMDOWN_BENCH_PROFILE"

// gatewayChild runs a node from a configuration file until it is told to stop, as `streamdown run -c FILE` does.
func gatewayChild(ctx context.Context, args []string) (err error) {
	f := flag.NewFlagSet(roleGateway, flag.ContinueOnError)
	file := f.String("c", "", "configuration `file`")
	if f.Parse(args) != nil {
		return errUsage
	}
	cfg, findings := config.Load(*file)
	if cfg == nil {
		return findings.Err()
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	n, err := node.Open(node.Options{Config: cfg, Version: "bench", Logger: log})
	if err != nil {
		return err
	}
	if name := os.Getenv(profileEnv); name != "" {
		stop, err := startProfile(name)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	left, err := n.Run(ctx)
	log.Info("stopped", "left", left)
	return err
}

// mutexEach is one in how many lock contentions a profiled gateway notes.
const mutexEach = 10

// startProfile profiles this process until stop is called.
func startProfile(name string) (stop func() error, err error) {
	cpu, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	runtime.SetMutexProfileFraction(mutexEach)
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, errors.Join(fmt.Errorf("profile: %w", err), cpu.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		err := cpu.Close()
		for _, kind := range []string{"allocs", "mutex"} {
			f, cerr := os.Create(name + "." + kind)
			if cerr == nil {
				cerr = errors.Join(pprof.Lookup(kind).WriteTo(f, 0), f.Close())
			}
			err = errors.Join(err, cerr)
		}
		return err
	}, nil
}

// embeddedChild runs a broker that speaks the real protocol, checks sequences and stores nothing, until it is told to
// stop.
func embeddedChild(ctx context.Context, args []string) error {
	f := flag.NewFlagSet(roleEmbedded, flag.ContinueOnError)
	port := f.Int("port", 0, "`port` of 127.0.0.1 to listen on")
	if f.Parse(args) != nil {
		return errUsage
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(*port), kfake.BlackholeProduce())
	if err != nil {
		return fmt.Errorf("embedded broker: %w", err)
	}
	<-ctx.Done()
	c.Close()
	return nil
}
