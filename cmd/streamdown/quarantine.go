package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/quarantine"
	"github.com/streamdown/streamdown/ui"
	"github.com/streamdown/streamdown/vfs"
)

func quarantineCommand(o *options) *cobra.Command {
	cmd := group("quarantine", "Batches that the target refuses for good: look, send again, export, discard")
	cmd.Long = `A batch that the target refuses for what it is, twice and after it was asked, is put aside, so that its lane goes on.
ls, show and export read the data directory, also while no process runs, or ask the process at --addr. retry and discard
are orders to the running process.`
	var dir string
	cmd.PersistentFlags().StringVar(&dir, "data", "", "look into the data directory `DIR` (default data.dir of the config)")
	cmd.AddCommand(quarantineLs(o, &dir), quarantineShow(o, &dir), quarantineExport(o, &dir), quarantineRetry(o), quarantineDiscard(o))
	return cmd
}

// ward is where quarantined batches are read: a data directory, or a process.
type ward struct {
	store *quarantine.Store
	at    *client
}

// ward is that of --addr, otherwise of the data directory.
func (o *options) ward(dir string) (*ward, error) {
	if o.addr != "" {
		c, err := o.client()
		return &ward{at: c}, err
	}
	dir, err := o.dataDir(dir)
	if err != nil {
		return nil, err
	}
	return &ward{store: quarantine.New(vfs.OS{}, dir)}, nil
}

// listed is one batch of a listing.
type listed struct {
	api.Quarantined
	File  *string `json:"file"`  // null when a process was asked
	Error *string `json:"error"` // why its record cannot be read
	key   quarantine.Key
}

// listMost bounds a listing; a process stops putting more there long before.
const listMost = 10_000

// list lists what there is; total counts what is beyond listMost too.
func (w *ward) list(ctx context.Context) (out []listed, total int, err error) {
	if w.at != nil {
		var l api.QuarantineList
		if err := w.at.ask(ctx, http.MethodGet, "/v1/quarantine", nil, &l); err != nil {
			return nil, 0, err
		}
		for _, b := range l.Batches {
			out = append(out, listed{Quarantined: b})
		}
		return out, len(out), nil
	}
	items, total, err := w.store.List(listMost)
	if err != nil {
		return nil, 0, err
	}
	for i := range items {
		it := &items[i]
		l := listed{File: &it.File}
		if it.Err != nil {
			why := it.Err.Error()
			l.Error, l.State = &why, "damaged"
		} else {
			r := it.Record
			l.key = r.Key()
			l.Quarantined = api.Quarantined{
				ID: r.ID(), State: string(delivery.Kept), Topic: r.Topic, Partition: r.Partition, From: r.From, To: r.To(), Records: int64(r.Records),
				Bytes: int(it.Bytes), Arrival: r.Arrival, At: r.At, Code: r.Code, Reason: r.Reason,
			}
		}
		out = append(out, l)
	}
	return out, total, nil
}

// get reads one batch whole.
func (w *ward) get(ctx context.Context, l *listed) (*quarantine.Record, []byte, error) {
	if w.at == nil {
		r, body, err := w.store.Get(l.key)
		return r, body, damage(err)
	}
	topic, batch, _ := strings.Cut(l.ID, "/")
	file, err := w.at.exchange(ctx, http.MethodGet, "/v1/quarantine/"+url.PathEscape(topic)+"/"+url.PathEscape(batch), "application/octet-stream", nil)
	if err != nil {
		return nil, nil, err
	}
	r, body, err := quarantine.Parse(file)
	return r, body, damage(err)
}

func damage(err error) error {
	if errors.Is(err, quarantine.ErrDamaged) {
		return &exitError{code: exitIntegrity, err: err, try: "a backup of the data directory; the file is left as it is"}
	}
	return err
}

// covers reports whether a target names the batch: *, a topic, topic/partition, or the batch's id.
func covers(target string, b *api.Quarantined) bool {
	tp := streamdown.TopicPartition{Topic: b.Topic, Partition: b.Partition}
	return b.ID != "" && (target == "*" || target == b.Topic || target == tp.String() || target == b.ID)
}

// chosen is what the targets name of what waits in quarantine.
func chosen(list []listed, targets []string) (out []listed, err error) {
	for _, target := range targets {
		n := len(out)
		for i := range list {
			if covers(target, &list[i].Quarantined) && list[i].State == string(delivery.Kept) {
				out = append(out, list[i])
			}
		}
		if len(out) == n {
			return nil, &exitError{code: exitFailed, err: fmt.Errorf("nothing in quarantine is called %s", target), try: "streamdown quarantine ls"}
		}
	}
	return out, nil
}

func quarantineLs(o *options, dir *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the batches in quarantine",
		Long: `Lists the batches in quarantine, those of a data directory or, with --addr, those that a process knows of: it also
tells what became of the last ones. Exit code 4: a file is damaged.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := o.ward(*dir)
			if err != nil {
				return err
			}
			ctx, cancel := o.within(cmd.Context(), askTimeout)
			defer cancel()
			list, total, err := w.list(ctx)
			if err != nil {
				return err
			}
			if err := printWard(o, list, total); err != nil {
				return err
			}
			for i := range list {
				if list[i].Error != nil {
					return &exitError{code: exitIntegrity, err: fmt.Errorf("%s", plain(*list[i].Error)), try: "a backup of the data directory; the file is left as it is"}
				}
			}
			return nil
		},
	}
	o.loginFlags(cmd)
	return cmd
}

func printWard(o *options, list []listed, total int) error {
	if o.json() {
		if list == nil {
			list = []listed{}
		}
		return printJSON(o.out, struct {
			SchemaVersion int      `json:"schema_version"`
			Total         int      `json:"total"`
			Batches       []listed `json:"batches"`
		}{api.SchemaVersion, total, list}, false)
	}
	if len(list) == 0 {
		fmt.Fprintln(o.out, "nothing is in quarantine")
		return nil
	}
	rows := []string{row("BATCH", "STATE", "RECORDS", "BYTES", "SINCE", "WHY")}
	for i := range list {
		b := &list[i]
		if b.Error != nil {
			rows = append(rows, row(plain(*b.File), b.State, ui.Unknown, ui.Unknown, ui.Unknown, plain(*b.Error)))
			continue
		}
		rows = append(rows, row(plain(b.ID), standing(&b.Quarantined), ui.Exact(b.Records), ui.Exact(b.Bytes), b.At.UTC().Format(time.RFC3339), plain(b.Reason)))
	}
	table(o.out, rows...)
	if total > len(list) {
		fmt.Fprintf(o.out, "and %s\n", count(total-len(list), "more file"))
	}
	return nil
}

// standing says in a word what became of a batch.
func standing(b *api.Quarantined) string {
	switch {
	case b.State == string(delivery.Late) && b.Offset != nil:
		return fmt.Sprintf("late, at offset %d", *b.Offset)
	case b.State == string(delivery.Kept) && b.SentAgain != nil:
		return "sent again, not known"
	}
	return b.State
}
