package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/ui"
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
				return watchStatus(cmd.Context(), o, c, time.Second)
			}
			return oneStatus(cmd.Context(), o, c)
		},
	}
	o.loginFlags(cmd)
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
	writeStatus(o.out, &s, ui.Paint(painter(o.out)))
	return nil
}

// watchStatus goes on while the process is away: that is when people watch. Only its first answer has to come.
func watchStatus(ctx context.Context, o *options, c *client, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	view := ui.New(output(o.out))
	for first := true; ; first = false {
		asking, cancel := o.within(ctx, askTimeout)
		s, err := c.status(asking)
		cancel()
		if away := (*exitError)(nil); err != nil && (first || !errors.As(err, &away) || away.code != exitUnreachable) {
			return err
		}
		if err = showStatus(o, view, &s, err); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// showStatus shows one answer of many, or that there was none.
func showStatus(o *options, view *ui.View, s *api.Status, away error) error {
	var page bytes.Buffer
	switch {
	case away != nil && view.Live() && !o.json():
		page.WriteString(view.Paint().Bad("NO ANSWER") + "  " + away.Error())
	case away != nil:
		fmt.Fprintln(o.errs, time.Now().UTC().Format(time.RFC3339), away)
		return nil
	case o.json():
		return printJSON(o.out, s, true)
	default:
		writeStatus(&page, s, view.Paint())
	}
	if view.Live() {
		return view.Draw(time.Now(), ui.Frame{Lines: strings.Split(strings.TrimRight(page.String(), "\n"), "\n")})
	}
	page.WriteString("\n")
	_, err := o.out.Write(page.Bytes())
	return err
}
