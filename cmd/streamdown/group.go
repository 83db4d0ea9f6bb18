package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// group is a command that only has subcommands.
func group(name, short string) *cobra.Command {
	return &cobra.Command{
		Use:   name,
		Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			var names []string
			for _, c := range cmd.Commands() {
				names = append(names, c.Name())
			}
			list := cmd.CommandPath() + " " + strings.Join(names, "|")
			if len(args) > 0 {
				return usage(list, "unknown command %q", name+" "+args[0])
			}
			return usage(list, "%s needs a subcommand", name)
		},
	}
}
