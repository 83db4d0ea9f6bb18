package wal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
)

// Run carries the plan out. It can be interrupted at any point and planned again. After one that ended an interrupted
// salvage there may be more to do: plan again.
func (s *Salvage) Run(ctx context.Context) error {
	if err := s.run(ctx); err != nil {
		return fmt.Errorf("salvage log in %s: %w", s.cfg.Dir, err)
	}
	s.plan.Done = true
	return nil
}

func (s *Salvage) run(ctx context.Context) error {
	if s.pending != nil {
		return s.finish(s.pending)
	}
	if s.plan.Export != nil {
		if err := s.export(ctx); err != nil {
			return fmt.Errorf("export: %w", err)
		}
	}
	if len(s.plan.Steps) == 0 {
		return nil
	}
	const slack = 1 << 20 // the list of renames, directories
	for _, n := range s.plan.Needs {
		if uint64(n.Needs+slack) > n.Free { //nolint:gosec // positive
			return fmt.Errorf("%s: %d bytes are needed and %d are free: %w", n.Dir, n.Needs+slack, n.Free, errNoRoom)
		}
	}
	for i := range s.work.writes {
		if err := ctx.Err(); err != nil {
			return err
		}
		w := &s.work.writes[i]
		if err := s.write(ctx, w); err != nil {
			return fmt.Errorf("write %s: %w", filepath.Join(w.dir, w.name), err)
		}
	}
	if len(s.work.writes) > 0 { // their names, before they are relied on
		for _, dir := range s.dirs {
			if err := s.cfg.FS.SyncDir(dir); err != nil {
				return fmt.Errorf("sync directory: %w", err)
			}
		}
	}
	b, err := json.MarshalIndent(&s.work.moves, "", " ")
	if err != nil {
		return err
	}
	if err := vfs.WriteFile(s.cfg.FS, s.inMain(pendingAway), append(b, '\n')); err != nil {
		return err
	}
	// From here on the next salvage goes on with it.
	return s.finish(&s.work.moves)
}

// write writes a file anew, durably but for its name, and reads it back.
func (s *Salvage) write(ctx context.Context, w *fresh) error {
	path := filepath.Join(w.dir, w.name+freshSuffix)
	if err := s.cfg.FS.Remove(path); err != nil && !vfs.IsNotExist(err) {
		return fmt.Errorf("remove what an earlier try left: %w", err)
	}
	out, err := s.cfg.FS.Create(path)
	if err != nil {
		return err
	}
	if w.m == nil {
		err = writePieces(out, w.text, 0)
	} else {
		err = s.copyMember(ctx, w, out)
	}
	if err == nil {
		err = out.Sync()
	}
	if err == nil && w.state != nil {
		_, _, err = readState(out, s.id)
	}
	return errors.Join(err, out.Close())
}

func writePieces(f vfs.File, b []byte, at int64) error {
	for len(b) > 0 {
		n := min(len(b), pieceSize)
		if _, err := f.WriteAt(b[:n], at); err != nil {
			return err
		}
		b, at = b[n:], at+int64(n)
	}
	return nil
}

// copyMember writes a segment with a new header and state: its bytes as they are, also damaged ones, and over them what
// other files have whole.
func (s *Salvage) copyMember(ctx context.Context, w *fresh, out vfs.File) error {
	m, f := w.m, w.m.f
	start := f.start
	buf := make([]byte, 1<<20)
	if err := s.open(f); err != nil {
		return err
	}
	defer f.close()
	copyTo := func(from *found, pos, end, at int64) error {
		for pos < end {
			if err := ctx.Err(); err != nil {
				return err
			}
			n, err := readFull(from.file, buf[:min(int64(len(buf)), end-pos)], pos)
			if err != nil {
				return err
			}
			if n == 0 {
				return nil
			}
			if err := writePieces(out, buf[:n], at); err != nil {
				return err
			}
			pos, at = pos+int64(n), at+int64(n)
		}
		return nil
	}
	if w.state != nil {
		h := header{log: s.id, number: m.number, first: m.first, created: s.cfg.Now().UnixNano(), state: w.state}
		if f.mine {
			h.created = f.head.created
		}
		head := h.encode()
		if err := writePieces(out, head, 0); err != nil {
			return err
		}
		start = int64(len(head))
	} else if f.mine || !f.view { // else the header is another's: better none
		if err := copyTo(f, 0, min(start, f.size), 0); err != nil {
			return err
		}
	}
	at := func(lsn streamdown.LSN) int64 { return start + int64(lsn-m.first) } //nolint:gosec // file sizes fit
	if f.start < f.size {
		if err := copyTo(f, f.start, min(f.pos(w.end), f.size), start); err != nil {
			return err
		}
	}
	for _, p := range s.survey.patches[m] {
		if err := s.open(p.f); err != nil {
			return err
		}
		err := copyTo(p.f, p.f.pos(p.from), p.f.pos(p.to), at(p.from))
		p.f.close()
		if err != nil {
			return err
		}
	}
	return nil
}
