package reconcile

import (
	"context"
	"errors"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/ledger"
	"github.com/streamdown/streamdown/wal"
)

// source is what the log took, from the ledger as far as that goes, then from the log itself.
type source struct {
	log    *wal.Reader
	ledger *ledger.Reader // nil = there is none that reaches back as far as the log
	chunk  wal.Chunk
	read   int64 // bytes of the log
}

const toEnd = ^streamdown.LSN(0)

// visitor takes what a walk over a source meets, in order of log positions.
type visitor struct {
	row  func(*ledger.Row) error // may not keep it
	hole func(why Reason)        // rows are missing from here on; nil = not wanted
	// state gets the books' state behind rows that are missing; nil = not wanted.
	state func(snapshot []byte) error
}

func (v *visitor) miss(why Reason) {
	if v.hole != nil {
		v.hole(why)
	}
}

// restore gives the book the oldest state there is, and returns where it stands.
func (s *source) restore(book wal.Book) (streamdown.LSN, error) {
	if s.ledger != nil && !s.ledger.Empty() {
		at, ok, err := s.ledger.Restore(book)
		if err != nil {
			return 0, err
		}
		if ok && at <= s.log.First() {
			return at, nil
		}
	}
	s.ledger = nil
	return s.log.Restore(book)
}

// first is where comparing begins.
func (s *source) first(restored streamdown.LSN) streamdown.LSN {
	if s.ledger != nil {
		return restored
	}
	return s.log.First()
}

// walk visits the rows in [from, to), and returns where they ended. Damage is a hole; an error is one of reading, or the
// visitor's.
func (s *source) walk(ctx context.Context, from, to streamdown.LSN, v visitor) (end streamdown.LSN, damaged bool, err error) {
	at := from
	if s.ledger != nil {
		reached, err := s.ledger.Walk(ctx, from, ledger.Visitor{
			Row: func(r *ledger.Row) error {
				if r.LSN >= to {
					return errFar
				}
				return v.row(r)
			},
			State: v.state,
			Hole: func(h ledger.Hole) error {
				// The log may still have what rotted in the ledger.
				_, bad, err := s.walkLog(ctx, h.From, min(h.To, to), v, Unlisted)
				damaged = damaged || bad
				return err
			},
		})
		if errors.Is(err, errFar) {
			return to, damaged, nil
		}
		if err != nil {
			return reached, damaged, err
		}
		at = max(at, reached)
	}
	end, bad, err := s.walkLog(ctx, at, to, v, Released)
	return end, damaged || bad, err
}

var errFar = errors.New("read far enough")

// walkLog visits the rows of the log's entries in [from, to); gone is why rows are missing that the log released.
func (s *source) walkLog(ctx context.Context, from, to streamdown.LSN, v visitor, gone Reason) (end streamdown.LSN, damaged bool, err error) {
	c := &s.chunk
	for at := from; at < to; at = c.Next {
		if err := ctx.Err(); err != nil {
			return at, damaged, err
		}
		err := s.log.Read(c, at)
		var bad *wal.CorruptError
		switch {
		case errors.As(err, &bad):
			damaged = true
			v.miss(LogDamaged)
			continue
		case errors.Is(err, wal.ErrReleased):
			if v.hole == nil && s.ledger == nil { // the books need it
				return at, damaged, err
			}
			// By the process that owns the log, while we were reading; or long ago.
			damaged = damaged || s.ledger != nil
			v.miss(gone)
			c.Next = max(at, s.log.First())
			if c.Next == at {
				return at, damaged, err
			}
			continue
		case err != nil:
			return at, damaged, err
		case len(c.Entries) == 0:
			return at, damaged, nil
		}
		s.read += int64(c.Next - at)
		for i := range c.Entries {
			e := &c.Entries[i]
			if e.LSN >= to { // written since
				return to, damaged, nil
			}
			r, err := ledger.RowOf(e)
			if err != nil {
				v.miss(LogDamaged)
				continue
			}
			if err := v.row(&r); err != nil {
				return e.LSN, damaged, err
			}
		}
	}
	return min(max(from, c.Next), to), damaged, nil
}
