package wal

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
)

// write is the writer goroutine: it takes the collected group, makes it durable, shows it to the books.
func (l *Log) write() {
	defer close(l.done)
	idle := time.NewTimer(idleMark)
	defer idle.Stop()
	marked := l.Durable() // end of the last group that was nothing but a mark
	for {
		stopping := false
		select {
		case <-l.wake:
		case <-l.stop:
			stopping = true
		case <-idle.C:
			if l.Durable() == marked {
				continue // nothing new since the last mark
			}
			l.mu.Lock()
			if len(l.group) == 0 {
				l.markLocked()
			}
			l.mu.Unlock()
		}
		if !l.commit(stopping) {
			return
		}
		if stopping {
			if l.Durable() != marked {
				l.mu.Lock()
				l.markLocked()
				l.mu.Unlock()
				if !l.commit(true) {
					return
				}
			}
			l.saveManifest()
			return
		}
		if l.lastGroupWasMark() {
			marked = l.Durable()
			l.saveManifest()
		}
		idle.Reset(idleMark)
	}
}

// lastGroupWasMark reports whether the group in the spare buffer, the last one committed, held nothing but its mark.
func (l *Log) lastGroupWasMark() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.spare) == entrySize(8)
}

// commit makes the collected group durable. It tries for as long as the log is open; false means that the log was
// closed while the disk took nothing, and the group is left where it was.
func (l *Log) commit(stopping bool) bool {
	l.mu.Lock()
	group := l.group
	if len(group) == 0 {
		l.mu.Unlock()
		return true
	}
	l.group = l.spare[:0]
	l.spare = nil
	end := l.next
	l.room.Broadcast()
	l.mu.Unlock()

	first := end - streamdown.LSN(len(group))
	endMark(group, end, l.seed)
	fresh := false // the current segment was begun for this group after a failure
	last := false  // there is one more try
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := l.persist(group, first, fresh)
		if err == nil {
			break
		}
		l.stats.failures.Add(1)
		why := err.Error()
		l.stats.stuck.Store(&why)
		l.cfg.Logger.Error("write to log; nothing is acknowledged until it works", "lsn", first, "err", err)
		fresh = true
		if last {
			l.mu.Lock()
			l.group = append(group, l.group...)
			l.mu.Unlock()
			return false
		}
		if stopping {
			last = true
			continue
		}
		select {
		case <-l.stop:
			stopping, last = true, true
		case <-time.After(wait):
		}
	}
	l.stats.stuck.Store(nil)
	l.stats.groups.Add(1)
	l.stats.bytes.Add(uint64(len(group)))
	l.apply(group, first)
	l.setDurable(end)

	l.mu.Lock()
	if cap(group) > 4*groupSoft {
		group = group[:0:0] // one giant batch must not keep its buffer for ever
	}
	l.spare = group
	l.mu.Unlock()
	return true
}

// persist writes and syncs a group. A segment in which that failed is given up: with fresh set, and when the current
// one is full, it begins a new one, whose first LSN cuts all earlier ones.
func (l *Log) persist(group []byte, first streamdown.LSN, fresh bool) error {
	l.files.RLock()
	cur := l.segments[len(l.segments)-1]
	l.files.RUnlock()
	used := cur.written - cur.start
	if fresh || used > 0 && used+int64(len(group)) > l.cfg.SegmentSize {
		s, err := l.newSegment(cur.number+1, first, nil)
		if err != nil {
			return err
		}
		cur = s
	}
	for rest := group; len(rest) > 0; {
		piece := rest[:min(len(rest), pieceSize)]
		n, err := cur.file.WriteAt(piece, cur.written)
		cur.written += int64(n)
		l.size.Add(int64(n))
		if err != nil {
			return fmt.Errorf("write %s: %w", cur.name, err)
		}
		rest = rest[n:]
	}
	began := time.Now()
	if err := cur.file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", cur.name, err)
	}
	l.stats.fsync.Observe(time.Since(began))
	return nil
}

// newSegment makes a segment durable (header, state, entries that are known already, name) before anything else is
// written to it, and reads the state back. The entries come before the name: with it they replace those of earlier
// segments.
func (l *Log) newSegment(number uint64, first streamdown.LSN, entries []byte) (*segment, error) {
	name := segmentName(number, first)
	path := filepath.Join(l.cfg.Dir, name)
	h := header{log: l.id, number: number, first: first, created: l.cfg.Now().UnixNano(), state: snapshot(l.cfg.Books)}
	img := h.encode()
	start := int64(len(img))
	img = append(img, entries...)
	tmp := path + ".tmp"
	if err := l.cfg.FS.Remove(tmp); err != nil && !vfs.IsNotExist(err) {
		return nil, fmt.Errorf("remove old %s: %w", tmp, err)
	}
	f, err := l.cfg.FS.Create(tmp)
	if err != nil {
		return nil, fmt.Errorf("create segment %s: %w", name, err)
	}
	err = func() error {
		for at := 0; at < len(img); {
			n, err := f.WriteAt(img[at:min(len(img), at+pieceSize)], int64(at))
			if err != nil {
				return err
			}
			at += n
		}
		if err := f.Sync(); err != nil {
			return err
		}
		if _, _, err := readState(f, l.id); err != nil {
			return fmt.Errorf("read back: %w", err)
		}
		failures := l.dirFailures.Load()
		if err := l.cfg.FS.Rename(tmp, path); err != nil {
			return err
		}
		if err := l.cfg.FS.SyncDir(l.cfg.Dir); err != nil {
			return err
		}
		if l.dirFailures.Load() != failures {
			// As with a file: a sync that failed elsewhere may have been about this name, and ours then proves nothing.
			return errors.New("sync directory: another sync of it failed meanwhile")
		}
		return nil
	}()
	if err != nil {
		f.Close()
		// A name that a failed directory sync left behind must not be taken for a segment with entries: its number
		// would be used again. Best effort: a later segment with a higher number cuts it anyway.
		_ = l.cfg.FS.Remove(tmp)
		_ = l.cfg.FS.Remove(path)
		return nil, fmt.Errorf("create segment %s: %w", name, err)
	}
	s := &segment{
		number: number, first: first, start: start, name: name, path: path, file: f,
		written: int64(len(img)), whole: true,
	}
	l.files.Lock()
	l.segments = append(l.segments, s)
	l.files.Unlock()
	l.size.Add(int64(len(img)))
	return s, nil
}

// apply shows the entries of a durable group to the books.
func (l *Log) apply(group []byte, lsn streamdown.LSN) {
	var e Entry // one for all: the books take its address
	for len(group) > 0 {
		var n int
		var err error
		if e, n, err = parseEntry(group, lsn, l.seed, false); err != nil {
			// These are the bytes that were just encoded: only broken memory gets here.
			panic(fmt.Sprintf("wal: entry at %d does not parse after it was written: %v", lsn, err))
		}
		for _, b := range l.cfg.Books {
			b.Apply(&e)
		}
		group, lsn = group[n:], lsn+streamdown.LSN(n)
	}
}
