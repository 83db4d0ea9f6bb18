package wal

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
)

// SalvageExport is what an export writes: for each lane a directory with one file of RecordBatches, byte by byte as
// producers sent them and in order, which kafka-dump-log reads; index.jsonl with one line for each batch, in the order of
// the log; export.json, which is this, written last.
type SalvageExport struct {
	SchemaVersion int          `json:"schema_version"`
	Dir           string       `json:"-"`
	LogID         *string      `json:"log_id"`
	Source        string       `json:"source"`
	Batches       int64        `json:"batches"`
	Records       int64        `json:"records"`
	Bytes         int64        `json:"bytes"`
	Lanes         []ExportLane `json:"lanes"`
	PutBack       string       `json:"put_back"`
	At            time.Time    `json:"at"`
}

// ExportLane is one file of an export.
type ExportLane struct {
	Topic     *string            `json:"topic"` // null when the lane's name is lost
	Partition *int32             `json:"partition"`
	NameSure  bool               `json:"name_sure"` // false: it comes from a damaged state, or is lost
	Lane      streamdown.LaneID  `json:"lane"`
	File      string             `json:"file"`
	Batches   int64              `json:"batches"`
	Records   int64              `json:"records"`
	Bytes     int64              `json:"bytes"`
	From      streamdown.Ordinal `json:"from_ordinal"`
	To        streamdown.Ordinal `json:"to_ordinal"`
	// Confirmed is the ordinal below which all was noted as confirmed at the target; null when not known.
	Confirmed *streamdown.Ordinal `json:"confirmed_ordinal"`
	// Source is the file that the batches come from when it is not a part of the log.
	Source string `json:"source_file,omitempty"`
}

// exportBatch is a line of the index.
type exportBatch struct {
	File     string             `json:"file"`
	Position int64              `json:"position"`
	Size     int                `json:"size"`
	Lane     streamdown.LaneID  `json:"lane"`
	Ordinal  streamdown.Ordinal `json:"ordinal"`
	Records  int32              `json:"records"`
	Arrival  time.Time          `json:"arrival"`
	LSN      streamdown.LSN     `json:"lsn"`
}

const putBack = "Each file holds RecordBatches as producers sent them, in the order of their ordinals; index.jsonl has the place of each. " +
	"What lies below confirmed_ordinal is in the topic. Of the rest, look for the last record that the end of the topic has, " +
	"and send what follows it, in this order: docs/recovering-a-log.md shows how."

func (s *Salvage) planExport() error {
	dir := filepath.Clean(s.cfg.Export)
	names, err := s.cfg.FS.List(dir)
	if err != nil && !vfs.IsNotExist(err) {
		return fmt.Errorf("export: %w", err)
	}
	if len(names) > 0 {
		return fmt.Errorf("export: %s is not empty: name a new directory", dir)
	}
	s.plan.Export = &SalvageExport{SchemaVersion: 1, Dir: dir, LogID: s.plan.LogID, Source: s.cfg.Dir, Lanes: []ExportLane{}, PutBack: putBack, At: s.plan.At}
	return nil
}

// exporter writes the files of an export.
type exporter struct {
	fs    vfs.FS
	root  string
	index *appender
	lanes map[exportKey]*exportFile
	taken map[string]bool // directories
	room  int             // of each buffer
}

type exportKey struct {
	source string
	lane   streamdown.LaneID
}

type exportFile struct {
	ExportLane
	dir string
	out *appender
}

// appender collects what goes to the end of a file.
type appender struct {
	file vfs.File
	at   int64 // bytes given so far
	buf  []byte
}

func (a *appender) Write(b []byte) (int, error) {
	a.at += int64(len(b))
	if len(a.buf)+len(b) > cap(a.buf) {
		if err := a.flush(); err != nil {
			return 0, err
		}
		if len(b) > cap(a.buf) {
			return len(b), writePieces(a.file, b, a.at-int64(len(b)))
		}
	}
	a.buf = append(a.buf, b...)
	return len(b), nil
}

func (a *appender) flush() error {
	b := a.buf
	a.buf = a.buf[:0]
	return writePieces(a.file, b, a.at-int64(len(b)))
}

// end makes all that was given durable.
func (a *appender) end() error {
	err := a.flush()
	if err == nil {
		err = a.file.Sync()
	}
	return errors.Join(err, a.file.Close())
}

func (x *exporter) create(dir, name string, room int) (*appender, error) {
	if err := x.fs.MkdirAll(dir); err != nil {
		return nil, err
	}
	f, err := x.fs.Create(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	return &appender{file: f, buf: make([]byte, 0, room)}, nil
}

// export writes all whole batches. Its commit point is the name of export.json.
func (s *Salvage) export(ctx context.Context) (err error) {
	e := s.plan.Export
	x := &exporter{fs: s.cfg.FS, root: e.Dir, lanes: map[exportKey]*exportFile{}, taken: map[string]bool{}, room: max(4<<10, min(256<<10, 64<<20/(len(s.survey.lanes)+1)))}
	defer func() {
		for _, f := range x.lanes {
			if f.out != nil {
				err = errors.Join(err, f.out.file.Close())
			}
		}
		if x.index != nil {
			err = errors.Join(err, x.index.file.Close())
		}
	}()
	if x.index, err = x.create(x.root, "index.jsonl", 256<<10); err != nil {
		return err
	}
	err = s.walkChain(ctx, func(one *Entry) error { return s.exportEntry(x, "", one) })
	for _, f := range append(slices.Clone(s.files), s.views...) {
		if err == nil && f.holds && (f.what == FileTorn || slices.Contains(s.losers, f)) {
			err = s.walkFile(ctx, f, func(one *Entry) error { return s.exportEntry(x, f.name, one) })
		}
	}
	if err != nil {
		return err
	}
	keys := slices.SortedFunc(maps.Keys(x.lanes), func(a, b exportKey) int {
		return cmp.Or(cmp.Compare(a.source, b.source), cmp.Compare(x.lanes[a].File, x.lanes[b].File))
	})
	for _, k := range keys {
		f := x.lanes[k]
		out := f.out
		f.out = nil
		if err := out.end(); err != nil {
			return err
		}
		if err := x.fs.SyncDir(f.dir); err != nil {
			return err
		}
		if parent := filepath.Dir(f.dir); parent != x.root {
			if err := x.fs.SyncDir(parent); err != nil {
				return err
			}
		}
		e.Lanes = append(e.Lanes, f.ExportLane)
		e.Batches, e.Records, e.Bytes = e.Batches+f.Batches, e.Records+f.Records, e.Bytes+f.Bytes
	}
	index := x.index
	x.index = nil
	if err := index.end(); err != nil {
		return err
	}
	b, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	if err := vfs.WriteFile(x.fs, filepath.Join(x.root, "export.json"), append(b, '\n')); err != nil {
		return err
	}
	return x.fs.SyncDir(filepath.Dir(x.root))
}

func (s *Salvage) exportEntry(x *exporter, source string, e *Entry) error {
	if e.Kind != KindBatch {
		return nil
	}
	key := exportKey{source, e.Lane}
	f := x.lanes[key]
	if f == nil {
		var err error
		if f, err = s.exportLane(x, source, e); err != nil {
			return err
		}
		x.lanes[key] = f
	}
	line := exportBatch{f.File, f.out.at, len(e.Body), e.Lane, e.Ordinal, e.Count, time.UnixMilli(e.Arrival).UTC(), e.LSN}
	if _, err := f.out.Write(e.Body); err != nil {
		return err
	}
	f.Batches++
	f.Records += int64(e.Count)
	f.Bytes += int64(len(e.Body))
	f.To = e.Ordinal + streamdown.Ordinal(e.Count)
	var b bytes.Buffer
	j := json.NewEncoder(&b)
	j.SetEscapeHTML(false)
	if err := j.Encode(line); err != nil {
		return err
	}
	_, err := x.index.Write(b.Bytes())
	return err
}

// exportLane begins a lane's file. Its directory is called as Kafka calls a partition's; a lane without a name, or with
// one that is no topic's, by its number.
func (s *Salvage) exportLane(x *exporter, source string, e *Entry) (*exportFile, error) {
	f := &exportFile{ExportLane: ExportLane{Lane: e.Lane, From: e.Ordinal, Source: source}}
	dir := fmt.Sprintf("lane-%d-unnamed", e.Lane)
	if n, ok := s.survey.names[e.Lane]; ok {
		f.Topic, f.Partition, f.NameSure = &n.Topic, &n.Partition, n.sure
		switch {
		case validTopic(n.TopicPartition) && n.sure:
			dir = fmt.Sprintf("%s-%d", n.Topic, n.Partition)
		case validTopic(n.TopicPartition):
			dir = fmt.Sprintf("lane-%d-perhaps-%s-%d", e.Lane, n.Topic, n.Partition)
		}
	}
	if source != "" {
		dir = filepath.Join("not-in-the-log-"+source, dir)
	}
	if x.taken[dir] { // two lanes never have one name, but for damage
		dir = filepath.Join(filepath.Dir(dir), fmt.Sprintf("lane-%d-unnamed", e.Lane))
	}
	x.taken[dir] = true
	if s.survey.known && s.cfg.Progress != nil {
		_, confirmed := s.cfg.Progress(e.Lane)
		f.Confirmed = &confirmed
	}
	name := fmt.Sprintf("%020d.log", e.Ordinal)
	f.dir, f.File = filepath.Join(x.root, dir), filepath.Join(dir, name)
	var err error
	f.out, err = x.create(f.dir, name, x.room)
	return f, err
}

// walkChain calls fn for every whole entry of the log, in order.
func (s *Salvage) walkChain(ctx context.Context, fn func(e *Entry) error) error {
	at := streamdown.LSN(0)
	for i, m := range s.chain {
		limit := s.survey.ends[m]
		if i+1 < len(s.chain) {
			limit = s.chain[i+1].first
		}
		files := append([]*found{m.f}, m.copies...)
		for _, f := range files {
			if err := s.open(f); err != nil {
				return err
			}
		}
		c := Chunk{Buf: make([]byte, readSize(limit-m.first))}
		err := func() error {
			for at = max(at, m.first); at < limit; {
				if err := ctx.Err(); err != nil {
					return err
				}
				next, f, err := s.read(&c, m, at, limit)
				if err != nil {
					return err
				}
				if f == nil {
					at = next
					continue
				}
				for j := range c.Entries {
					if err := fn(&c.Entries[j]); err != nil {
						return err
					}
				}
				at = c.Next
			}
			return nil
		}()
		for _, f := range files {
			f.close()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// walkFile calls fn for every whole entry of one file.
func (s *Salvage) walkFile(ctx context.Context, f *found, fn func(e *Entry) error) error {
	if err := s.open(f); err != nil {
		return err
	}
	defer f.close()
	sp := f.span(s.seed)
	c := Chunk{Buf: make([]byte, readSize(sp.limit-sp.first))}
	for at := sp.first; at < sp.limit; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := sp.read(&c, at); err != nil {
			return err
		}
		for j := range c.Entries {
			if err := fn(&c.Entries[j]); err != nil {
				return err
			}
		}
		if at = c.Next; len(c.Entries) > 0 {
			continue
		}
		var err error
		if at, err = sp.resync(at); err != nil {
			return err
		}
	}
	return nil
}
