package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/streamdown/streamdown/ui"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

func walVerify(o *options, dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Check every byte of the log",
		Long: `Checks every byte of the log: checksums, positions, and that the records of each lane follow each other. Exit code 0 if
it is clean, 4 if it is damaged, 6 if there was nothing to check or it could not be checked.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := o.dataDir(*dir)
			if err != nil {
				return unchecked(err)
			}
			ctx, cancel := o.within(cmd.Context(), 0)
			defer cancel()
			rep, err := wal.Verify(ctx, vfs.OS{}, dir, o.progress("verify"))
			if err != nil {
				return unchecked(err)
			}
			if o.json() {
				err = printJSON(o.out, rep, false)
			} else {
				_, err = fmt.Fprintln(o.out, plainLines(rep.String()))
			}
			return outcome(err, rep.Exit())
		},
	}
}

// outcome is the exit code of a check whose report is printed.
func outcome(err error, code int) error {
	if err == nil && code != exitOK {
		return &exitError{code: code}
	}
	return err
}

// unchecked says that a check could not be done; a config that cannot be read keeps its own code.
func unchecked(err error) error {
	if e := (*exitError)(nil); errors.As(err, &e) && e.code != exitFailed {
		return err
	} else if e != nil {
		return &exitError{code: exitUnchecked, err: e.err, try: e.try}
	}
	return &exitError{code: exitUnchecked, err: err}
}

// progress shows how far a long reading came: a bar on a terminal, otherwise a line now and then when -v is given.
func (o *options) progress(what string) func(done, total int64) {
	cfg := output(o.errs)
	if o.quiet || !cfg.Terminal && !o.verbose {
		return nil
	}
	view := ui.New(cfg)
	var last time.Time
	return func(done, total int64) {
		now := time.Now()
		if now.Sub(last) < 100*time.Millisecond && done < total {
			return
		}
		last = now
		line := fmt.Sprintf("%s %s of %s", what, ui.Bytes(float64(done)), ui.Bytes(float64(total)))
		_ = view.Draw(now, ui.Frame{Lines: []string{ui.Bar(float64(done), float64(total), 30) + " " + line}, Plain: line})
	}
}
