package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run is the benchmark, or one of its children: the binary runs itself.
func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case roleGateway:
			return gatewayChild(ctx, args[1:])
		case roleEmbedded:
			return embeddedChild(ctx, args[1:])
		case roleLog:
			return runLog(ctx, args[1:])
		case roleReconcile:
			return runReconcile(ctx, args[1:])
		case roleCompare:
			return compareChild(ctx, args[1:])
		}
	}
	o, err := parseOptions(args, os.Stderr)
	if err != nil {
		return err
	}
	rep, err := bench(ctx, o, os.Stderr)
	if rep != nil {
		rep.print(os.Stdout)
		if werr := rep.write(o.out); werr != nil {
			return errors.Join(err, werr)
		}
		fmt.Fprintln(os.Stdout, "\nfor machines:", o.out)
	}
	return err
}

func runLog(ctx context.Context, args []string) error {
	o, err := parseLogOptions(args, os.Stderr)
	if err != nil {
		return err
	}
	r, err := benchLog(ctx, o, os.Stderr)
	if r != nil {
		r.print(os.Stdout)
		if werr := r.write(o.out); werr != nil {
			return errors.Join(err, werr)
		}
		fmt.Fprintln(os.Stdout, "\nfor machines:", o.out)
	}
	return err
}
