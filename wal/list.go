package wal

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sort"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
)

// SegmentInfo is what a directory and a segment's own header say of one segment.
type SegmentInfo struct {
	Name    string         `json:"name"`
	Number  uint64         `json:"number"`
	First   streamdown.LSN `json:"first_lsn"`
	End     streamdown.LSN `json:"end_lsn"` // behind the last byte that can belong to it
	Size    int64          `json:"size_bytes"`
	State   int64          `json:"state_bytes"`
	Created time.Time      `json:"created"`          // zero when the header cannot be read
	Whole   bool           `json:"whole"`            // header and state match their checksums
	Reused  bool           `json:"reused"`           // written over a released one, whose bytes follow its end
	Counts  *Counts        `json:"counts,omitempty"` // nil when nobody asked to count
}

// Counts is what a segment holds. Damage counts ranges; what lies in them is not counted.
type Counts struct {
	Entries int64 `json:"entries"`
	Batches int64 `json:"batches"`
	Records int64 `json:"records"`
	Damage  int64 `json:"damage"`
}

// Segments lists the segments of the log in dir, oldest first, without its lock and without writing. With count set it
// reads the whole log, which takes as long as the disk needs; otherwise it reads headers and states only.
func Segments(ctx context.Context, fs vfs.FS, dir string, count bool) ([]SegmentInfo, error) {
	segments, err := listSegments(fs, dir)
	if err != nil {
		return nil, fmt.Errorf("list segments in %s: %w", dir, err)
	}
	out := make([]SegmentInfo, 0, len(segments))
	for i, s := range segments {
		info, err := segmentInfo(fs, s)
		if vfs.IsNotExist(err) {
			continue // released by the process that owns it
		}
		if err != nil {
			return nil, fmt.Errorf("look at segment %s: %w", s.name, err)
		}
		switch {
		case i+1 < len(segments):
			info.End = min(info.End, segments[i+1].first)
		case info.Reused:
			if info.End, err = endOf(ctx, fs, dir, info.First); err != nil {
				return nil, fmt.Errorf("look at segment %s: %w", s.name, err)
			}
		}
		out = append(out, info)
	}
	if !count || len(out) == 0 {
		return out, nil
	}
	return out, countEntries(ctx, fs, dir, out)
}

func segmentInfo(fs vfs.FS, s *segment) (SegmentInfo, error) {
	info := SegmentInfo{Name: s.name, Number: s.number, First: s.first, End: s.first}
	f, err := fs.Open(s.path)
	if err != nil {
		return info, err
	}
	defer f.Close()
	if info.Size, err = f.Size(); err != nil {
		return info, err
	}
	h, state, err := readState(f, streamdown.ID{})
	if err != nil && !errors.Is(err, errHeader) && !errors.Is(err, errNewer) {
		return info, err
	}
	info.Whole = err == nil && h.number == s.number && h.first == s.first
	if h.created != 0 {
		info.Created = time.Unix(0, h.created).UTC()
	}
	if err == nil {
		info.State = int64(len(state))
		info.End += streamdown.LSN(max(0, info.Size-dataStart(len(state)))) //nolint:gosec // positive
		info.Reused = h.pages > 0
	}
	return info, nil
}

// endOf finds where the entries end that begin at LSN from.
func endOf(ctx context.Context, fs vfs.FS, dir string, from streamdown.LSN) (streamdown.LSN, error) {
	r, err := OpenReader(fs, dir)
	if err != nil {
		return from, err
	}
	defer r.Close()
	var bad *CorruptError
	end, err := r.Walk(ctx, from, func(*Entry) error { return nil })
	if errors.As(err, &bad) {
		err = nil // that is not what was asked
	}
	return end, err
}

func countEntries(ctx context.Context, fs vfs.FS, dir string, segments []SegmentInfo) error {
	r, err := OpenReader(fs, dir)
	if err != nil {
		return err
	}
	defer r.Close()
	for i := range segments {
		segments[i].Counts = &Counts{}
	}
	i := 0
	var c Chunk
	for at := max(r.First(), segments[0].First); ; at = c.Next {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := r.Read(&c, at)
		for i+1 < len(segments) && segments[i+1].First <= at {
			i++
		}
		n := segments[i].Counts
		var bad *CorruptError
		switch {
		case errors.As(err, &bad):
			n.Damage++
			continue
		case err != nil:
			return err
		case len(c.Entries) == 0:
			return nil
		}
		for j := range c.Entries {
			n.Entries++
			if e := &c.Entries[j]; e.Kind == KindBatch {
				n.Batches++
				n.Records += int64(e.Count)
			}
		}
	}
}

// listSegments reads the names in dir and in the refuge that its manifest names, in order, and opens nothing else.
func listSegments(fs vfs.FS, dir string) ([]*segment, error) {
	dirs := []string{dir}
	if man, err := readManifest(fs, dir); err == nil && man != nil && man.Refuge != "" {
		dirs = append(dirs, man.Refuge)
	}
	var out []*segment
	for i, dir := range dirs {
		names, err := fs.List(dir)
		if i > 0 && vfs.IsNotExist(err) {
			continue // of a copy of the first directory, perhaps: what the refuge held will be missing
		}
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if number, first, ok := parseSegmentName(name); ok {
				out = append(out, &segment{number: number, first: first, name: name, path: filepath.Join(dir, name)})
			}
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].number < out[j].number })
	for i := 1; i < len(out); i++ {
		if a, b := out[i-1], out[i]; b.first < a.first || b.number == a.number {
			return nil, fmt.Errorf("segment %s does not follow %s: one of them is not of this log; %s", b.name, a.name, trySalvage(dir))
		}
	}
	return out, nil
}
