package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/config"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/httpin"
	"github.com/streamdown/streamdown/ingest"
	"github.com/streamdown/streamdown/ledger"
	"github.com/streamdown/streamdown/reconcile"
	"github.com/streamdown/streamdown/wal"
)

// NoteProof notes in the log that a proof of it was made. It is durable when NoteProof returns.
func (n *Node) NoteProof(ctx context.Context, p reconcile.Noted) (streamdown.LSN, error) {
	e, err := p.Entry()
	if err != nil {
		return 0, err
	}
	if _, err := n.wal.Append(e); err != nil {
		return 0, err
	}
	return e.LSN, n.wal.Wait(ctx, e.End())
}

// Idle is the log of a process that does not run just now: all its books, and nobody who serves or sends.
type Idle struct {
	Log    *wal.Log
	Book   *delivery.Book
	ledger *ledger.Keeper
}

// OpenIdle opens the log of a config, with everything that has to be in its states. It is the owner of the directory until
// Close; the error of one in use wraps vfs.ErrLocked. Nothing may be sent in the log's name before wal.Log.Begin.
func OpenIdle(cfg *config.Config, logger *slog.Logger) (*Idle, error) {
	n := &Node{cfg: cfg, log: logger, book: delivery.New(), catalog: catalog.New()}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	intake := ingest.New(ingest.Config{Confirmations: n.book, Cluster: n.catalog.Cluster})
	n.ledger = n.newLedger()
	var err error
	n.wal, _, err = wal.Open(wal.Config{
		Dir: cfg.Data.Dir, MaxSize: int64(cfg.Data.MaxSize), Refuge: cfg.Data.Refuge, Logger: n.log,
		Books: []wal.Book{n.book, httpin.NewReceipts(intake, n.book), n.catalog, n.ledger},
	})
	if err != nil {
		return nil, err
	}
	if err := n.ledger.Open(n.wal); err != nil {
		return nil, errors.Join(err, n.wal.Close())
	}
	return &Idle{Log: n.wal, Book: n.book, ledger: n.ledger}, nil
}

// Close writes the ledger and closes the log.
func (i *Idle) Close(ctx context.Context) error {
	return errors.Join(i.ledger.Flush(ctx), i.Log.Close())
}

// NoteProof is Node.NoteProof for a log that no process has.
func (i *Idle) NoteProof(ctx context.Context, p reconcile.Noted) (streamdown.LSN, error) {
	e, err := p.Entry()
	if err != nil {
		return 0, err
	}
	if _, err := i.Log.Append(e); err != nil {
		return 0, fmt.Errorf("note proof: %w", err)
	}
	return e.LSN, i.Log.Wait(ctx, e.End())
}
