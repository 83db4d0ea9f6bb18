package wal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
)

// SalvageConfig says what to salvage. Zero values mean the defaults.
type SalvageConfig struct {
	FS  vfs.FS // default vfs.OS
	Dir string
	// Refuge is the second directory, if there is one. Default the one that the manifest names.
	Refuge string
	// Books are those that the log is opened with, fresh: their states are rebuilt where they are lost.
	Books []Book
	// Progress says what the books know of a lane: behind its last record, and below what all is confirmed at the target.
	// Nil = that cannot be said.
	Progress func(streamdown.LaneID) (end, confirmed streamdown.Ordinal)
	// Export is a directory to write all whole batches to; it must be empty or not be there. Empty = do not.
	Export string
	// Log is the id of the log, for a directory that has segments of several. Empty = the one that is found.
	Log string
	// NewLog sets a log aside that cannot be opened, so that a new one can begin. It needs Export.
	NewLog bool
	Now    func() time.Time // default time.Now
	// Report hears of bytes read so far and of those to read; it may be nil.
	Report func(done, total int64)
}

// Salvage brings a damaged data directory to where its log opens. It has looked at every file, knows what to do
// ([Salvage.Plan]) and does it when told ([Salvage.Run]). It holds the directory's lock until Close. Not for concurrent
// use.
//
// Nothing is ever deleted or written over. A file that has to be repaired is written anew beside the old one; then the
// old ones get a name that says what they are, then the new ones get theirs. The list of these renames is on the disk
// before the first of them, so that a salvage that was interrupted is finished by the next one and by nothing else: the
// log does not open meanwhile.
//
// Commit points: before salvagePending is durable nothing has happened; after it the next salvage goes on; when it is
// renamed to its record, all is done.
type Salvage struct {
	cfg   SalvageConfig
	dirs  []string // the first has lock and manifest
	locks []io.Closer
	plan  SalvagePlan

	files    []*found
	views    []*found
	man      *manifest // nil: none that is whole
	manErr   error     // why there is none
	id       streamdown.ID
	seed     uint32
	seeded   bool   // seed is known; id may not be
	which    string // why a person has to say which log this is
	chain    []*member
	losers   []*found // segments of this log that contradict those in the chain
	pending  *moves   // of a salvage that was interrupted
	lostList bool     // there is such a list and it cannot be read
	survey   survey
	work     work
	done     int64 // bytes read, for Report
	total    int64
}

// OpenSalvage takes the locks of the log's directories, reads all that lies in them and makes a plan. It changes
// nothing. The error says that no plan could be made: it wraps vfs.ErrLocked when a process uses the log.
func OpenSalvage(ctx context.Context, cfg SalvageConfig) (*Salvage, error) {
	if cfg.FS == nil {
		cfg.FS = vfs.OS{}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.NewLog && cfg.Export == "" {
		return nil, errors.New("a log is set aside for a new one only when its batches are exported first: name a directory for them")
	}
	cfg.Books = append([]Book{newLaneBook(), &identityBook{}}, cfg.Books...) // those of Open
	s := &Salvage{cfg: cfg}
	err := s.lock(cfg.Dir)
	if err == nil {
		err = s.makePlan(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("salvage log in %s: %w", cfg.Dir, err), s.Close())
	}
	return s, nil
}

func newLaneBook() *laneBook {
	b := &laneBook{}
	b.init()
	return b
}

func (s *Salvage) lock(dir string) error {
	lock, err := s.cfg.FS.Lock(filepath.Join(dir, "lock"))
	if err != nil {
		return err
	}
	s.dirs = append(s.dirs, filepath.Clean(dir))
	s.locks = append(s.locks, lock)
	return nil
}

// Close gives the locks back.
func (s *Salvage) Close() (err error) {
	for _, f := range append(s.files, s.views...) {
		f.close()
	}
	for _, l := range s.locks {
		err = errors.Join(err, l.Close())
	}
	s.locks = nil
	return err
}

// Plan is what was found and what Run would do.
func (s *Salvage) Plan() *SalvagePlan { return &s.plan }

func (s *Salvage) makePlan(ctx context.Context) error {
	began := s.cfg.Now()
	s.plan = SalvagePlan{
		SchemaVersion: 1, Dir: s.cfg.Dir, At: began.UTC(), Files: []SalvageFile{}, Steps: []SalvageStep{},
		Ranges: []LostRange{}, Records: []LostRecords{}, Notes: []string{},
	}
	if err := s.readPending(); err != nil {
		return err
	}
	if err := s.readManifest(); err != nil {
		return err
	}
	refuge := s.cfg.Refuge
	if refuge == "" && s.man != nil {
		refuge = s.man.Refuge
	}
	if refuge == "" && s.pending != nil {
		refuge = s.pending.Refuge
	}
	if refuge != "" && len(s.dirs) == 1 {
		if err := s.join(refuge); err != nil {
			return err
		}
	}
	if s.pending != nil {
		s.planPending()
		return nil
	}
	if err := s.look(ctx); err != nil {
		return err
	}
	if err := s.identify(ctx); err != nil {
		return err
	}
	if err := s.link(ctx); err != nil {
		return err
	}
	if err := s.examine(ctx); err != nil {
		return err
	}
	if err := s.decide(); err != nil {
		return err
	}
	s.plan.Elapsed = s.cfg.Now().Sub(began).Seconds()
	return nil
}

// join takes the second directory in, unless it is another's.
func (s *Salvage) join(refuge string) error {
	if filepath.Clean(refuge) == s.dirs[0] {
		return errors.New("the refuge is the data directory itself")
	}
	if err := s.lock(refuge); errors.Is(err, vfs.ErrLocked) {
		return fmt.Errorf("refuge: %w", err)
	} else if err != nil {
		return fmt.Errorf("refuge %s: %w; "+refugeMountAsk, refuge, err, s.cfg.Dir)
	}
	_, home, err := readRefuge(s.cfg.FS, refuge)
	if err == nil && s.man != nil && home != "" && copied(s.cfg.FS, s.cfg.Dir, home, s.man.Log) {
		s.note("this directory is a copy of %s: the refuge %s is that one's and is left alone", home, refuge)
		err = s.locks[1].Close()
		s.dirs, s.locks = s.dirs[:1], s.locks[:1]
		return err
	}
	s.plan.Refuge = refuge
	return nil // what is wrong with its mark is mended
}

func (s *Salvage) readManifest() error {
	man, err := readManifest(s.cfg.FS, s.cfg.Dir)
	if errors.Is(err, errNewer) {
		return fmt.Errorf("%w; "+startNewer, err)
	}
	if err != nil && isFileError(err) && !unreadable(err) {
		return err
	}
	s.man, s.manErr = man, err
	return nil
}

// progress counts bytes that were read.
func (s *Salvage) progress(n int64) {
	s.done += n
	if s.cfg.Report != nil {
		s.cfg.Report(s.done, max(s.done, s.total))
	}
}

// startNewer ends an error about a log that a later version wrote.
const startNewer = "start that version, or restore a backup of the directory"

// trySalvage ends an error about a log that does not open.
func trySalvage(dir string) string {
	return fmt.Sprintf("`streamdown wal salvage --data %s` shows what can be done, and deletes nothing", dir)
}

// readError is the error of opening a log when a segment cannot be read.
func (l *Log) readError(s *segment, err error) error {
	switch {
	case errors.Is(err, errNewer):
		return fmt.Errorf("read %s: %w; "+startNewer, s.name, err)
	case unreadable(err):
		return fmt.Errorf("read %s: %w; %s, and takes what the disk still gives", s.name, err, trySalvage(l.cfg.Dir))
	}
	return fmt.Errorf("read %s: %w", s.name, err)
}
