package main

import (
	"github.com/spf13/cobra"

	"github.com/streamdown/streamdown/service"
)

func genCommand(o *options) *cobra.Command {
	cmd := group("gen", "Print files for other programs: a systemd unit")
	cmd.AddCommand(genSystemd(o))
	return cmd
}

func genSystemd(o *options) *cobra.Command {
	var u service.Unit
	cmd := &cobra.Command{
		Use:   "systemd",
		Short: "Print a systemd unit",
		Long: `Prints a systemd unit, with comments, for /etc/systemd/system/streamdown.service. docs/running-under-systemd.md says how
to install it and how to upgrade without a client noticing.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := u.Text()
			if err != nil {
				return usage("streamdown gen systemd --help", "%w", err)
			}
			if o.json() {
				return printJSON(o.out, struct {
					SchemaVersion int    `json:"schema_version"`
					Name          string `json:"name"`
					Text          string `json:"text"`
				}{1, "streamdown.service", string(text)}, false)
			}
			_, err = o.out.Write(text)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&u.Binary, "binary", "/usr/bin/streamdown", "the program is `FILE`")
	f.StringVar(&u.Config, "run-config", systemConfig, "its config is `FILE`")
	f.StringVar(&u.User, "user", "streamdown", "it runs as `USER`")
	f.StringSliceVar(&u.Data, "data", nil, "data.dir or data.refuge is `DIR`, if that is not below /var/lib/streamdown; may come again")
	return cmd
}
