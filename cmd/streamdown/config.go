package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/streamdown/streamdown/config"
)

func configCommand(o *options) *cobra.Command {
	cmd := group("config", "Check, show and compare the config file")
	cmd.AddCommand(configLint(o), configShow(o), configDiff(o), configSchema(o))
	return cmd
}

// lookupFor bounds how long lint asks for the names that clients are told.
const lookupFor = 2 * time.Second

func configLint(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "lint",
		Short: "Print everything that is wrong with the config file",
		Long:  "Prints everything that is wrong with the config file, errors and warnings. Exit code 78 if there is an error.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			file := o.configFile()
			cfg, findings := config.Load(file)
			if cfg != nil {
				ctx, cancel := context.WithTimeout(cmd.Context(), lookupFor)
				defer cancel()
				findings = append(findings, cfg.Unresolved(ctx, file, net.DefaultResolver.LookupHost)...)
			}
			if err := printFindings(o, file, findings); err != nil {
				return err
			}
			if findings.Err() != nil {
				return &exitError{code: exitConfig}
			}
			return nil
		},
	}
}

type finding struct {
	File     string  `json:"file"`
	Line     *int    `json:"line"` // null if it is about the whole file
	Column   *int    `json:"column"`
	Key      string  `json:"key"`
	Severity string  `json:"severity"`
	Text     string  `json:"text"`
	Meant    *string `json:"meant"`
}

func printFindings(o *options, file string, findings config.Findings) error {
	if !o.json() {
		text := findings.String()
		if len(findings) == 0 {
			text = file + ": ok"
		}
		_, err := fmt.Fprintln(o.out, text)
		return err
	}
	list := make([]finding, 0, len(findings))
	for _, f := range findings {
		j := finding{File: f.File, Key: f.Key, Severity: f.Severity.String(), Text: f.Text}
		if f.Line > 0 {
			j.Line, j.Column = &f.Line, &f.Column
		}
		if f.Meant != "" {
			j.Meant = &f.Meant
		}
		list = append(list, j)
	}
	return printJSON(o.out, struct {
		SchemaVersion int       `json:"schema_version"`
		File          string    `json:"file"`
		OK            bool      `json:"ok"`
		Findings      []finding `json:"findings"`
	}{1, file, findings.Err() == nil, list}, false)
}

func configShow(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Print the config with every default and reference filled in, without secrets",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := o.load(o.logger(false))
			if err != nil {
				return err
			}
			shown := c.Show()
			if !o.json() {
				_, err := o.out.Write(shown)
				return err
			}
			b, err := yaml.YAMLToJSON(shown)
			if err != nil {
				return fmt.Errorf("turn the config into JSON: %w", err)
			}
			return printJSON(o.out, struct {
				SchemaVersion int             `json:"schema_version"`
				Config        json.RawMessage `json:"config"`
			}{1, b}, false)
		},
	}
}
