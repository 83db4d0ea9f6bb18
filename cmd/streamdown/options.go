package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/streamdown/streamdown/config"
)

// options are the flags that all commands share, and where they write.
type options struct {
	out, errs io.Writer
	started   bool // the flags were understood and a command runs

	config  string
	addr    string
	login   login
	format  string
	timeout time.Duration
	quiet   bool
	verbose bool
	level   slog.LevelVar // of logger; the config of a running process may change it
}

func (o *options) flags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVarP(&o.config, "config", "c", "", "use the config in `FILE` (default ./streamdown.yaml, then /etc/streamdown/streamdown.yaml)")
	f.StringVar(&o.addr, "addr", "", "ask the process at `HOST:PORT`, or https://HOST:PORT (default listen.http of the config)")
	f.StringVar(&o.format, "format", "text", "text or json")
	f.DurationVar(&o.timeout, "timeout", 0, "give up after this time (default 12s for questions to a running process, otherwise never)")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "log errors only")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "log details")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(cmd.CommandPath()+" --help", "%w", err)
	})
}

func (o *options) check() error {
	switch {
	case o.format != "text" && o.format != "json":
		return usage("--format text or --format json", "--format %q is not known", o.format)
	case o.timeout < 0:
		return usage("--timeout 30s", "--timeout %s is negative", o.timeout)
	case o.quiet && o.verbose:
		return usage("one of them", "-q and -v contradict each other")
	case o.addr != "":
		addr := strings.TrimPrefix(strings.TrimPrefix(o.addr, "http://"), "https://")
		if _, _, err := net.SplitHostPort(addr); err != nil || strings.Contains(addr, "/") {
			return usage("--addr 127.0.0.1:8790, or https://HOST:PORT", "--addr %q is not HOST:PORT", o.addr)
		}
	}
	return nil
}

func (o *options) json() bool { return o.format == "json" }

// within bounds ctx by --timeout, or by fallback if it was not given; 0 is for ever.
func (o *options) within(ctx context.Context, fallback time.Duration) (context.Context, context.CancelFunc) {
	limit := o.timeout
	if limit == 0 {
		limit = fallback
	}
	if limit == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, limit)
}

// logger writes to standard error.
func (o *options) logger(asJSON bool) *slog.Logger {
	level := slog.LevelInfo
	switch {
	case o.quiet:
		level = slog.LevelError
	case o.verbose:
		level = slog.LevelDebug
	}
	o.level.Set(level)
	h := &slog.HandlerOptions{Level: &o.level}
	if asJSON {
		return slog.New(slog.NewJSONHandler(o.errs, h))
	}
	return slog.New(slog.NewTextHandler(o.errs, h))
}

// systemConfig is where packages put the config.
const systemConfig = "/etc/streamdown/streamdown.yaml"

// configFile is the file that is used: the one that was named, or the first default that exists, or the first.
func (o *options) configFile() string {
	const local = "streamdown.yaml"
	if o.config != "" {
		return o.config
	}
	if _, err := os.Stat(local); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(systemConfig); err == nil {
			return systemConfig
		}
	}
	return local
}

// load reads the config; findings that are not errors are logged.
func (o *options) load(log *slog.Logger) (*config.Config, error) {
	c, findings := config.Load(o.configFile())
	if c == nil {
		return nil, &exitError{code: exitConfig, err: findings.Err()}
	}
	for _, f := range findings {
		if f.Severity == config.Note { // config lint shows them
			log.Debug("config", "finding", f.String())
			continue
		}
		log.Warn("config", "finding", f.String())
	}
	return c, nil
}
