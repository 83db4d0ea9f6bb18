package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func statusCommand(o *options) *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how the running process stands",
		Long: `Shows how the running process stands, from its memory: nothing here waits for Kafka. With --watch once a second until
interrupted; in JSON then one line each.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.client()
			if err != nil {
				return err
			}
			if watch {
				return watchStatus(cmd.Context(), o, c)
			}
			return oneStatus(cmd.Context(), o, c)
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show it again every second")
	return cmd
}

func oneStatus(ctx context.Context, o *options, c *client) error {
	ctx, cancel := o.within(ctx, askTimeout)
	defer cancel()
	s, err := c.status(ctx)
	if err != nil {
		return err
	}
	if o.json() {
		return printJSON(o.out, s, false)
	}
	writeStatus(o.out, &s, painter(o.out))
	return nil
}

// watchStatus goes on while the process is away: that is when people watch. Only its first answer has to come.
func watchStatus(ctx context.Context, o *options, c *client) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	color := painter(o.out)
	for first := true; ; first = false {
		asking, cancel := o.within(ctx, askTimeout)
		s, err := c.status(asking)
		cancel()
		var page bytes.Buffer
		switch {
		case err != nil && first:
			return err
		case err != nil:
			unreachable := (*exitError)(nil)
			if !errors.As(err, &unreachable) || unreachable.code != exitUnreachable {
				return err
			}
			fmt.Fprintln(o.errs, time.Now().UTC().Format(time.RFC3339), err)
		case o.json():
			if err := printJSON(&page, s, true); err != nil {
				return err
			}
		default:
			if color {
				page.WriteString("\x1b[H\x1b[2J") // a terminal: the same place each time
			}
			writeStatus(&page, &s, color)
			if !color {
				page.WriteString("\n")
			}
		}
		if _, err := o.out.Write(page.Bytes()); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
