package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/streamdown/streamdown/ui"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

func walLs(o *options, dir *string) *cobra.Command {
	var full bool
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the segments",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := o.dataDir(*dir)
			if err != nil {
				return err
			}
			ctx, cancel := o.within(cmd.Context(), 0)
			defer cancel()
			segments, err := wal.Segments(ctx, vfs.OS{}, dir, full)
			if err != nil {
				return err
			}
			if o.json() {
				if segments == nil {
					segments = []wal.SegmentInfo{}
				}
				return printJSON(o.out, struct {
					SchemaVersion int               `json:"schema_version"`
					Dir           string            `json:"dir"`
					Segments      []wal.SegmentInfo `json:"segments"`
				}{1, dir, segments}, false)
			}
			table(o.out, segmentRows(segments, full)...)
			return nil
		},
	}
	cmd.Flags().BoolVar(&full, "count", false, "read the whole log and count what the segments hold")
	return cmd
}

func segmentRows(segments []wal.SegmentInfo, counted bool) []string {
	head := []string{"SEGMENT", "SIZE", "FIRST LSN", "END LSN", "CREATED", "HEADER"}
	if counted {
		head = append(head, "ENTRIES", "BATCHES", "RECORDS", "DAMAGE")
	}
	rows := []string{row(head...)}
	for i := range segments {
		s := &segments[i]
		created, header := ui.Unknown, "damaged"
		if !s.Created.IsZero() {
			created = s.Created.Format(time.RFC3339)
		}
		if s.Whole {
			header = "ok"
		}
		cells := []string{s.Name, ui.Bytes(float64(s.Size)), fmt.Sprint(s.First), fmt.Sprint(s.End), created, header}
		if c := s.Counts; c != nil {
			cells = append(cells, ui.Exact(c.Entries), ui.Exact(c.Batches), ui.Exact(c.Records), ui.Exact(c.Damage))
		}
		rows = append(rows, row(cells...))
	}
	return rows
}
