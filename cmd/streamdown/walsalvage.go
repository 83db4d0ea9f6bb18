package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/ingest"
	"github.com/streamdown/streamdown/ledger"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

func walSalvage(o *options, dir *string) *cobra.Command {
	var cfg wal.SalvageConfig
	var yes, dry bool
	cmd := &cobra.Command{
		Use:   "salvage",
		Short: "Bring a damaged data directory to where its log opens; deletes nothing",
		Long: `Reads all that lies in a data directory, says what each file is, what is lost and what it would do about it, and does
that when a person agrees: with y on a terminal, or with -y. Files get their names back, damaged headers and states are
built anew from what is whole, files of other logs are set aside. No file is deleted or written over: what was replaced
stays beside the new file as NAME.broken-TIME, what is set aside as NAME.aside-TIME. It may be interrupted and run again.

A log that cannot be opened any more can be exported, and a new one begun: --export DIR --new-log. Exporting alone
changes nothing in the data directory.

Exit code 0: the log opens and nothing is lost. 3: --dry-run, and there is something to do. 4: something is lost, and is
named, or the log cannot be opened. 5: a person has to agree. 6: there is no log.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if *dir == "" {
				c, err := o.load(o.logger(false))
				if err != nil {
					return err
				}
				*dir = c.Data.Dir
				if cfg.Refuge == "" {
					cfg.Refuge = c.Data.Refuge
				}
			}
			var err error
			if cfg.Dir, err = o.dataDir(*dir); err != nil {
				return err
			}
			if err := owns(cfg.Dir); err != nil {
				return err
			}
			if cfg.NewLog && cfg.Export == "" {
				return usage("--export DIR --new-log", "--new-log needs --export: what is whole in the old log would never be delivered")
			}
			cfg.FS, cfg.Report = vfs.OS{}, o.progress("salvage")
			ctx, cancel := o.within(cmd.Context(), 0)
			defer cancel()
			for {
				again, err := salvageOnce(ctx, o, cfg, yes, dry)
				if err != nil || !again {
					return err
				}
			}
		},
	}
	f := cmd.Flags()
	f.BoolVar(&dry, "dry-run", false, "print the plan and change nothing")
	f.BoolVarP(&yes, "yes", "y", false, "carry the plan out without asking")
	f.StringVar(&cfg.Export, "export", "", "write all whole batches to `DIR`, which must be new or empty")
	f.BoolVar(&cfg.NewLog, "new-log", false, "set a log aside that cannot be opened, so that a new one begins; needs --export")
	f.StringVar(&cfg.Log, "log", "", "the log of this directory is `ID`: for one that has segments of several")
	f.StringVar(&cfg.Refuge, "refuge", "", "the log's second directory is `DIR` (default data.refuge, or what the log itself names)")
	return cmd
}

// salvageOnce plans, asks and carries out. again is set when that only finished an earlier salvage.
func salvageOnce(ctx context.Context, o *options, cfg wal.SalvageConfig, yes, dry bool) (again bool, err error) {
	book := delivery.New() // the books of a node
	cfg.Books = []wal.Book{book, ingest.New(ingest.Config{Confirmations: book}), catalog.New(), ledger.New(ledger.Config{})}
	cfg.Progress = func(id streamdown.LaneID) (end, confirmed streamdown.Ordinal) {
		l := book.Lane(id)
		return l.End, l.Confirmed
	}
	s, err := wal.OpenSalvage(ctx, cfg)
	if errors.Is(err, vfs.ErrLocked) {
		return false, &exitError{code: exitFailed, err: fmt.Errorf("a process has the data directory %s: %w", cfg.Dir, err), try: "stop that process; streamdown wal verify may run beside it"}
	}
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	p := s.Plan()
	todo := len(p.Steps) > 0 || p.Export != nil
	if !o.json() {
		if _, err := fmt.Fprintln(o.out, plainLines(p.String())); err != nil {
			return false, err
		}
	}
	end := func(code int) error {
		if o.json() {
			err = printJSON(o.out, p, false)
		}
		return outcome(err, code)
	}
	switch {
	case dry && len(p.Steps) > 0:
		return false, end(max(exitNo, p.Exit()))
	case dry || !todo:
		return false, end(p.Exit())
	case len(p.Steps) > 0 && !yes:
		if !asked() {
			return false, errors.Join(end(exitOK), &exitError{code: exitApproval, err: errors.New("nothing was changed: a person has to agree to the plan"), try: "the same with -y, or on a terminal"})
		}
	}
	if err := s.Run(ctx); err != nil {
		return false, err
	}
	if p.Verdict == wal.SalvageInterrupted {
		return true, nil
	}
	if !o.json() {
		if _, err := fmt.Fprintln(o.out, plainLines(p.Summary())); err != nil {
			return false, err
		}
	}
	return false, end(p.Exit())
}

// owns checks that this is the user that wrote the log: files of another one would keep it from being opened.
func owns(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return &exitError{code: exitFailed, err: fmt.Errorf("data directory: %w", err), try: "the user that the process runs as"}
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
			return &exitError{
				code: exitFailed, err: fmt.Errorf("%s belongs to the user with id %d, not to this one, %d", filepath.Join(dir, f.Name()), st.Uid, os.Geteuid()),
				try: fmt.Sprintf("sudo -u '#%d' streamdown wal salvage", st.Uid),
			}
		}
	}
	return nil
}

// asked reports whether a person at the terminal agrees. The question goes to the terminal, wherever the output goes.
func asked() bool {
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return false
	}
	tty, err := os.OpenFile("/dev/tty", os.O_WRONLY, 0)
	if err != nil {
		return false
	}
	defer tty.Close()
	fmt.Fprint(tty, "carry this out? [y/N] ")
	line, _ := bufio.NewReader(os.Stdin).ReadString('\n') // what cannot be read is no yes
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}
