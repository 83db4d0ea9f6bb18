package main

import (
	"github.com/spf13/cobra"

	"github.com/streamdown/streamdown/api"
)

func resumeCommand(o *options) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "resume TARGET",
		Short: "End a hold, or let lanes that an error stopped try again",
		Long: `Ends the hold that was given under exactly this name ('*', a topic, or topic/partition), and lets lanes of that name
that were stopped by an error try again.`,
		Args: exactly("TARGET", "streamdown resume '*'"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return order(cmd, o, "/v1/resume", api.Order{Target: args[0], Reason: reason})
		},
	}
	o.loginFlags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "say `WHY`; it is logged")
	return cmd
}
