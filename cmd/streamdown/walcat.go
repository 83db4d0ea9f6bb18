package main

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

func walCat(o *options, dir *string) *cobra.Command {
	var from uint64
	var limit int64
	var lane string
	var records bool
	cmd := &cobra.Command{
		Use:   "cat",
		Short: "Print the entries, or the records in them",
		Long: `Prints the entries of the log, one a line, or with --records the records of its batches. In JSON each line is one
object; what is not UTF-8 is in key_base64 and value_base64.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if lane != "" {
				if err := api.CheckTarget(lane); err != nil {
					return usage("--lane with a topic, or topic/partition", "%w", err)
				}
			}
			dir, err := o.dataDir(*dir)
			if err != nil {
				return err
			}
			ctx, cancel := o.within(cmd.Context(), 0)
			defer cancel()
			out := bufio.NewWriter(o.out)
			cat := printer{o: &options{out: out, format: o.format}, left: limit}
			err = wal.Walk(ctx, vfs.OS{}, dir, streamdown.LSN(from), func(e *wal.Entry, tp streamdown.TopicPartition) error {
				switch {
				case lane != "" && (tp.Topic == "" || lane != "*" && lane != tp.Topic && lane != tp.String()):
					return nil
				case !records:
					return cat.entry(e, tp)
				case e.Kind == wal.KindBatch:
					return cat.records(e, tp)
				}
				return nil
			})
			if errors.Is(err, errEnough) {
				err = nil
			}
			if err = errors.Join(out.Flush(), err); errors.As(err, new(*wal.CorruptError)) {
				return &exitError{code: exitIntegrity, err: err, try: "streamdown wal verify lists all damage; the rest was printed"}
			}
			return err
		},
	}
	cmd.Flags().Uint64Var(&from, "from", 0, "begin with the entry at `LSN` (default the oldest)")
	cmd.Flags().Int64VarP(&limit, "limit", "n", 0, "print so many lines at most (default all)")
	cmd.Flags().StringVar(&lane, "lane", "", "only entries of this `TOPIC` or TOPIC/PARTITION")
	cmd.Flags().BoolVar(&records, "records", false, "print the records of batches")
	return cmd
}

var errEnough = errors.New("enough")

// printer prints lines until there were enough.
type printer struct {
	o    *options
	left int64 // 0 = no limit
}

func (p *printer) line(asJSON any, format string, args ...any) (err error) {
	if p.o.json() {
		err = printJSON(p.o.out, asJSON, true)
	} else {
		_, err = fmt.Fprintf(p.o.out, format+"\n", args...)
	}
	if p.left--; p.left == 0 && err == nil {
		return errEnough
	}
	return err
}

var kinds = map[wal.Kind]string{
	wal.KindMark: "mark", wal.KindLane: "lane", wal.KindBatch: "batch", wal.KindBinding: "binding", wal.KindProgress: "progress",
	wal.KindHold: "hold", wal.KindCluster: "cluster", wal.KindTopic: "topic", wal.KindOpened: "opened", wal.KindIdentity: "identity",
	wal.KindProof: "proof", wal.KindRepair: "repair",
	wal.KindQuarantine: "quarantine",
}

func (p *printer) entry(e *wal.Entry, tp streamdown.TopicPartition) error {
	line := struct {
		LSN       streamdown.LSN      `json:"lsn"`
		Kind      string              `json:"kind"`
		Topic     *string             `json:"topic"`
		Partition *int32              `json:"partition"`
		Ordinal   *streamdown.Ordinal `json:"ordinal"`
		Records   *int32              `json:"records"`
		Arrival   *time.Time          `json:"arrival"`
		Size      int                 `json:"size_bytes"`
	}{LSN: e.LSN, Kind: kinds[e.Kind], Size: e.Size()}
	if line.Kind == "" {
		line.Kind = fmt.Sprintf("kind %d", e.Kind)
	}
	text := fmt.Sprintf("%d %s", e.LSN, line.Kind)
	if tp.Topic != "" {
		line.Topic, line.Partition = &tp.Topic, &tp.Partition
		text += " " + plain(tp.String())
	}
	if e.Kind == wal.KindBatch {
		at := time.UnixMilli(e.Arrival).UTC()
		line.Ordinal, line.Records, line.Arrival = &e.Ordinal, &e.Count, &at
		text += fmt.Sprintf(" ordinals %d to %d at %s", e.Ordinal, e.Ordinal+streamdown.Ordinal(e.Count)-1, at.Format("2006-01-02T15:04:05.000Z"))
	}
	return p.line(line, "%s %d bytes", text, line.Size)
}

type recordLine struct {
	Topic       string             `json:"topic"`
	Partition   int32              `json:"partition"`
	Ordinal     streamdown.Ordinal `json:"ordinal"`
	Timestamp   *time.Time         `json:"timestamp"`
	Key         *string            `json:"key"`
	KeyBase64   []byte             `json:"key_base64,omitempty"`
	Value       *string            `json:"value"`
	ValueBase64 []byte             `json:"value_base64,omitempty"`
}

func (p *printer) records(e *wal.Entry, tp streamdown.TopicPartition) error {
	for r, err := range batch.Records(e.Body) {
		if err != nil {
			return fmt.Errorf("read batch at %d: %w", e.LSN, err)
		}
		line := recordLine{Topic: tp.Topic, Partition: tp.Partition, Ordinal: e.Ordinal + streamdown.Ordinal(r.OffsetDelta)}
		at := ""
		if r.Timestamp >= 0 {
			t := time.UnixMilli(r.Timestamp).UTC()
			line.Timestamp, at = &t, t.Format("2006-01-02T15:04:05.000Z")
		}
		line.Key, line.KeyBase64 = content(r.Key)
		line.Value, line.ValueBase64 = content(r.Value)
		text := strings.Join([]string{plain(tp.String()), fmt.Sprint(line.Ordinal), at, cell(r.Key), cell(r.Value)}, "\t")
		if err := p.line(line, "%s", text); err != nil {
			return err
		}
	}
	return nil
}

// content is text if b is UTF-8, otherwise bytes; null is neither.
func content(b []byte) (*string, []byte) {
	if b == nil {
		return nil, nil
	}
	if !utf8.Valid(b) {
		return nil, b
	}
	s := string(b)
	return &s, nil
}

func cell(b []byte) string {
	if b == nil {
		return "null"
	}
	return plain(string(b))
}
