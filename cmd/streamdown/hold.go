package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/streamdown/streamdown/api"
)

func holdCommand(o *options) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "hold TARGET --reason WHY",
		Short: "Stop forwarding on purpose; producers go on",
		Long: `Stops forwarding of all lanes ('*'), of a topic, or of one partition (topic/partition) until it is resumed, also
across restarts. Records go on being accepted and stay in the log.`,
		Args: exactly("TARGET", "streamdown hold '*' --reason WHY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return usage("--reason with a few words for whoever finds the lanes held", "hold needs a reason")
			}
			return order(cmd, o, "/v1/hold", api.Order{Target: args[0], Reason: reason})
		},
	}
	o.loginFlags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "say `WHY`; shown by status and kept with the hold")
	return cmd
}

// order gives an order to the running process and prints what became of it.
func order(cmd *cobra.Command, o *options, path string, what api.Order) error {
	if err := api.CheckTarget(what.Target); err != nil {
		return usage("'*' for all lanes, a topic, or topic/partition", "%w", err)
	}
	c, err := o.client()
	if err != nil {
		return err
	}
	ctx, cancel := o.within(cmd.Context(), askTimeout)
	defer cancel()
	done, err := c.order(ctx, path, what)
	if err != nil {
		return err
	}
	if o.json() {
		return printJSON(o.out, done, false)
	}
	verb := "resumed"
	if done.Held {
		verb = "held"
	}
	fmt.Fprintf(o.out, "%s %s (%s)\n", verb, plain(done.Target), count(done.Lanes, "lane"))
	if done.Lanes == 0 {
		fmt.Fprintln(o.out, "there is no such lane yet")
	}
	for _, other := range done.StillHeldBy {
		fmt.Fprintf(o.out, "still held by %s; to end that too: streamdown resume '%s'\n", plain(other), plain(other))
	}
	return nil
}
