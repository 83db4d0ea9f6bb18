package ledger

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// Config says where a ledger lives and how long. Zero values mean the defaults.
type Config struct {
	FS  vfs.FS // default vfs.OS
	Dir string // is made if it is not there
	// LogDir is the directory of the log, to read the state that it begins with.
	LogDir string
	// Keep is how long rows are kept, MaxSize how many bytes. Default 90 days and 1 GiB. The newest file stays.
	Keep    time.Duration
	MaxSize int64
	// State is what files begin with: a book that is the Keeper's alone, which it shows all that it keeps.
	State wal.Book
	// Digest reports whether batches of a lane get a digest. Nil = none.
	Digest func(streamdown.LaneID) bool
	Logger *slog.Logger     // nil = silent
	Now    func() time.Time // default time.Now
}

// Log is what a Keeper needs of the log that it keeps the ledger of; *wal.Log is one.
type Log interface {
	FilesID() streamdown.ID
	Durable() streamdown.LSN
	// Read is wal.Log.Read: damage gives a *wal.CorruptError, what was released wal.ErrReleased.
	Read(c *wal.Chunk, from streamdown.LSN) error
}

const (
	flushEach  = time.Second
	verifyEach = time.Minute // one file
	maxPending = 1 << 16     // rows that wait for the disk; beyond, they are read from the log again
	restEach   = 10 * time.Second
	leastFile  = 1 << 20
	mostFile   = 64 << 20
)

// Keeper writes the ledger. It is a book of the log: give it to wal.Open, then call Open with the log. All methods may be
// called concurrently.
type Keeper struct {
	cfg Config
	log Log

	mu       sync.Mutex // guards the following
	pending  []Row      // of [from, to)
	spare    []Row
	from, to streamdown.LSN

	floor atomic.Uint64 // as Floor

	flushing sync.Mutex     // one flush at a time; guards the following
	written  streamdown.LSN // all below has its row, durably
	at       streamdown.LSN // State stands there, and there are no rows between written and it; 0 = State has to be restored
	out      output
	block    builder
	head     []byte // what a new file begins with, when the block is the first of one
	chunk    wal.Chunk
	hasher   Hasher
	rested   time.Time // last block without rows
	tidied   time.Time
	checked  uint64 // number of the file that was verified last

	statMu sync.Mutex // guards the following
	stats  Stats
}

// Stats is how a ledger stands.
type Stats struct {
	Files   int
	Bytes   int64
	Oldest  time.Time      // when the oldest file was begun; zero without one
	First   streamdown.LSN // rows begin there
	Written streamdown.LSN // all below has rows, but for holes
	Rows    uint64         // written since the start
	Reread  uint64         // bytes of the log that were read for it since the start
	Trouble string         // why it cannot be written just now; empty if it can
	Damaged []string       // files with damage, as last seen
	Skipped uint64         // log bytes that were released without rows since the start, for want of room
	Lost    uint64         // batches that the ledger knew at the start and the log did not: the log lost them
}

// New returns a keeper that touches nothing yet.
func New(cfg Config) *Keeper {
	if cfg.FS == nil {
		cfg.FS = vfs.OS{}
	}
	if cfg.Keep <= 0 {
		cfg.Keep = 90 * 24 * time.Hour
	}
	if cfg.MaxSize <= 0 {
		cfg.MaxSize = 1 << 30
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Keeper{cfg: cfg}
}

// BookID implements wal.Book.
func (k *Keeper) BookID() byte { return 6 }

// Snapshot implements wal.Book. There is nothing in it: the ledger's files are its state.
func (k *Keeper) Snapshot(dst []byte) []byte { return dst }

// Restore implements wal.Book.
func (k *Keeper) Restore([]byte) error { return nil }

// Apply implements wal.Book. It takes some hundred nanoseconds for a batch and allocates nothing for it.
func (k *Keeper) Apply(e *wal.Entry) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e.LSN != k.to || len(k.pending) >= maxPending { // the first one, behind damage, or the disk is too slow
		k.pending, k.from = k.pending[:0], e.LSN
	}
	k.to = e.End()
	if !Kept(e.Kind) {
		return
	}
	r, err := RowOf(e)
	if err != nil {
		return
	}
	r.Body = slices.Clone(r.Body) // a batch has none
	k.pending = append(k.pending, r)
}

// Floor is the log position up to which everything has its row, so that the log may release it.
func (k *Keeper) Floor() streamdown.LSN { return streamdown.LSN(k.floor.Load()) }

// Stats returns how the ledger stands, from memory.
func (k *Keeper) Stats() Stats {
	k.statMu.Lock()
	defer k.statMu.Unlock()
	s := k.stats
	s.Damaged = slices.Clone(s.Damaged)
	return s
}

func (k *Keeper) note(f func(s *Stats)) {
	k.statMu.Lock()
	defer k.statMu.Unlock()
	f(&k.stats)
}

// Open finds out how far the ledger got; the log is open, and has shown what it recovered. An error is one of reading
// the directory.
func (k *Keeper) Open(log Log) error {
	k.flushing.Lock()
	defer k.flushing.Unlock()
	k.log = log
	fs := k.cfg.FS
	if err := fs.MkdirAll(k.cfg.Dir); err != nil {
		return fmt.Errorf("make the ledger's directory: %w", err)
	}
	files, unfinished, err := list(fs, k.cfg.Dir)
	if err != nil {
		return err
	}
	for _, name := range unfinished {
		if err := fs.Remove(filepath.Join(k.cfg.Dir, name)); err != nil && !vfs.IsNotExist(err) {
			return fmt.Errorf("remove unfinished %s: %w", name, err)
		}
	}
	if n := len(files); n > 0 {
		k.out.number = files[n-1].number
	}
	end, lost := log.Durable(), uint64(0)
	ok, err := k.replay(end, func(row *Row) {
		if row.Kind == wal.KindBatch {
			lost++
		}
	})
	if err != nil {
		return err
	}
	if !ok {
		// There is none yet, or no whole one. It begins now, so that what is released without rows from here on is a hole in it.
		if k.written, err = k.oldest(); err != nil {
			return err
		}
		k.at = k.written
		k.begin()
		if err := k.write(k.written); err != nil {
			k.at = 0
			k.cfg.Logger.Error("begin the ledger; the log keeps what has no rows until it works", "err", err)
		}
	}
	if ok && k.written > end {
		k.cfg.Logger.Error("the ledger knows of batches that the log does not have any more: it lost its end, or its directory was rolled back",
			"batches", lost, "from", end, "to", k.written)
		// Before the log goes on there with other entries: the next start could not tell them apart.
		k.written = end
		k.begin()
		if err := k.write(end); err != nil {
			k.at = 0
			k.cfg.Logger.Error("begin a file of the ledger where the log goes on", "err", err)
		}
	}
	k.floor.Store(uint64(k.written))
	k.note(func(s *Stats) { s.Written, s.Lost = k.written, lost })
	return k.tidy()
}

// replay finds how far the rows go and brings State to there, or to end if that is below; what the ledger has from end on
// is shown to beyond. Without a whole state in the newest two files, ok is false.
func (k *Keeper) replay(end streamdown.LSN, beyond func(*Row)) (ok bool, err error) {
	files, _, err := list(k.cfg.FS, k.cfg.Dir)
	if err != nil {
		return false, err
	}
	// The newest file tells how far the rows go; the one before it, when that one's header is damaged.
	r := &Reader{fs: k.cfg.FS, dir: k.cfg.Dir, log: k.log.FilesID(), files: files[max(0, len(files)-2):]}
	at, ok, err := r.Restore(k.cfg.State)
	if err != nil || !ok || at > end {
		return false, err
	}
	k.written, err = r.visit(at, Visitor{Row: func(row *Row) error {
		if row.LSN < end {
			k.cfg.State.Apply(&row.Entry)
		} else {
			beyond(row)
		}
		return nil
	}}, func() error { return nil })
	k.at = min(k.written, end)
	return err == nil, err
}

// close lets the file go that is written to: the process may go on without this log, or open it again.
func (k *Keeper) close() {
	k.flushing.Lock()
	defer k.flushing.Unlock()
	k.out.giveUp()
}

// Run writes and verifies until ctx ends, and then writes once more. What it could not write it derives again at the next
// start.
func (k *Keeper) Run(ctx context.Context) error {
	flush, verify := time.NewTicker(flushEach), time.NewTicker(verifyEach)
	defer flush.Stop()
	defer verify.Stop()
	for {
		select {
		case <-ctx.Done():
			_ = k.Flush(context.WithoutCancel(ctx)) // it is in Stats, and the next start tries again
			k.close()
			return nil
		case <-flush.C:
			_ = k.Flush(ctx)
		case <-verify.C:
			k.Verify()
		}
	}
}
