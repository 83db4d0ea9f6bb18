package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/config"
)

func configSchema(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the config file, for editors",
		Long: `Prints the JSON Schema (draft 2020-12) of the config file. Editors with a YAML language server check and complete the
file with it when its first line is

  # yaml-language-server: $schema=streamdown.schema.json

config lint knows more than the schema: what contradicts itself, and what is not there.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := o.out.Write(config.Schema())
			return err
		},
	}
}

func configDiff(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff [FILE [FILE]]",
		Short: "Print what differs in effect, and what of it a reload applies",
		Long: `Prints which keys differ in effect, defaults included, and whether a reload applies each or it needs a restart.

  streamdown config diff             what a reload of the running process would do; it reads its own file, and applies nothing
  streamdown config diff FILE        the running process, and FILE
  streamdown config diff A B         two files

Secrets are compared and never shown; only a FILE and a running process cannot compare theirs. Exit code 0 if nothing
differs, 3 if something does.`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := difference(cmd.Context(), o, args)
			if err != nil {
				return err
			}
			return printDifference(o, d)
		},
	}
	o.loginFlags(cmd)
	return cmd
}

// compared is what a comparison came to.
type compared struct {
	SchemaVersion int                `json:"schema_version"`
	Same          bool               `json:"same"`
	Applied       []api.ConfigChange `json:"applied"` // by a reload
	NeedsRestart  []api.ConfigChange `json:"needs_restart"`
	NotCompared   []string           `json:"not_compared"` // secrets
}

func difference(ctx context.Context, o *options, args []string) (d compared, err error) {
	d.SchemaVersion = 1
	load := func(file string) (*config.Config, error) {
		c, findings := config.Load(file)
		if c == nil {
			return nil, &exitError{code: exitConfig, err: findings.Err()}
		}
		return c, nil
	}
	if len(args) == 2 {
		a, err := load(args[0])
		if err != nil {
			return d, err
		}
		b, err := load(args[1])
		if err != nil {
			return d, err
		}
		d.add(config.Diff(a, b))
		return d, nil
	}
	c, err := o.client()
	if err != nil {
		return d, err
	}
	ctx, cancel := o.within(ctx, askTimeout)
	defer cancel()
	if len(args) == 0 {
		var would api.Reloaded
		if err := c.ask(ctx, http.MethodPost, "/-/reload?dry_run=true", nil, &would); err != nil {
			return d, err
		}
		d.Applied, d.NeedsRestart = would.Applied, would.NeedsRestart
		return d, nil
	}
	b, err := load(args[0])
	if err != nil {
		return d, err
	}
	var shown api.ShownConfig
	if err := c.ask(ctx, http.MethodGet, "/v1/config", nil, &shown); err != nil {
		return d, err
	}
	changes, hidden := config.DiffShown([]byte(shown.Text), b)
	d.add(changes)
	d.NotCompared = hidden
	return d, nil
}

func (d *compared) add(changes []config.Change) {
	known := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	for _, c := range changes {
		change := api.ConfigChange{Key: c.Key, Was: known(c.Was), Is: known(c.Is), Note: c.Note}
		if c.Live {
			d.Applied = append(d.Applied, change)
		} else {
			d.NeedsRestart = append(d.NeedsRestart, change)
		}
	}
}

func printDifference(o *options, d compared) error {
	d.Same = len(d.Applied)+len(d.NeedsRestart) == 0
	if o.json() {
		d.Applied, d.NeedsRestart = append([]api.ConfigChange{}, d.Applied...), append([]api.ConfigChange{}, d.NeedsRestart...)
		d.NotCompared = append([]string{}, d.NotCompared...)
		if err := printJSON(o.out, d, false); err != nil {
			return err
		}
	} else {
		printChanges(o, "a reload applies:", d.Applied)
		printChanges(o, "needs a restart:", d.NeedsRestart)
		if d.Same {
			fmt.Fprintln(o.out, "no difference")
		}
		for _, key := range d.NotCompared {
			fmt.Fprintf(o.out, "not compared: %s\n", plain(key))
		}
	}
	if d.Same {
		return nil
	}
	return &exitError{code: exitNo}
}

func printChanges(o *options, title string, changes []api.ConfigChange) {
	word := func(s *string) string {
		if s == nil {
			return "(not set)"
		}
		return plain(*s)
	}
	if len(changes) > 0 {
		fmt.Fprintln(o.out, title)
	}
	for _, c := range changes {
		fmt.Fprintf(o.out, "  %s: %s → %s\n", plain(c.Key), word(c.Was), word(c.Is))
		if c.Note != "" {
			fmt.Fprintf(o.out, "    %s\n", c.Note)
		}
	}
}
