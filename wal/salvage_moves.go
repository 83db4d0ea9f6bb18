package wal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/streamdown/streamdown/vfs"
)

// The list of renames of a salvage that is under way: while pendingAway is there, files get out of the way; while
// pendingBack is there, others get their names. The log does not open then.
const (
	pendingAway = "salvage.pending"
	pendingBack = "salvage.moving"
)

// moves is what these files hold, with the plan for people. When all is done it is kept as Record.
type moves struct {
	Format int          `json:"format"`
	Refuge string       `json:"refuge,omitempty"`
	Record string       `json:"record"`
	Away   []move       `json:"away"` // to names that nobody has
	Back   []move       `json:"back"` // to names that nobody has after that
	Plan   *SalvagePlan `json:"plan"`

	back bool // the first half is durable
}

type move struct {
	Refuge bool   `json:"refuge,omitempty"` // in the second directory
	From   string `json:"from"`
	To     string `json:"to"`
}

func (s *Salvage) inMain(name string) string { return filepath.Join(s.dirs[0], name) }

// readPending looks for the list of a salvage that was interrupted.
func (s *Salvage) readPending() error {
	for _, name := range []string{pendingBack, pendingAway} { // both, when a crash left a rename half done
		b, err := vfs.ReadFile(s.cfg.FS, s.inMain(name))
		if vfs.IsNotExist(err) {
			continue
		}
		if err != nil && !unreadable(err) {
			return err
		}
		m := &moves{}
		if err == nil {
			err = json.Unmarshal(b, m)
		}
		switch {
		case err == nil && m.Format > 1:
			return fmt.Errorf("%s: %w; "+startNewer, name, errNewer)
		case err != nil || m.Format != 1:
			s.lostList = true
		default:
			m.back = name == pendingBack
			s.pending, s.lostList = m, false
			return nil
		}
	}
	return nil
}

func (s *Salvage) planPending() {
	s.plan.Verdict = SalvageInterrupted
	step := func(list []move) {
		for _, m := range list {
			s.plan.Steps = append(s.plan.Steps, SalvageStep{Do: DoRename, Dir: s.dirOf(m), Name: m.From, To: m.To, Why: "if that was not done yet"})
		}
	}
	if !s.pending.back {
		step(s.pending.Away)
	}
	step(s.pending.Back)
}

func (s *Salvage) dirOf(m move) string {
	if m.Refuge && len(s.dirs) > 1 {
		return s.dirs[1]
	}
	return s.dirs[0]
}

// finish carries the renames out, from where an earlier run came to.
func (s *Salvage) finish(m *moves) error {
	if !m.back {
		if err := s.rename(m.Away); err != nil {
			return err
		}
		if err := s.cfg.FS.Rename(s.inMain(pendingAway), s.inMain(pendingBack)); err != nil {
			return err
		}
		if err := s.cfg.FS.SyncDir(s.dirs[0]); err != nil {
			return fmt.Errorf("sync directory: %w", err)
		}
		m.back = true
	}
	if err := s.rename(m.Back); err != nil {
		return err
	}
	// A crash may have left the list under its first name too.
	for _, name := range []string{pendingAway, pendingBack} {
		if err := s.cfg.FS.Rename(s.inMain(name), s.inMain(m.Record)); err != nil && !vfs.IsNotExist(err) {
			return err
		}
	}
	if err := s.cfg.FS.SyncDir(s.dirs[0]); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

func (s *Salvage) rename(list []move) error {
	for _, m := range list {
		from, to := filepath.Join(s.dirOf(m), m.From), filepath.Join(s.dirOf(m), m.To)
		there, err := exists(s.cfg.FS, from)
		if err != nil {
			return err
		}
		if !there {
			continue // it was done
		}
		taken, err := exists(s.cfg.FS, to)
		if err != nil {
			return err
		}
		if taken { // a crash may leave a renamed file under both names
			if same, err := sameContent(s.cfg.FS, from, to); err != nil {
				return err
			} else if !same {
				return fmt.Errorf("%s should become %s, which is there and is another file; move that away and salvage again", from, m.To)
			}
		}
		if err := s.cfg.FS.Rename(from, to); err != nil {
			return err
		}
	}
	for _, dir := range s.dirs {
		if err := s.cfg.FS.SyncDir(dir); err != nil {
			return fmt.Errorf("sync directory: %w", err)
		}
	}
	return nil
}

func exists(fs vfs.FS, path string) (bool, error) {
	f, err := fs.Open(path)
	if vfs.IsNotExist(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, f.Close()
}

// sameContent compares two files; what cannot be read of one must not be readable of the other.
func sameContent(fs vfs.FS, a, b string) (bool, error) {
	var files [2]*patient
	var sizes [2]int64
	for i, path := range []string{a, b} {
		f, err := fs.Open(path)
		if err != nil {
			return false, err
		}
		defer f.Close()
		files[i] = &patient{f, map[int64]bool{}}
		if sizes[i], err = f.Size(); err != nil {
			return false, err
		}
	}
	if sizes[0] != sizes[1] {
		return false, nil
	}
	var bufs [2][]byte
	bufs[0], bufs[1] = make([]byte, 1<<20), make([]byte, 1<<20)
	for at := int64(0); at < sizes[0]; at += 1 << 20 {
		var n [2]int
		for i := range files {
			var err error
			if n[i], err = readFull(files[i], bufs[i], at); err != nil {
				return false, err
			}
		}
		if !bytes.Equal(bufs[0][:n[0]], bufs[1][:n[1]]) {
			return false, nil
		}
	}
	return true, nil
}

// salvageEnded says that no salvage of the log is under way: in the middle of one, a segment may have no name, and the
// log would go on without it.
func (l *Log) salvageEnded() error {
	for _, name := range []string{pendingAway, pendingBack} {
		there, err := exists(l.cfg.FS, filepath.Join(l.cfg.Dir, name))
		if err != nil {
			return err
		}
		if there {
			return errInterrupted
		}
	}
	return nil
}

var errInterrupted = errors.New("a salvage of this log was interrupted: let it finish first")
