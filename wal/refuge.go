package wal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
)

// A refuge is a second directory, on a disk of its own, in which segments are made while that cannot be done in the
// first. The manifest of the first directory names it before anything is written to it, and a file in it names the log,
// so that neither is ever opened without the other.
type refuge struct {
	lock  io.Closer
	bound bool // a manifest that names the refuge is durable, or one that this process wrote later is

	mu      sync.Mutex // guards the following
	ready   bool       // both directories name each other
	in      bool       // the segment that is written to lies here
	since   time.Time
	why     string
	retryAt time.Time // of the first directory
	wait    time.Duration
}

const (
	refugeFile     = "refuge"
	firstReturn    = 10 * time.Second
	seldomReturn   = 5 * time.Minute
	refugeMountAsk = "is its disk mounted? If that is lost for good, move `manifest` in %s away: the log then opens without what only the refuge held"
)

// refugeMark is what refugeFile says. Like the manifest, the file ends with a CRC32C of all before it.
type refugeMark struct {
	Log  string `json:"log"`
	Home string `json:"home"` // the first directory
}

var errRefugeMark = errors.New("its file `refuge`, which names its log, is damaged")

func (m refugeMark) encode() ([]byte, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	b = b[:len(b)-1] // the brace
	return append(b, crcField(b)...), nil
}

// main reports whether a segment should be made in the first directory.
func (r *refuge) main(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.in || !now.Before(r.retryAt)
}

func (r *refuge) usable() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ready
}

// entered notes that a segment was made in the refuge; true if that is new.
func (r *refuge) entered(now time.Time, why error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	fresh := !r.in
	switch {
	case fresh:
		r.in, r.since, r.wait = true, now, firstReturn
	case now.Before(r.retryAt): // the first directory was not tried
		return false
	default:
		r.wait = min(2*r.wait, seldomReturn)
	}
	if why != nil {
		r.why = why.Error()
	}
	r.retryAt = now.Add(r.wait)
	return fresh
}

// left notes that a segment was made in the first directory; true if that is new.
func (r *refuge) left() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.in
	r.in = false
	return was
}

// refused notes that the first directory was tried from the refuge, and failed.
func (r *refuge) refused(now time.Time, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.why, r.wait = why.Error(), min(2*r.wait, seldomReturn)
	r.retryAt = now.Add(r.wait)
}

// state is for people: since when and why segments are made here.
func (r *refuge) state() (in bool, since time.Time, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.in, r.since, r.why
}

// openRefuge checks, before any segment is read, that the refuge is the one that the manifest names, and takes its lock.
func (l *Log) openRefuge(man *manifest) error {
	named := ""
	if man != nil {
		named = man.Refuge
	}
	if named != "" && named != l.cfg.Refuge {
		if err := l.leaveRefuge(named); err != nil {
			return err
		}
	}
	dir := l.cfg.Refuge
	if dir == "" {
		return nil
	}
	if filepath.Clean(dir) == filepath.Clean(l.cfg.Dir) {
		return errors.New("the refuge is the data directory itself: it needs a disk of its own")
	}
	lock, err := l.cfg.FS.Lock(filepath.Join(dir, "lock"))
	if errors.Is(err, vfs.ErrLocked) {
		return fmt.Errorf("refuge: %w", err)
	}
	if err != nil {
		return fmt.Errorf("refuge %s: %w; "+refugeMountAsk, dir, err, l.cfg.Dir)
	}
	l.refuge.lock = lock
	mark, _, err := readRefuge(l.cfg.FS, dir)
	switch {
	case errors.Is(err, errRefugeMark) && named == dir:
		mark = man.Log // the manifest knows, and the file is written again
	case err != nil:
		return err
	case mark.IsZero() && named == dir:
		return fmt.Errorf("refuge %s does not name its log any more: "+refugeMountAsk, dir, l.cfg.Dir)
	case !mark.IsZero() && man != nil && mark != man.Log:
		return fmt.Errorf("refuge %s belongs to log %s, not to %s: give each log a refuge of its own", dir, mark, man.Log)
	case !mark.IsZero() && man == nil:
		if held, err := holdsSegments(l.cfg.FS, l.cfg.Dir); err != nil || !held {
			return errors.Join(err, fmt.Errorf("refuge %s names log %s, of which %s holds nothing: is its disk mounted? If that is lost "+
				"for good, move the segments (*.wal) of the refuge there: the log then opens with what they hold", dir, mark, l.cfg.Dir))
		}
	}
	// That the manifest is there does not say that it is durable: a sync of its directory may have failed, and a crash
	// would take it away and leave segments here that nobody looks for. One that says that another was durable before
	// is enough: a crash leaves this one or that.
	l.refuge.bound = named == dir && man.Bound && !mark.IsZero()
	l.refuge.ready = l.refuge.bound
	return nil
}

// readRefuge returns the id of the log whose refuge dir is, and that log's first directory; zero if it is nobody's yet.
// A file that is damaged gives errRefugeMark.
func readRefuge(fs vfs.FS, dir string) (id streamdown.ID, home string, err error) {
	b, err := vfs.ReadFile(fs, filepath.Join(dir, refugeFile))
	if vfs.IsNotExist(err) {
		return id, "", nil
	}
	if err != nil {
		return id, "", fmt.Errorf("refuge %s: %w", dir, err)
	}
	var m refugeMark
	at := bytes.LastIndex(b, []byte(manifestCRC))
	if at < 0 || string(b[at:]) != crcField(b[:at]) || json.Unmarshal(b, &m) != nil {
		return id, "", fmt.Errorf("refuge %s: %w", dir, errRefugeMark)
	}
	if id, err = streamdown.ParseID(m.Log); err != nil {
		return id, "", fmt.Errorf("refuge %s: %w", dir, err)
	}
	return id, m.Home, nil
}

// copied reports whether dir is a copy of home, which names the same log and is still there. The refuge is locked, so
// nobody else uses home: if that is locked, it is dir under another name.
func copied(fs vfs.FS, dir, home string, id streamdown.ID) bool {
	if filepath.Clean(home) == filepath.Clean(dir) {
		return false
	}
	man, err := readManifest(fs, home)
	if err != nil || man == nil || man.Log != id {
		return false
	}
	lock, err := fs.Lock(filepath.Join(home, "lock"))
	if err != nil {
		return false
	}
	_ = lock.Close() // it was only asked for
	return true
}

// leaveRefuge checks that a refuge that is not configured any more holds nothing.
func (l *Log) leaveRefuge(dir string) error {
	held, err := holdsSegments(l.cfg.FS, dir)
	if err != nil {
		return fmt.Errorf("the log has a refuge in %s, which cannot be read: %w; "+refugeMountAsk, dir, err, l.cfg.Dir)
	}
	if held {
		return fmt.Errorf("the log has segments in its refuge %s, which the configuration does not name: "+
			"set data.refuge to it until they are confirmed and released", dir)
	}
	return nil
}

func holdsSegments(fs vfs.FS, dir string) (bool, error) {
	names, err := fs.List(dir)
	return slices.ContainsFunc(names, func(name string) bool {
		_, _, ok := parseSegmentName(name)
		return ok
	}), err
}

// bindRefuge lets the two directories name each other, durably. Until that worked the refuge is not used.
func (l *Log) bindRefuge(man *manifest) error {
	dir := l.cfg.Refuge
	if dir != "" {
		mark, home, err := readRefuge(l.cfg.FS, dir)
		if err != nil && !errors.Is(err, errRefugeMark) {
			return err
		}
		if copied(l.cfg.FS, l.cfg.Dir, home, l.id) {
			return fmt.Errorf("%s is a copy of %s, whose refuge %s is: give the copy a refuge of its own", l.cfg.Dir, home, dir)
		}
		if !mark.IsZero() && mark != l.id { // the manifest, which would have told, was damaged or is gone
			return fmt.Errorf("refuge %s belongs to log %s, not to %s: give each log a refuge of its own", dir, mark, l.id)
		}
		// That the file is there does not say that it is durable: a sync of its directory may have failed. The manifest,
		// which is written later, says it.
		if man == nil || man.Refuge != dir || err != nil || home != l.cfg.Dir {
			b, err := refugeMark{Log: l.id.String(), Home: l.cfg.Dir}.encode()
			if err != nil {
				return err
			}
			if err := vfs.WriteFile(l.cfg.FS, filepath.Join(dir, refugeFile), b); err != nil {
				return fmt.Errorf("refuge: %w", err)
			}
		}
	}
	if man == nil || man.Refuge != dir || dir != "" && !man.Bound {
		l.refuge.bound = false
		if err := l.writeManifest(); err != nil {
			return err
		}
		if l.refuge.bound = dir != ""; l.refuge.bound {
			l.saveManifest() // that says so
		}
	}
	l.refuge.mu.Lock()
	l.refuge.ready = dir != ""
	l.refuge.mu.Unlock()
	return nil
}
