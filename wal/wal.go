package wal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"math"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/tally"
	"github.com/streamdown/streamdown/vfs"
)

// Book is a state that is a function of the log's entries.
//
// During Open the log calls Restore at most once and then Apply; afterwards the log's writer goroutine calls Apply for
// each entry that became durable, in LSN order, and Snapshot between groups. These calls never overlap.
type Book interface {
	// BookID names the book in snapshots. It never changes and is not zero.
	BookID() byte
	// Apply takes one durable entry of any kind; e.Body is valid during the call only. It must not append to the log
	// and must not wait.
	Apply(e *Entry)
	// Snapshot appends the state that all entries applied so far have made, without what is pending, to dst.
	Snapshot(dst []byte) []byte
	// Restore replaces the state by a snapshot that this or an earlier version wrote.
	Restore(snapshot []byte) error
}

// Config says where a log lives. Zero values mean the defaults.
type Config struct {
	FS  vfs.FS // default vfs.OS
	Dir string // must exist
	// SegmentSize is where a segment is sealed and the next begun, in bytes. Default 128 MiB, at most 256 MiB.
	SegmentSize int64
	// MaxSize is the total size in bytes at which Append answers ErrFull. 0 = no limit.
	MaxSize int64
	// Refuge is a directory, which must exist, on another disk, where segments are made while that cannot be done in Dir.
	// Empty = none.
	Refuge string
	Books  []Book
	Logger *slog.Logger     // nil = silent
	Now    func() time.Time // default time.Now
}

var (
	// ErrClosed is returned by Append after Close.
	ErrClosed = errors.New("the log is closed")
	// ErrFull is returned by Append for a batch when there is no room for it: the log has its maximal size, or its disk
	// is full; nothing was appended.
	ErrFull = errors.New("there is no room in the log")
)

// CorruptError says that the log's bytes from From to To are damaged. What is around them is intact.
type CorruptError struct {
	Segment  string
	From, To streamdown.LSN
	Err      error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s: log bytes [%d, %d) are damaged: %v", e.Segment, e.From, e.To, e.Err)
}

// Unwrap returns the cause.
func (e *CorruptError) Unwrap() error { return e.Err }

const (
	pieceSize = 256 << 10 // one write(2); larger ones are several times slower on some kernels
	groupSoft = 4 << 20   // Ready waits while the group being collected is this large
	idleMark  = time.Second
	slowWrite = time.Second // a commit that takes longer is worth a line

	maxSegment = 256 << 20
	minSegment = 1 << 20 // where MaxSize or the disk ask for small ones
)

// Log is an open write-ahead log. All methods may be called concurrently.
type Log struct {
	cfg  Config
	id   streamdown.ID // in the headers of its files
	seed uint32        // of entry CRCs
	// hadManifest: there is one, and it cannot be read.
	hadManifest bool
	lock        io.Closer

	mu     sync.Mutex    // guards the following
	taken  chan struct{} // closed when the collected group is taken, or the log closes; nil while nobody waits
	group  []byte        // entries being collected
	spare  []byte        // the buffer that is not in use
	next   streamdown.LSN
	closed bool

	wake chan struct{} // capacity 1: the writer has something to do
	stop chan struct{} // closed by Close
	done chan struct{} // closed when the writer has ended

	durable atomic.Uint64 // LSN
	changed atomic.Pointer[chan struct{}]

	files    sync.RWMutex // guards the following; readers hold it while they read so that no file is closed under them
	segments []*segment   // oldest first; the last one is written to
	spares   []*spare     // released segments that can be written over
	reserves []*spare     // for when the disk is full
	opening  sync.Mutex   // one reader at a time opens a file
	size     atomic.Int64 // bytes on disk of all of these
	used     atomic.Int64 // bytes of segments as far as they are written
	inHand   atomic.Int64 // bytes of the group that the writer took and that used does not count yet
	held     atomic.Int64 // bytes of the reserve
	state    int64        // size of the last state; owned by the writer
	tried    tried        // the last file that was made; owned by the writer
	left     []*segment   // that failed since the last one that did not, and may have their names; owned by the writer
	tended   time.Time    // when tend was last called; owned by the writer
	measured uint64       // what stats.bytes was then
	said     time.Time    // when it was last said that nothing can be written; owned by the writer
	tight    atomic.Bool  // the disk has no room for batches
	turn     atomic.Bool  // Release needs another state, so that it can make room
	refuge   refuge

	releasing   sync.Mutex    // one Release at a time; held while it removes
	dirFailures atomic.Uint64 // syncs of a directory that failed

	lanes    laneBook
	identity identityBook

	stats struct {
		fsync    tally.Histogram
		groups   atomic.Uint64
		bytes    atomic.Uint64
		failures atomic.Uint64
		stuck    atomic.Pointer[string] // why writing fails just now
		rate     atomic.Uint64          // bits of a float64: bytes per second
		since    atomic.Int64           // unix nanoseconds at which the commit under way began; 0 = none is
		damage   atomic.Uint64
	}
}

// Recovery tells what Open found.
type Recovery struct {
	LogID    streamdown.ID  // as Log.ID
	Created  bool           // there was no log
	From     streamdown.LSN // where reading began
	End      streamdown.LSN // where the log goes on
	Entries  int
	Torn     int64           // bytes cut off the tail, which may have held acked records
	TornFile string          // where they are kept
	Damage   []*CorruptError // rot below the durable mark
	Elapsed  time.Duration
}

// Open opens the log in cfg.Dir, or creates it in an empty directory, and restores the books. It takes the
// directory's lock; a second process gets an error that wraps vfs.ErrLocked. The writer goroutine runs until Close.
func Open(cfg Config) (*Log, *Recovery, error) {
	if cfg.FS == nil {
		cfg.FS = vfs.OS{}
	}
	if cfg.SegmentSize <= 0 {
		cfg.SegmentSize = 128 << 20
	}
	cfg.SegmentSize = min(cfg.SegmentSize, maxSegment)
	if cfg.MaxSize > 0 {
		cfg.SegmentSize = min(cfg.SegmentSize, max(cfg.MaxSize/leastShare, minSegment))
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	lock, err := cfg.FS.Lock(filepath.Join(cfg.Dir, "lock"))
	if err != nil {
		return nil, nil, fmt.Errorf("open log in %s: %w", cfg.Dir, err)
	}
	l := &Log{cfg: cfg, lock: lock, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	l.lanes.init()
	l.cfg.Books = append([]Book{&l.lanes, &l.identity}, cfg.Books...)
	ch := make(chan struct{})
	l.changed.Store(&ch)
	rec, err := l.recover()
	if err != nil {
		_ = l.closeFiles() // what matters is why it does not open
		return nil, nil, fmt.Errorf("open log in %s: %w", cfg.Dir, err)
	}
	rec.LogID = l.ID()
	go l.write()
	return l, rec, nil
}

func newLogID() streamdown.ID {
	var id streamdown.ID
	_, _ = rand.Read(id[:]) // never fails
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

func seedOf(id streamdown.ID) uint32 { return crc32.Checksum(id[:], castagnoli) }

// Durable returns the LSN below which all is on stable storage and applied to the books.
func (l *Log) Durable() streamdown.LSN { return streamdown.LSN(l.durable.Load()) }

// Changed returns a channel that is closed when Durable next rises. Take the channel first, then look at Durable.
func (l *Log) Changed() <-chan struct{} { return *l.changed.Load() }

// Wait waits until all below lsn is durable.
func (l *Log) Wait(ctx context.Context, lsn streamdown.LSN) error {
	for {
		ch := l.Changed()
		if l.Durable() >= lsn {
			return nil
		}
		select {
		case <-ch:
		case <-l.done:
			if l.Durable() >= lsn {
				return nil
			}
			return ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *Log) setDurable(lsn streamdown.LSN) {
	l.durable.Store(uint64(lsn))
	ch := make(chan struct{})
	close(*l.changed.Swap(&ch))
}

// Close waits until all that was appended is durable, writes the last mark and closes the files. When the disk takes
// no more, it gives up after one more try and says so: what was not durable was acknowledged to nobody.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		<-l.done
		return nil
	}
	l.closed = true
	l.takenLocked()
	l.mu.Unlock()
	close(l.stop)
	<-l.done
	var err error
	l.mu.Lock()
	if left := len(l.group); left == entrySize(8) {
		err = errors.New("close log: all that was appended is durable, but the last mark could not be written")
	} else if left > 0 {
		err = fmt.Errorf("close log: %d bytes that nobody was told are safe could not be written", left)
	}
	l.mu.Unlock()
	if cerr := l.closeFiles(); err == nil {
		err = cerr
	}
	return err
}

// closeFiles gives back the files, all of which were synced or only read, and then the locks.
func (l *Log) closeFiles() (err error) {
	l.files.Lock()
	defer l.files.Unlock()
	for _, s := range l.segments {
		if s.file != nil {
			s.file.Close()
			s.file = nil
		}
	}
	for _, s := range slices.Concat(l.spares, l.reserves) {
		s.file.Close()
	}
	l.spares, l.reserves = nil, nil
	if l.refuge.lock != nil {
		err = l.refuge.lock.Close()
	}
	return errors.Join(err, l.lock.Close())
}

// roomLeft is what the log may still grow by: below its maximal size, in what is free on its disk and in its own spares.
func (l *Log) roomLeft(s *Stats) int64 {
	room := int64(-1)
	dir := l.cfg.Dir
	if in, _, _ := l.refuge.state(); in {
		dir = l.cfg.Refuge
	}
	if free, err := l.cfg.FS.Free(dir); err == nil {
		room = int64(min(free, math.MaxInt64/2)) + max(0, s.OnDisk-s.Size) //nolint:gosec // checked
	}
	if s.MaxSize > 0 && (room < 0 || room > s.MaxSize-s.Size) {
		room = max(0, s.MaxSize-s.Size)
	}
	return room
}

// Stats is what the log counts.
type Stats struct {
	ID       streamdown.ID
	First    streamdown.LSN // oldest entry kept
	Durable  streamdown.LSN
	Segments int
	Size     int64 // bytes of all that MaxSize bounds: segments as far as they are written, and the reserve
	OnDisk   int64 // bytes that the files take: Size, and the room that is kept to be written over
	MaxSize  int64
	Groups   uint64
	Bytes    uint64 // entry bytes made durable since start
	Failures uint64 // failed writes and syncs since start
	Stuck    string // why nothing can be written just now; empty if all is well
	Full     string // why there is no room for batches; empty if there is
	// Waiting is how long the write or sync under way has taken so far; a disk that hangs shows here.
	Waiting time.Duration
	// Rate is what is written, in bytes per second, over the last minute or so.
	Rate float64
	// Room is what the log may still grow by, in bytes; -1 if that is not known.
	Room int64
	// Refuge tells since when, and why, segments are made in the refuge; zero if they are not.
	Refuge    time.Time
	RefugeWhy string
	Damage    uint64 // damaged ranges met since start
	Fsync     *tally.Snapshot
}

// Stats returns the counts.
func (l *Log) Stats() Stats {
	l.files.RLock()
	n := len(l.segments)
	first := l.segments[0].first
	l.files.RUnlock()
	s := Stats{
		ID: l.ID(), First: first, Durable: l.Durable(), Segments: n, Size: l.counted(), OnDisk: l.size.Load(), MaxSize: l.cfg.MaxSize,
		Groups: l.stats.groups.Load(), Bytes: l.stats.bytes.Load(), Failures: l.stats.failures.Load(),
		Damage: l.stats.damage.Load(), Fsync: l.stats.fsync.Snapshot(),
	}
	if why := l.stats.stuck.Load(); why != nil {
		s.Stuck = *why
	}
	if since := l.stats.since.Load(); since > 0 {
		s.Waiting = max(0, l.cfg.Now().Sub(time.Unix(0, since)))
	}
	switch {
	case l.tight.Load():
		s.Full = "the disk of " + l.cfg.Dir + " is full"
	case l.cfg.MaxSize > 0 && s.Size >= l.cfg.MaxSize-l.cfg.MaxSize/100:
		s.Full = "the log has reached data.max_size"
	}
	s.Rate, s.Room = math.Float64frombits(l.stats.rate.Load()), l.roomLeft(&s)
	if in, since, why := l.refuge.state(); in {
		s.Refuge, s.RefugeWhy = since, why
	}
	return s
}
