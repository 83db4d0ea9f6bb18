package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/wal"
)

// Flush writes the rows of all that was durable when it was called, and syncs them. An error is in Stats too.
func (k *Keeper) Flush(ctx context.Context) error {
	k.flushing.Lock()
	defer k.flushing.Unlock()
	err := k.flush(ctx)
	if err != nil {
		k.out.giveUp()
		k.at = 0
	}
	if err == nil && (k.out.made || k.cfg.Now().Sub(k.tidied) >= tidyEach) {
		err = k.tidy()
	}
	if err != nil && ctx.Err() != nil {
		return err
	}
	why := ""
	if err != nil {
		why = err.Error()
	}
	isNew := false
	k.note(func(s *Stats) {
		isNew = s.Trouble == "" && why != ""
		s.Trouble = why
	})
	if isNew {
		k.cfg.Logger.Error("write to the ledger; the log keeps what has no rows until it works", "err", err)
	}
	return err
}

func (k *Keeper) flush(ctx context.Context) error {
	k.mu.Lock()
	rows, from, to := k.pending, k.from, k.to
	k.pending, k.spare, k.from = k.spare[:0], nil, to
	k.mu.Unlock()
	defer func() {
		clear(rows) // the bodies
		k.mu.Lock()
		k.spare = rows[:0]
		k.mu.Unlock()
	}()
	if k.at >= to && k.at > 0 {
		return nil
	}
	if k.wants(rows) {
		rows, from = rows[:0], to // with their bodies, which a book does not get to keep
	}
	if k.at == 0 || k.at < from {
		// The writer shows an entry to its books a moment before readers get it; then the rest waits for the next time.
		if err := k.derive(ctx, from); err != nil || k.at < from {
			return err
		}
	}
	k.begin()
	for i := range rows {
		if r := &rows[i]; r.LSN >= k.at {
			if err := k.add(r); err != nil {
				return err
			}
		}
	}
	return k.end(to)
}

// wants reports whether one of the rows has to have a digest.
func (k *Keeper) wants(rows []Row) bool {
	if k.cfg.Digest == nil {
		return false
	}
	for i := range rows {
		if rows[i].Kind == wal.KindBatch && k.cfg.Digest(rows[i].Lane) {
			return true
		}
	}
	return false
}

// begin begins a block where the rows end, and a file if there is none that takes it.
func (k *Keeper) begin() {
	k.block.begin(k.written)
	k.head = k.head[:0]
	if k.out.takes(k) {
		return
	}
	k.out.giveUp()
	h := header{log: k.log.FilesID(), number: k.out.number + 1, first: k.written, created: k.cfg.Now().UnixMilli(), state: k.cfg.State.Snapshot(nil)}
	k.head = h.encode()
}

// add takes the next row, and writes the block that it fills.
func (k *Keeper) add(r *Row) error {
	k.block.add(r)
	k.cfg.State.Apply(&r.Entry)
	if k.block.full() {
		if err := k.write(r.End()); err != nil {
			return err
		}
		k.begin()
	}
	return nil
}

// end writes what is left of the rows below to. Without any, a block only says that there are none, and an idle log must
// come to rest.
func (k *Keeper) end(to streamdown.LSN) error {
	if to <= k.written {
		return nil
	}
	if k.block.rows == 0 && k.cfg.Now().Sub(k.rested) < restEach {
		k.at = to
		return nil
	}
	k.rested = k.cfg.Now()
	return k.write(to)
}

// write makes the block durable: from its sync on the log may release what lies below to.
func (k *Keeper) write(to streamdown.LSN) error {
	rows := uint64(k.block.rows) //nolint:gosec // not negative
	if err := k.out.append(k, k.block.finish(to)); err != nil {
		return err
	}
	k.written, k.at = to, to
	k.floor.Store(uint64(to))
	k.note(func(s *Stats) {
		s.Written = to
		s.Rows += rows
	})
	return nil
}

// derive reads from the log what is not written, up to a position: what the log recovered before its newest segment, or
// what did not fit into memory, or what needs a digest.
func (k *Keeper) derive(ctx context.Context, to streamdown.LSN) error {
	if k.at == 0 {
		if err := k.restore(ctx); err != nil {
			return err
		}
	}
	k.begin()
	at := k.at
	for at < to {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := k.log.Read(&k.chunk, at)
		var bad *wal.CorruptError
		switch {
		case errors.As(err, &bad): // the process that reads the log to send it reports it
			at = k.chunk.Next
			continue
		case errors.Is(err, wal.ErrReleased):
			if k.block.rows > 0 {
				if err := k.write(at); err != nil {
					return err
				}
			}
			if err := k.skip(ctx); err != nil {
				return err
			}
			k.begin()
			at = k.at
			continue
		case err != nil:
			return fmt.Errorf("read the log for the ledger: %w", err)
		case len(k.chunk.Entries) == 0:
			return k.end(at)
		}
		for i := range k.chunk.Entries {
			e := &k.chunk.Entries[i]
			if e.LSN >= to {
				break
			}
			if err := k.take(e); err != nil {
				return err
			}
		}
		k.note(func(s *Stats) { s.Reread += uint64(k.chunk.Next - at) })
		at = k.chunk.Next
	}
	return k.end(min(at, to))
}

// take makes the row of an entry whose body is at hand.
func (k *Keeper) take(e *wal.Entry) error {
	if !Kept(e.Kind) {
		return nil
	}
	r, err := RowOf(e)
	if err != nil {
		return nil //nolint:nilerr // it was admitted like that, and no reader could make anything of it
	}
	if e.Kind == wal.KindBatch && k.cfg.Digest != nil && k.cfg.Digest(e.Lane) {
		// One that cannot be decoded has none; then only its bytes tell whether it is the same.
		if d, err := k.hasher.Batch(e.Body); err == nil && d.Records == int64(e.Count) {
			r.Digest, r.Digested = d, true
		}
	}
	return k.add(&r)
}

// restore brings State to where the rows end: from the ledger, or, where it has none, from the log.
func (k *Keeper) restore(ctx context.Context) error {
	if written := k.written; written > 0 {
		ok, err := k.replay(written, func(*Row) {})
		k.written = written // a block that failed to be synced may look whole
		if err != nil || ok && k.at == written {
			return err
		}
	}
	return k.skip(ctx)
}

// oldest takes State from the oldest state that the log has, and returns where that stands.
func (k *Keeper) oldest() (streamdown.LSN, error) {
	r, err := wal.OpenReader(k.cfg.FS, k.cfg.LogDir)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return r.Restore(k.cfg.State)
}

// skip takes State from the oldest state that the log has: the ledger has none, or the log released what had no rows yet.
func (k *Keeper) skip(ctx context.Context) error {
	r, err := wal.OpenReader(k.cfg.FS, k.cfg.LogDir)
	if err != nil {
		return err
	}
	defer r.Close()
	at, err := r.Restore(k.cfg.State)
	if err != nil {
		return err
	}
	if at < k.written {
		_, err := r.Walk(ctx, at, func(e *wal.Entry) error {
			if e.LSN >= k.written {
				return errEnough
			}
			k.cfg.State.Apply(e)
			return nil
		})
		if bad := (*wal.CorruptError)(nil); err != nil && !errors.Is(err, errEnough) && !errors.As(err, &bad) {
			return err
		}
		at = k.written
	}
	if k.written > 0 && at > k.written {
		k.cfg.Logger.Error("the log released batches that the ledger has no rows for; reconcile cannot compare them", "from", k.written, "to", at)
		k.note(func(s *Stats) { s.Skipped += uint64(at - k.written) })
		k.out.giveUp() // the next file begins behind the hole
	}
	k.written, k.at = at, at
	k.floor.Store(uint64(at))
	return nil
}

var errEnough = errors.New("read far enough")
