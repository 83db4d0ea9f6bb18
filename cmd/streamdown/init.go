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
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a commented config file",
		Long:  "Writes a commented config file for a Kafka cluster. A file that is there already is not touched.",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text := config.Template(bootstrap)
			if _, findings := config.Parse(file, text, nil); len(findings) > 0 {
				return usage("--bootstrap k1:9092,k2:9092", "--bootstrap %q: %s", plain(bootstrap), findings[0].Text)
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
	cmd.Flags().StringVar(&bootstrap, "bootstrap", "", "the cluster is at `HOST:PORT,...` (default localhost:9092)")
	cmd.Flags().StringVarP(&file, "output", "o", "streamdown.yaml", "write `FILE`; - is standard output")
	return cmd
}

func writeNew(file string, text []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return &exitError{code: exitFailed, err: fmt.Errorf("%s exists and is left as it is", file), try: "-o with another name, or -o - to see what would be written"}
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
