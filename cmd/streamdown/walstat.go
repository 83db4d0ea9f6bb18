package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/ui"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

func walStat(o *options, dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "stat",
		Short: "Sum the log up: what it holds, and what of it was confirmed as far as it was noted",
		Long: `Sums the log up: its size, its lanes, and how many records of each were confirmed at the target when that was last
noted. After a crash more may be confirmed than was noted; streamdown reconcile asks the target.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := o.dataDir(*dir)
			if err != nil {
				return err
			}
			ctx, cancel := o.within(cmd.Context(), 0)
			defer cancel()
			segments, err := wal.Segments(ctx, vfs.OS{}, dir, false)
			if err != nil {
				return err
			}
			r, err := wal.OpenReader(vfs.OS{}, dir)
			if err != nil {
				return err
			}
			defer r.Close()
			book := delivery.New()
			end, err := r.Load(ctx, book)
			damaged := (*wal.CorruptError)(nil)
			if err != nil && !errors.As(err, &damaged) {
				return err
			}
			s := newStat(dir, segments, r, book)
			s.End = end
			if err := s.print(o); err != nil {
				return err
			}
			if damaged != nil {
				return &exitError{code: exitIntegrity, err: err, try: "streamdown wal verify lists all damage; what it covers is not in these figures"}
			}
			return nil
		},
	}
}

// stat is a log in figures.
type stat struct {
	SchemaVersion int             `json:"schema_version"`
	Dir           string          `json:"dir"`
	LogID         string          `json:"log_id"`
	Segments      int             `json:"segments"`
	Size          int64           `json:"size_bytes"`
	First         streamdown.LSN  `json:"first_lsn"`
	End           streamdown.LSN  `json:"end_lsn"`
	Watermark     streamdown.LSN  `json:"watermark_lsn"` // all below was confirmed when it was noted
	Backlog       int64           `json:"backlog_records"`
	Lanes         []statLane      `json:"lanes"`
	Holds         []delivery.Hold `json:"holds"`
}

type statLane struct {
	Topic     string             `json:"topic"`
	Partition int32              `json:"partition"`
	End       streamdown.Ordinal `json:"accepted_end"`
	Confirmed streamdown.Ordinal `json:"confirmed"`
	Backlog   int64              `json:"backlog_records"`
}

func newStat(dir string, segments []wal.SegmentInfo, r *wal.Reader, book *delivery.Book) *stat {
	s := &stat{
		SchemaVersion: 1, Dir: dir, LogID: r.Identity().String(), Segments: len(segments), First: r.First(), Watermark: book.Watermark(),
		Lanes: []statLane{}, Holds: book.Holds(),
	}
	for i := range segments {
		s.Size += segments[i].Size
	}
	for _, l := range book.Lanes() {
		tp, ok := r.LaneName(l.ID)
		if !ok {
			continue // reserved, or its name was damaged: wal verify tells
		}
		s.Lanes = append(s.Lanes, statLane{tp.Topic, tp.Partition, l.End, l.Confirmed, l.Backlog()})
		s.Backlog += l.Backlog()
	}
	slices.SortFunc(s.Lanes, func(a, b statLane) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return s
}

func (s *stat) print(o *options) error {
	if o.json() {
		return printJSON(o.out, s, false)
	}
	table(o.out,
		row("LOG", s.LogID),
		row("DIR", plain(s.Dir)),
		row("SIZE", fmt.Sprintf("%s in %s, log bytes %d to %d", ui.Bytes(float64(s.Size)), count(s.Segments, "segment"), s.First, s.End)),
		row("BACKLOG", count(s.Backlog, "record")+" not noted as confirmed"),
	)
	for _, h := range s.Holds {
		fmt.Fprintf(o.out, "held  %s: %s\n", plain(h.Target), plain(h.Reason))
	}
	if len(s.Lanes) == 0 {
		return nil
	}
	fmt.Fprintln(o.out)
	rows := []string{row("LANE", "ACCEPTED", "CONFIRMED", "BACKLOG")}
	for _, l := range s.Lanes {
		rows = append(rows, row(fmt.Sprintf("%s/%d", plain(l.Topic), l.Partition), ui.Exact(l.End), ui.Exact(l.Confirmed), ui.Exact(l.Backlog)))
	}
	table(o.out, rows...)
	return nil
}
