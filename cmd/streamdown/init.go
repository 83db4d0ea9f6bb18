package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/streamdown/streamdown/config"
)

func initCommand(o *options) *cobra.Command {
	var bootstrap, file string
	var offline bool
	cmd := &cobra.Command{
		Use:   "init [HOST:PORT,...]",
		Short: "Write a commented config file",
		Long: `Writes a commented config file for a Kafka cluster. It asks the cluster what it needs of TLS and logins, and which
topics it has, and proposes streams for them; a cluster that cannot be reached is no reason not to write the file. A file
that is there already is not touched.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				if bootstrap != "" {
					return usage("streamdown init k1:9092,k2:9092", "the cluster is named twice")
				}
				bootstrap = args[0]
			}
			text := config.Template(bootstrap)
			if _, findings := config.Parse(file, text, nil); len(findings) > 0 {
				return usage("--bootstrap k1:9092,k2:9092", "--bootstrap %q: %s", plain(bootstrap), findings[0].Text)
			}
			if err := notThere(file); err != nil {
				return err
			}
			if bootstrap != "" && !offline {
				proposal, said := probe(cmd.Context(), bootstrap)
				for _, s := range said {
					fmt.Fprintf(o.errs, "%s: %s\n", plain(bootstrap), plain(s))
				}
				text = config.Propose(proposal)
			}
			if file == "-" {
				_, err := o.out.Write(text)
				return err
			}
			if err := writeNew(file, text); err != nil {
				return err
			}
			fmt.Fprintf(o.errs, "wrote %s; next: streamdown run -c %s, then set bootstrap.servers of the producers to listen.kafka\n", file, file)
			return nil
		},
	}
	cmd.Flags().StringVar(&bootstrap, "bootstrap", "", "the cluster is at `HOST:PORT,...`, as the argument says too (default localhost:9092, which is not asked)")
	cmd.Flags().BoolVar(&offline, "offline", false, "do not ask the cluster")
	cmd.Flags().StringVarP(&file, "output", "o", "streamdown.yaml", "write `FILE`; - is standard output")
	return cmd
}

// notThere spares a cluster that is asked for nothing.
func notThere(file string) error {
	if _, err := os.Lstat(file); file == "-" || err != nil {
		return nil // what else is wrong with it, writing it says
	}
	return exists(file)
}

func exists(file string) error {
	return &exitError{code: exitFailed, err: fmt.Errorf("%s exists and is left as it is", file), try: "-o with another name, or -o - to see what would be written"}
}

func writeNew(file string, text []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return exists(file)
	}
	if err != nil {
		return &exitError{code: exitFailed, err: err, try: "-o with a place that this user may write to"}
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(file)) // half a config would be refused later, without saying why
	}
	return nil
}
