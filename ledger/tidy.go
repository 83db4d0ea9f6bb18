package ledger

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
)

const tidyEach = time.Minute

// tidy counts the files and removes what is too old or too much, oldest first. The newest two stay: a start needs the state
// of one.
func (k *Keeper) tidy() error {
	k.tidied, k.out.made = k.cfg.Now(), false
	files, _, err := list(k.cfg.FS, k.cfg.Dir)
	if err != nil {
		return err
	}
	type aged struct {
		size    int64
		created time.Time
	}
	known := make([]aged, len(files))
	var total int64
	for i, f := range files {
		if known[i].size, known[i].created, err = k.look(f); err != nil {
			return err
		}
		total += known[i].size
	}
	gone := 0
	for ; gone+2 < len(files); gone++ {
		// All rows of a file are older than the next one.
		old := !known[gone+1].created.IsZero() && k.cfg.Now().Sub(known[gone+1].created) > k.cfg.Keep
		if !old && total <= k.cfg.MaxSize {
			break
		}
		if err := k.cfg.FS.Remove(filepath.Join(k.cfg.Dir, files[gone].name)); err != nil && !vfs.IsNotExist(err) {
			return fmt.Errorf("remove old %s: %w", files[gone].name, err)
		}
		total -= known[gone].size
	}
	if gone > 0 {
		if err := k.cfg.FS.SyncDir(k.cfg.Dir); err != nil {
			return fmt.Errorf("sync the ledger's directory: %w", err)
		}
	}
	files, known = files[gone:], known[gone:]
	k.note(func(s *Stats) {
		s.Files, s.Bytes = len(files), total
		s.Oldest, s.First = time.Time{}, 0
		if len(files) > 0 {
			s.Oldest, s.First = known[0].created, files[0].first
		}
		s.Damaged = slices.DeleteFunc(s.Damaged, func(name string) bool {
			return !slices.ContainsFunc(files, func(f file) bool { return f.name == name })
		})
	})
	return nil
}

// look returns a file's size and when it was begun, zero if its header does not tell.
func (k *Keeper) look(f file) (int64, time.Time, error) {
	r, err := k.cfg.FS.Open(filepath.Join(k.cfg.Dir, f.name))
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("open %s: %w", f.name, err)
	}
	defer func() { _ = r.Close() }() // it was only read
	size, err := r.Size()
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("size of %s: %w", f.name, err)
	}
	var b [fileHeader]byte
	if _, err := r.ReadAt(b[:], 0); err != nil {
		return size, time.Time{}, nil //nolint:nilerr // Verify reports it
	}
	h, _, err := parseFixed(b[:])
	if err != nil || h.number != f.number {
		return size, time.Time{}, nil //nolint:nilerr // Verify reports it
	}
	return size, time.UnixMilli(h.created).UTC(), nil
}

// Verify reads one file of the ledger, the one behind that of the last call, and notes in Stats whether it is whole.
func (k *Keeper) Verify() {
	k.flushing.Lock()
	defer k.flushing.Unlock()
	files, _, err := list(k.cfg.FS, k.cfg.Dir)
	if err != nil || len(files) == 0 {
		return
	}
	i := slices.IndexFunc(files, func(f file) bool { return f.number > k.checked })
	if i < 0 {
		i = 0
	}
	f := files[i]
	k.checked = f.number
	why := k.verify(f, i+1 == len(files))
	isNew := false
	k.note(func(s *Stats) {
		at := slices.Index(s.Damaged, f.name)
		switch {
		case why != nil && at < 0:
			s.Damaged, isNew = append(s.Damaged, f.name), true
		case why == nil && at >= 0:
			s.Damaged = slices.Delete(s.Damaged, at, at+1)
		}
	})
	if isNew {
		k.cfg.Logger.Error("the ledger is damaged; what its rows said can be compared only as long as the log has the batches", "file", f.name, "err", why)
	}
}

// verify says what is wrong with a file. What a crash left behind the last block is wrong with none but a file that another
// one follows at that place.
func (k *Keeper) verify(f file, newest bool) error {
	r := &Reader{fs: k.cfg.FS, dir: k.cfg.Dir, log: k.log.FilesID()}
	_, b, err := r.load(f)
	if errors.Is(err, errOther) {
		return nil
	}
	if err != nil {
		return err
	}
	at := f.first
	for len(b) > 0 {
		x, n, err := parseBlock(b)
		if err != nil {
			if next := resync(b, 0); next == len(b) && (newest || k.beginsAt(f.number, at)) {
				return nil
			}
			return fmt.Errorf("rows from log position %d on: %w", at, err)
		}
		at, b = x.to, b[n:]
	}
	return nil
}

// beginsAt reports whether the next file begins at a position or before.
func (k *Keeper) beginsAt(number uint64, at streamdown.LSN) bool {
	files, _, err := list(k.cfg.FS, k.cfg.Dir)
	return err == nil && slices.ContainsFunc(files, func(f file) bool { return f.number > number && f.first <= at })
}
