package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/streamdown/streamdown/api"
)

// settleTimeout is longer than a process takes for one batch.
const settleTimeout = 28 * time.Second

func quarantineRetry(o *options) *cobra.Command {
	var s settling
	cmd := &cobra.Command{
		Use:   "retry TARGET...",
		Short: "Send batches again, each once, behind what came after them",
		Long: `Sends batches again: '*', those of a topic, of topic/partition, or one. Each goes under a producer id of its own, after a
look at the target whether it is there already, and is listed as late, with its offset. What is refused again stays in
quarantine. It may be broken off and given again: nothing is stored twice.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s.path = "/v1/quarantine/retry"
			return s.run(cmd.Context(), o, args)
		},
	}
	s.flags(o, cmd)
	cmd.Flags().BoolVar(&s.unproven, "unproven", false, "send what may be at the target already, where that cannot be found out any more")
	return cmd
}

func quarantineDiscard(o *options) *cobra.Command {
	var s settling
	cmd := &cobra.Command{
		Use:   "discard TARGET... --reason WHY",
		Short: "Give batches up for good",
		Long: `Gives batches up: '*', those of a topic, of topic/partition, or one. Who did that, when and why is kept in the log; the
records are gone. Export them first, if anybody may want them.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if s.reason == "" {
				return usage("--reason with a few words for whoever asks for these records", "discard needs a reason")
			}
			s.path = "/v1/quarantine/discard"
			return s.run(cmd.Context(), o, args)
		},
	}
	s.flags(o, cmd)
	return cmd
}

// settling is an order about some batches.
type settling struct {
	path, reason       string
	dry, yes, unproven bool
}

func (s *settling) flags(o *options, cmd *cobra.Command) {
	o.loginFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&s.reason, "reason", "", "say `WHY`; kept in the log")
	f.BoolVar(&s.dry, "dry-run", false, "say what would be done, and change nothing")
	f.BoolVarP(&s.yes, "yes", "y", false, "do it without asking")
}

func (s *settling) run(ctx context.Context, o *options, targets []string) error {
	c, err := o.client()
	if err != nil {
		return err
	}
	list, _, err := func() ([]listed, int, error) {
		ctx, cancel := o.within(ctx, askTimeout)
		defer cancel()
		return (&ward{at: c}).list(ctx)
	}()
	if err != nil {
		return err
	}
	some, err := chosen(list, targets)
	if err != nil {
		return err
	}
	if !s.dry && !s.yes {
		if err := s.plan(ctx, o, c, some); err != nil {
			return err
		}
		if !asked() {
			return &exitError{code: exitApproval, err: errors.New("nothing was done: a person has to agree"), try: "the same with -y, or on a terminal"}
		}
	}
	return s.each(ctx, o, c, some, s.dry)
}

// plan shows what would be done.
func (s *settling) plan(ctx context.Context, o *options, c *client, some []listed) error {
	return s.each(ctx, o, c, some, true)
}

// each carries the order out, batch by batch, in the order of each lane; the first that fails ends it.
func (s *settling) each(ctx context.Context, o *options, c *client, some []listed, dry bool) error {
	for i := range some {
		var done api.QuarantineDone
		err := func() error {
			ctx, cancel := o.within(ctx, settleTimeout)
			defer cancel()
			return c.ask(ctx, http.MethodPost, s.path, api.QuarantineOrder{ID: some[i].ID, Reason: s.reason, DryRun: dry, Unproven: s.unproven}, &done)
		}()
		if err != nil {
			return err
		}
		if o.json() {
			if err := printJSON(o.out, done, true); err != nil {
				return err
			}
			continue
		}
		text := fmt.Sprintf("%s: %s, %s", plain(done.Batch.ID), outcomes[done.Outcome], count(done.Batch.Records, "record"))
		if done.Batch.Offset != nil {
			text += fmt.Sprintf(", at offset %d", *done.Batch.Offset)
		}
		fmt.Fprintln(o.out, text)
	}
	return nil
}

// outcomes are the words for what came of an order.
var outcomes = map[string]string{
	"sent": "sent", "found": "is at the target already, and was not sent", "discarded": "discarded",
	"would send": "would be sent", "would discard": "would be discarded",
}
