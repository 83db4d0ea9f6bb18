package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/streamdown/streamdown/config"
	"github.com/streamdown/streamdown/handover"
	"github.com/streamdown/streamdown/node"
	"github.com/streamdown/streamdown/service"
	"github.com/streamdown/streamdown/vfs"
)

func runCommand(o *options) *cobra.Command {
	var logFormat string
	var watch bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Serve producers and forward what they send",
		Long: `Serves producers and forwards what they send, until SIGINT or SIGTERM. Then it answers what is under way and stops; what
the target has not confirmed stays in the log and is forwarded after the next start. A second signal stops it at once,
which loses nothing that was acked either.

SIGHUP, or POST /-/reload, has it read its config again: it checks the whole file first, keeps the config that it has if
there is an error, and otherwise applies what can change while it runs and says what needs a restart.

SIGUSR2 upgrades it: it starts the program that lies where it was started from, and goes on serving until that process has
read its config and is ready; then the listening sockets and the log change hands. If the new process does not get to
serve, this one goes on. Under systemd it says how it stands (streamdown gen systemd prints a unit).`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if logFormat != "text" && logFormat != "json" {
				return usage("--log-format text or --log-format json", "--log-format %q is not known", logFormat)
			}
			return run(cmd.Context(), o, o.logger(logFormat == "json"), watch)
		},
	}
	cmd.Flags().StringVar(&logFormat, "log-format", "text", "text or json")
	cmd.Flags().BoolVar(&watch, "watch", false, "read the config again when it, or a file that it names, has changed")
	return cmd
}

// gcPercent is how much garbage may pile up beside what is alive before it is collected; GOGC says otherwise. Most of what
// is alive are buffers without pointers, which cost the collector nothing, and the path of a batch makes next to no
// garbage: half the memory that Go's default would take costs no processor time that could be measured.
const gcPercent = 50

func run(ctx context.Context, o *options, log *slog.Logger, watch bool) error {
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
	t, err := tenure(cfg, log)
	if err != nil {
		return err
	}
	again := newReloading(o.configFile(), watch, cfg)
	defer again.stop()
	again.notify, t.Beside = t.Notify, again.beside
	if !o.quiet && !o.verbose {
		t.Options.Level = &o.level
	}
	t.Options.Source = &node.Source{File: again.file, Load: again.load}
	upgrade := make(chan os.Signal, 1)
	signal.Notify(upgrade, syscall.SIGUSR2)
	defer signal.Stop(upgrade)
	t.Upgrade, t.Opened = upgrade, func(n *node.Node) { opened(cfg, n, log) }
	left, err := t.Run(ctx)
	switch {
	case errors.Is(err, node.ErrHandedOver):
		log.Info("stopped; another process serves now")
		return nil
	case errors.Is(err, vfs.ErrLocked):
		return &exitError{
			code: exitFailed, err: fmt.Errorf("another process has the data directory %s: %w", cfg.Data.Dir, err),
			try: "stop that process, or give this one a data.dir of its own; kill -USR2 has a running process start its successor",
		}
	case err != nil:
		return err
	case left > 0:
		log.Warn("stopped; the next start forwards what is left", "left", left)
		return nil
	}
	log.Info("stopped; all is confirmed", "left", left)
	return nil
}

// tenure is how the process serves, with what it was given by a service manager or by the process before it.
func tenure(cfg *config.Config, log *slog.Logger) (node.Tenure, error) {
	t := node.Tenure{
		Options: node.Options{Config: cfg, Version: build(), Logger: log},
		Notify:  service.New(os.Getenv), Timeout: service.WatchdogTimeout(os.Getenv),
	}
	var err error
	if t.Heir, err = handover.Inherit(os.Getenv); err != nil {
		return t, err
	}
	if t.Sockets, err = handover.FromManager(os.Getenv); err != nil {
		log.Warn("not all that the service manager passed can be used", "err", err)
	}
	// By the name it was called, so that a link that points to another version since is followed.
	path, err := exec.LookPath(os.Args[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return t, fmt.Errorf("find the program that runs: %w", err)
	}
	t.Program = handover.Program{Path: path, Args: os.Args[1:], Env: os.Environ()}
	return t, nil
}

// opened says what opening the log found, and that the process serves.
func opened(cfg *config.Config, n *node.Node, log *slog.Logger) {
	rec := n.Recovery()
	log.Info("log opened", "dir", cfg.Data.Dir, "log", rec.LogID, "created", rec.Created, "entries", rec.Entries, "end", rec.End, "elapsed", rec.Elapsed)
	if rec.Torn > 0 {
		log.Warn("cut a torn tail off the log; it may have held acked records", "bytes", rec.Torn, "kept", rec.TornFile)
	}
	for _, d := range rec.Damage {
		log.Error("the log is damaged; the rest is delivered", "err", d)
	}
	log.Info(welcome(cfg), "kafka", n.KafkaAddr(), "http", n.HTTPAddr(), "version", build())
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
