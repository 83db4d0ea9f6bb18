package ledger

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// Reader reads the ledger of one log, also while a Keeper writes to it. Not for concurrent use.
type Reader struct {
	fs    vfs.FS
	dir   string
	log   streamdown.ID
	files []file
	read  int64
}

// OpenReader lists the ledger in dir of the log whose files have this id ([wal.Reader.ID]). Without a directory it is empty.
func OpenReader(fs vfs.FS, dir string, log streamdown.ID) (*Reader, error) {
	files, _, err := list(fs, dir)
	if err != nil {
		return nil, err
	}
	return &Reader{fs: fs, dir: dir, log: log, files: files}, nil
}

// Empty reports whether there is nothing to read.
func (r *Reader) Empty() bool { return len(r.files) == 0 }

// Bytes returns how many bytes were read so far.
func (r *Reader) Bytes() int64 { return r.read }

// load reads a file. Its header is whole and of this log, or the error is errHeader or errOther.
func (r *Reader) load(f file) (header, []byte, error) {
	b, err := vfs.ReadFile(r.fs, filepath.Join(r.dir, f.name))
	if vfs.IsNotExist(err) {
		return header{}, nil, fmt.Errorf("%s: %w", f.name, wal.ErrReleased) // too old, or there was no room for it
	}
	if err != nil {
		return header{}, nil, fmt.Errorf("read %s: %w", f.name, err)
	}
	r.read += int64(len(b))
	h, start, err := parseHeader(b)
	switch {
	case err != nil:
		return header{}, b, fmt.Errorf("%s: %w", f.name, err)
	case h.number != f.number || h.first != f.first:
		return header{}, b, fmt.Errorf("%s: %w: it is file %d at %d", f.name, errHeader, h.number, h.first)
	case h.log != r.log:
		return header{}, nil, fmt.Errorf("%s: %w", f.name, errOther)
	}
	return h, b[start:], nil
}

var errOther = errors.New("it is the ledger of another log")

// Restore gives a book the oldest state that is whole, and returns the log position that it stands at. Without one, ok is
// false.
func (r *Reader) Restore(book wal.Book) (at streamdown.LSN, ok bool, err error) {
	for _, f := range r.files {
		h, _, err := r.load(f)
		if errors.Is(err, errHeader) || errors.Is(err, errOther) {
			continue
		}
		if err != nil {
			return 0, false, err
		}
		if err := book.Restore(h.state); err != nil {
			return 0, false, fmt.Errorf("%s: %w", f.name, err)
		}
		return h.first, true, nil
	}
	return 0, false, nil
}

// Hole is a part of the log that the ledger has no rows for, though it has some before and behind it: they rotted, or were
// never written, because the log needed the room.
type Hole struct {
	From, To streamdown.LSN
}

// Visitor takes what a walk meets, in order of log positions. An error of its methods ends the walk.
type Visitor struct {
	Row  func(r *Row) error // may not keep r, nor its body
	Hole func(h Hole) error // nil = not wanted
	// State gets the state that a file begins with which follows a hole: what the entries in the hole did to it. Nil = not wanted.
	State func(snapshot []byte) error
}

// Walk visits all rows from log position from on, and returns where they end. Damage is a Hole, not an error. A file
// that retention took away meanwhile gives wal.ErrReleased.
func (r *Reader) Walk(ctx context.Context, from streamdown.LSN, v Visitor) (end streamdown.LSN, err error) {
	return r.visit(from, v, ctx.Err)
}

func (r *Reader) visit(from streamdown.LSN, v Visitor, stop func() error) (end streamdown.LSN, err error) {
	w := walk{reader: r, v: v, at: from}
	for i, f := range r.files {
		if err := stop(); err != nil {
			return w.at, err
		}
		// What a later file begins before counts no more: the log went on from there with other entries.
		limit := ^streamdown.LSN(0)
		for _, later := range r.files[i+1:] {
			limit = min(limit, later.first)
		}
		if limit <= from && i+1 < len(r.files) {
			continue
		}
		if err := w.file(f, limit); err != nil {
			return w.at, err
		}
	}
	return w.at, nil
}

type walk struct {
	reader *Reader
	v      Visitor
	at     streamdown.LSN // all below was visited
	begun  bool           // a block was met: what is missing from here on is a hole
}

// file visits the blocks of one file that begin below limit.
func (w *walk) file(f file, limit streamdown.LSN) error {
	h, b, err := w.reader.load(f)
	if err == nil && w.begun && f.first > w.at && w.v.State != nil {
		err = w.v.State(h.state)
	}
	switch {
	case errors.Is(err, errOther):
		return nil
	case errors.Is(err, errHeader):
		b = b[resync(b, 0):]
	case err != nil:
		return err
	}
	for at := 0; at < len(b); {
		x, size, err := parseBlock(b[at:])
		if err != nil {
			at = resync(b, at)
			continue
		}
		at += size
		if x.from >= limit {
			return nil
		}
		if err := w.block(&x, limit); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) block(x *block, limit streamdown.LSN) error {
	to := min(x.to, limit)
	if to <= w.at && w.begun || x.to <= w.at {
		w.begun = true
		return nil
	}
	if x.from > w.at && w.begun && w.v.Hole != nil {
		if err := w.v.Hole(Hole{w.at, x.from}); err != nil {
			return err
		}
	}
	from := max(w.at, x.from)
	w.begun = true
	err := x.each(func(r *Row) error {
		if r.LSN < from || r.LSN >= to {
			return nil
		}
		return w.v.Row(r)
	})
	w.at = to
	if errors.Is(err, errRow) {
		return fmt.Errorf("ledger rows at %d: %w; its checksum is right, so this is a fault of the program that wrote it", x.from, err)
	}
	return err
}
