package main

import (
	"errors"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/streamdown/streamdown/config"
)

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

// defaultsWithout returns the config that init would write, if there is no file.
func defaultsWithout(file string) (*config.Config, bool) {
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return nil, false
	}
	c, findings := config.Parse(file, config.Template(""), nil)
	return c, len(findings) == 0
}
