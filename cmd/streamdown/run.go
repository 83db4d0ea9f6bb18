package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/streamdown/streamdown/config"
	"github.com/streamdown/streamdown/node"
	"github.com/streamdown/streamdown/vfs"
)

func runCommand(o *options) *cobra.Command {
	var logFormat string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Serve producers and forward what they send",
		Long: `Serves producers and forwards what they send, until SIGINT or SIGTERM. Then it answers what is under way and stops; what
the target has not confirmed stays in the log and is forwarded after the next start. A second signal stops it at once,
which loses nothing that was acked either.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if logFormat != "text" && logFormat != "json" {
				return usage("--log-format text or --log-format json", "--log-format %q is not known", logFormat)
			}
			return run(cmd.Context(), o, o.logger(logFormat == "json"))
		},
	}
	cmd.Flags().StringVar(&logFormat, "log-format", "text", "text or json")
	return cmd
}

// gcPercent is how much garbage may pile up beside what is alive before it is collected; GOGC says otherwise. Most of what
// is alive are buffers without pointers, which cost the collector nothing, and the path of a batch makes next to no
// garbage: half the memory that Go's default would take costs no processor time that could be measured.
const gcPercent = 50

func run(ctx context.Context, o *options, log *slog.Logger) error {
	cfg, err := o.load(log)
	if err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() {
		stop() // from now on a signal does what it does to any process
		log.Info("stopping; a second signal ends the process at once")
	})
	n, err := node.Open(node.Options{Config: cfg, Version: build(), Logger: log})
	if errors.Is(err, vfs.ErrLocked) {
		return &exitError{
			code: exitFailed, err: fmt.Errorf("another process has the data directory %s: %w", cfg.Data.Dir, err),
			try: "stop that process, or give this one a data.dir of its own",
		}
	}
	if err != nil {
		return err
	}
	rec := n.Recovery()
	log.Info("log opened", "dir", cfg.Data.Dir, "log", rec.LogID, "created", rec.Created, "entries", rec.Entries, "end", rec.End, "elapsed", rec.Elapsed)
	if rec.Torn > 0 {
		log.Warn("cut a torn tail off the log; it may have held acked records", "bytes", rec.Torn, "kept", rec.TornFile)
	}
	for _, d := range rec.Damage {
		log.Error("the log is damaged; the rest is delivered", "err", d)
	}
	log.Info(welcome(cfg), "kafka", n.KafkaAddr(), "http", n.HTTPAddr(), "version", build())
	left, err := n.Run(ctx)
	if err != nil {
		return err
	}
	if left > 0 {
		log.Warn("stopped; the next start forwards what is left", "left", left)
		return nil
	}
	log.Info("stopped; all is confirmed", "left", left)
	return nil
}

// welcome says in one line who may come in.
func welcome(cfg *config.Config) string {
	k := &cfg.Listen.Kafka
	how := "serving"
	if k.TLS != nil {
		how += " with TLS"
	}
	switch {
	case len(k.SASL.Mechanisms) > 0:
		return how + "; producers log in"
	case k.TLS != nil && k.TLS.ClientAuth == config.ClientRequired:
		return how + "; producers show a certificate"
	}
	return how + " on loopback; producers do not log in"
}
