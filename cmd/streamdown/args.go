package main

import "github.com/spf13/cobra"

// exactly wants one argument.
func exactly(name, example string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return usage(example, "%s needs %s", cmd.CommandPath(), name)
		case len(args) > 1:
			return usage(example+" (quote it: the shell expands *)", "%s takes one %s, not %d", cmd.CommandPath(), name, len(args))
		}
		return nil
	}
}
