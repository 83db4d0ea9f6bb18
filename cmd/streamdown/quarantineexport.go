package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/quarantine"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

func quarantineShow(o *options, dir *string) *cobra.Command {
	var most int64
	cmd := &cobra.Command{
		Use:   "show TOPIC/PARTITION@ORDINAL",
		Short: "Show one batch: why it is there, and its records",
		Args:  exactly("a batch", "streamdown quarantine show orders/0@1200"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, _, err := quarantine.ParseID(args[0]); err != nil {
				return usage("streamdown quarantine ls", "%w", err)
			}
			w, err := o.ward(*dir)
			if err != nil {
				return err
			}
			ctx, cancel := o.within(cmd.Context(), askTimeout)
			defer cancel()
			list, _, err := w.list(ctx)
			if err != nil {
				return err
			}
			some, err := chosen(list, args)
			if err != nil {
				return err
			}
			b := &some[0]
			r, body, err := w.get(ctx, b)
			if err != nil {
				return err
			}
			if o.json() {
				if err := printJSON(o.out, b, true); err != nil {
					return err
				}
			} else {
				fmt.Fprintf(o.out, "%s: %s of %s, accepted %s\n", plain(b.ID), count(int64(r.Records), "record"), count(int64(len(body)), "byte"), stamp(r.Arrival))
				fmt.Fprintf(o.out, "%s since %s, log %s\n%s\n", standing(&b.Quarantined), stamp(r.At), plain(r.Log), plain(r.Reason))
				if b.File != nil {
					fmt.Fprintf(o.out, "%s\n", plain(*b.File))
				}
			}
			out := bufio.NewWriter(o.out)
			p := printer{o: &options{out: out, format: o.format}, left: most}
			if err := p.content(r, body); err != nil && !errors.Is(err, errEnough) {
				return errors.Join(out.Flush(), err)
			}
			return out.Flush()
		},
	}
	o.loginFlags(cmd)
	cmd.Flags().Int64VarP(&most, "limit", "n", 10, "print so many records at most (0 = all)")
	return cmd
}

// content prints the records of a batch.
func (p *printer) content(r *quarantine.Record, body []byte) error {
	return p.records(&wal.Entry{Ordinal: r.From, Count: r.Records, Body: body}, r.TopicPartition())
}

func quarantineExport(o *options, dir *string) *cobra.Command {
	var to string
	var records bool
	cmd := &cobra.Command{
		Use:   "export TARGET... --to DIR | --records",
		Short: "Write batches to files, or print their records",
		Long: `Writes batches as they are: DIR/TOPIC-PARTITION/ORDINAL.log holds one batch for kafka-dump-log and the like, the .json
beside it tells why it was refused. With --records their records are printed, one JSON object a line, with their headers;
what is not UTF-8 is in base64. TARGET is '*', a topic, topic/partition, or a batch. Nothing is changed.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if to == "" && !records {
				return usage("--to DIR, or --records", "export where to?")
			}
			w, err := o.ward(*dir)
			if err != nil {
				return err
			}
			ctx, cancel := o.within(cmd.Context(), 0)
			defer cancel()
			list, _, err := w.list(ctx)
			if err != nil {
				return err
			}
			some, err := chosen(list, args)
			if err != nil {
				return err
			}
			out := bufio.NewWriter(o.out)
			defer func() { err = errors.Join(err, out.Flush()) }()
			for i := range some {
				r, body, err := w.get(ctx, &some[i])
				if err != nil {
					return err
				}
				if to != "" {
					name, err := exportBatch(to, r, body)
					if err != nil {
						return err
					}
					if !records && o.json() {
						if err := printJSON(out, map[string]any{"id": r.ID(), "file": name}, true); err != nil {
							return err
						}
					} else if !records {
						fmt.Fprintln(out, plain(name))
					}
				}
				if records {
					if err := exportRecords(out, r, body); err != nil {
						return err
					}
				}
			}
			return out.Flush()
		},
	}
	o.loginFlags(cmd)
	cmd.Flags().StringVar(&to, "to", "", "write files below `DIR`")
	cmd.Flags().BoolVar(&records, "records", false, "print the records, one JSON object a line")
	return cmd
}

// exportBatch writes a batch and its record and returns the batch's file.
func exportBatch(to string, r *quarantine.Record, body []byte) (name string, err error) {
	dir := filepath.Join(to, fmt.Sprintf("%s-%d", filepath.Base(r.Topic), r.Partition))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	name = filepath.Join(dir, fmt.Sprintf("%020d.log", r.From))
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return "", &exitError{code: exitFailed, err: fmt.Errorf("%s is there already", name), try: "--to with another directory"}
	}
	why, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return "", err
	}
	if err := vfs.WriteFile(vfs.OS{}, name[:len(name)-len(".log")]+".json", append(why, '\n')); err != nil {
		return "", err
	}
	return name, vfs.WriteFile(vfs.OS{}, name, body)
}

// exported is a record with all that it has.
type exported struct {
	recordLine
	Headers []exportedHeader `json:"headers"`
}

type exportedHeader struct {
	Key         string  `json:"key"`
	Value       *string `json:"value"`
	ValueBase64 []byte  `json:"value_base64,omitempty"`
}

func exportRecords(out *bufio.Writer, r *quarantine.Record, body []byte) error {
	for rec, err := range batch.Records(body) {
		if err != nil {
			return fmt.Errorf("read %s: %w", r.ID(), err)
		}
		line := exported{Headers: []exportedHeader{}}
		line.Topic, line.Partition, line.Ordinal = r.Topic, r.Partition, r.From+streamdown.Ordinal(rec.OffsetDelta)
		if rec.Timestamp >= 0 {
			t := at(rec.Timestamp)
			line.Timestamp = &t
		}
		line.Key, line.KeyBase64 = content(rec.Key)
		line.Value, line.ValueBase64 = content(rec.Value)
		for _, h := range rec.Headers {
			e := exportedHeader{Key: string(h.Key)}
			e.Value, e.ValueBase64 = content(h.Value)
			line.Headers = append(line.Headers, e)
		}
		if err := printJSON(out, line, true); err != nil {
			return err
		}
	}
	return nil
}
