package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/streamdown/streamdown/demo"
	"github.com/streamdown/streamdown/ui"
)

func demoCommand(o *options) *cobra.Command {
	var cfg demo.Config
	var plant string
	var headless bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch a rescue: an embedded broker goes away and comes back, producers notice nothing",
		Long: `demo starts an embedded broker (kfake of franz-go: the real protocol, but no Kafka), streamdown in front of it,
producers that know streamdown only, and a consumer that reads the broker directly. The broker is stopped for a while
and started again. At the end it proves from what the consumer read that every acked record arrived once, in order.

With --plant a fault is put between streamdown and the broker, and the verdict has to fail (exit code 4):

  drop    one record is taken out of its batch
  dup     one batch is stored twice
  swap    two records of one batch change places

With --format json the last line of standard output is one JSON object; progress goes to standard error.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			ctx, cancel := o.within(ctx, 0)
			defer cancel()
			cfg.Plant, cfg.Version = demo.Plant(plant), build()
			if err := cfg.Validate(); err != nil {
				return usage("streamdown demo --help", "%w", err)
			}
			cfg.View = o.view(headless)
			res, err := demo.Run(ctx, cfg)
			if err != nil {
				return err
			}
			if o.json() {
				err = printJSON(o.out, res, true)
			} else {
				_, err = o.out.Write([]byte(res.Text(ui.Paint(painter(o.out)))))
			}
			if err == nil && res.Exit() != exitOK {
				err = &exitError{code: res.Exit()}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.DurationVar(&cfg.Duration, "duration", 0, "how long producers send, the outage included (default 14s)")
	f.DurationVar(&cfg.Outage, "outage", 0, "how long the broker is away (default 7s)")
	f.IntVar(&cfg.Producers, "producers", 0, "number of producers (default 4)")
	f.IntVar(&cfg.Partitions, "partitions", 0, "number of partitions (default 3)")
	f.IntVar(&cfg.Rate, "rate", 0, "records per second of all producers together (default 3000)")
	f.Uint64Var(&cfg.Seed, "seed", 0, "seed of record sizes and of the planted fault (default a new one)")
	f.StringVar(&plant, "plant", "", "plant a fault: drop, dup or swap")
	f.BoolVar(&cfg.Keep, "keep", false, "keep the broker's data and the log, and say where they are")
	f.BoolVar(&headless, "headless", false, "no live view: progress in plain lines on standard error")
	return cmd
}

// view shows progress on standard output, or where it does not mix with what was asked for.
func (o *options) view(headless bool) ui.Config {
	w := o.out
	if headless || o.json() {
		w = o.errs
	}
	c := ui.Config{Out: w}
	if f, ok := w.(*os.File); ok {
		c = ui.Detect(f, os.Getenv)
	}
	c.Terminal = c.Terminal && !headless
	return c
}
