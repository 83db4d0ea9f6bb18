package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/config"
	"github.com/streamdown/streamdown/connect/kafka"
	"github.com/streamdown/streamdown/reconcile"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

func reconcileCommand(o *options) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "reconcile [TARGET...]",
		Short: "Prove that what the log accepted is in Kafka: once, in order, unchanged",
		Long: `Compares the log with the live topics, batch by batch, and writes nothing anywhere. It needs no running process and does
not disturb one. TARGETs are topics, or topic/partition; without any, all that the log knows are compared.

Exit code 0: all that log and topics still keep was compared and is the same. 3: some of it could not be compared.
4: records are lost, doubled, reordered or altered. 6: nothing was compared. 69: the cluster does not answer.`,
		Args: func(_ *cobra.Command, args []string) error {
			for _, a := range args {
				if err := api.CheckTarget(a); err != nil {
					return usage("a topic, or topic/partition", "%w", err)
				}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := o.load(o.logger(false))
			if err != nil {
				return err
			}
			system, err := onlySystem(cfg)
			if err != nil {
				return err
			}
			if dir == "" {
				dir = cfg.Data.Dir
			}
			if dir, err = o.dataDir(dir); err != nil {
				return unchecked(err)
			}
			ctx, cancel := o.within(cmd.Context(), 0)
			defer cancel()
			rep, err := compare(ctx, o, dir, &system.Kafka, only(args))
			if err != nil {
				return notCompared(err, system)
			}
			if o.json() {
				err = printJSON(o.out, rep, false)
			} else {
				_, err = fmt.Fprintln(o.out, plainLines(rep.String()))
			}
			return outcome(err, rep.Exit())
		},
	}
	cmd.Flags().StringVar(&dir, "data", "", "compare the log in `DIR` (default data.dir of the config)")
	return cmd
}

func compare(ctx context.Context, o *options, dir string, k *config.Kafka, only func(streamdown.TopicPartition) bool) (*reconcile.Report, error) {
	log, err := wal.OpenReader(vfs.OS{}, dir)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	client, err := kafka.New(kafka.Config{
		Bootstrap: k.Bootstrap, ClientID: k.ClientID, RequestTimeout: k.RequestTimeout, Credentials: k.Security,
	})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return reconcile.Run(ctx, reconcile.Config{Log: log, Topic: reconcile.NewKafkaTopics(client), Only: only, Progress: o.progress("reconcile")})
}

// only selects the lanes of the targets; without any, all.
func only(targets []string) func(streamdown.TopicPartition) bool {
	if len(targets) == 0 {
		return nil
	}
	names := map[string]bool{}
	for _, t := range targets {
		names[t] = true
	}
	return func(tp streamdown.TopicPartition) bool { return names["*"] || names[tp.Topic] || names[tp.String()] }
}

// onlySystem is the one system that the streams go to, as node has it.
func onlySystem(cfg *config.Config) (*config.System, error) {
	s, ok := cfg.System(cfg.Streams[0].To)
	for i := range cfg.Streams {
		ok = ok && cfg.Streams[i].To == s.Name
	}
	if !ok {
		return nil, &exitError{
			code: exitConfig, err: fmt.Errorf("%s: the streams of one data directory go to one system; give the others a config of their own", cfg.Streams[0].To),
		}
	}
	return s, nil
}

// notCompared tells a cluster that does not answer from everything else that stood in the way.
func notCompared(err error, s *config.System) error {
	if kafka.CauseOf(err) != 0 {
		return &exitError{code: exitUnreachable, err: err, try: fmt.Sprintf("to change what it names, in systems.%s.kafka of the config or at the cluster", s.Name)}
	}
	if kafka.TroubleOf(err) != 0 || errors.Is(err, context.DeadlineExceeded) {
		return &exitError{code: exitUnreachable, err: err, try: fmt.Sprintf("again when %s answers; its bootstrap.servers are %v", s.Name, s.Kafka.Bootstrap)}
	}
	return unchecked(err)
}
