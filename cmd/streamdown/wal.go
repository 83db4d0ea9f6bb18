package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func walCommand(o *options) *cobra.Command {
	cmd := group("wal", "Look at the log of a data directory, also while a process uses it, and mend it")
	var dir string
	cmd.PersistentFlags().StringVar(&dir, "data", "", "look at the log in `DIR` (default data.dir of the config)")
	cmd.AddCommand(walLs(o, &dir), walStat(o, &dir), walVerify(o, &dir), walCat(o, &dir), walSalvage(o, &dir))
	return cmd
}

// dataDir is --data, or data.dir of the config.
func (o *options) dataDir(named string) (string, error) {
	if named == "" {
		c, err := o.load(o.logger(false))
		if err != nil {
			return "", err
		}
		named = c.Data.Dir
	}
	info, err := os.Stat(named)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a directory", named)
	}
	if err != nil {
		return "", &exitError{code: exitFailed, err: fmt.Errorf("data directory: %w", err), try: "--data DIR, or -c with the config of the process that wrote the log"}
	}
	return named, nil
}
