package wal

import (
	"fmt"
	"math"
	"path/filepath"

	"github.com/streamdown/streamdown/vfs"
)

const (
	maxSpares   = 2
	maxReserves = 3
	minReserved = 256 << 10 // a log with smaller segments has no reserve
	leastShare  = 16        // a segment is at most this part of the disk: releasing one must make room that can be felt
)

// spare is a file that a new segment can be written over. Writing over blocks that a file has makes syncs about twice
// as fast as making it longer does: no block has to be found, and the file system has nothing to note.
type spare struct {
	path string
	file vfs.File
	size int64
}

// A released segment is renamed to spareName, and the directory synced, before a byte of it changes: whoever finds a
// segment by its name finds what was written to it. Both names are such that opening removes them.
func spareName(number uint64) string { return fmt.Sprintf("spare-%010d.wal.tmp", number) }
func reserveName(n int) string       { return fmt.Sprintf("reserve-%d.wal.tmp", n) }

// keepable reports whether a segment that is released should become a spare.
//
// All entries in such a file have LSNs below the log's end, since nothing was cut off it, and so below the first LSN of
// any later segment: none can be taken for an entry of the segment that is written over it.
func (l *Log) keepable(s *segment) bool {
	if !s.sealed || !s.inDir(l.cfg.Dir) {
		return false
	}
	l.files.RLock()
	defer l.files.RUnlock()
	n := int64(len(l.spares))
	if n >= maxSpares {
		return false
	}
	// The one being written to may have room that it does not use yet.
	return l.cfg.MaxSize <= 0 || l.counted()+(n+2)*l.cfg.SegmentSize <= l.cfg.MaxSize
}

func (l *Log) addSpare(s *spare) {
	l.files.Lock()
	l.spares = append(l.spares, s)
	l.files.Unlock()
	l.size.Add(s.size)
}

func (l *Log) takeSpare() *spare {
	l.files.Lock()
	defer l.files.Unlock()
	return l.takeLocked(&l.spares)
}

func (l *Log) takeReserve() *spare {
	l.files.Lock()
	defer l.files.Unlock()
	s := l.takeLocked(&l.reserves)
	if s != nil {
		l.held.Add(-s.size)
	}
	return s
}

func (l *Log) takeLocked(from *[]*spare) *spare {
	n := len(*from)
	if n == 0 {
		return nil
	}
	s := (*from)[n-1]
	*from = (*from)[:n-1]
	l.size.Add(-s.size)
	return s
}

// reserveSize is that of one file of the reserve: room for a state and for what is on its way.
func (l *Log) reserveSize() int64 {
	return pages(l.cfg.SegmentSize/16 + l.state)
}

// counted is what MaxSize bounds.
func (l *Log) counted() int64 { return l.used.Load() + l.held.Load() }

// tend fills the reserve and, when it is whole and there is room besides, lets batches in again. The reserve is written,
// not only asked for, so that a disk that fills up cannot take it away: control entries, checkpoints and the last mark
// then still have a place, and with them what empties the log. The writer calls it, between groups.
func (l *Log) tend() {
	l.measure()
	if l.cfg.SegmentSize < minReserved {
		l.setTight(false)
		return
	}
	if in, _, _ := l.refuge.state(); in {
		l.home()
		return
	}
	for {
		l.files.RLock()
		n := len(l.reserves)
		l.files.RUnlock()
		if n == maxReserves {
			break
		}
		s, err := l.makeReserve(n)
		if err != nil {
			if !noRoom(err) {
				l.cfg.Logger.Warn("make the log's reserve", "err", err)
				break
			}
			l.setTight(true)
			return
		}
		l.files.Lock()
		l.reserves = append(l.reserves, s)
		l.files.Unlock()
		l.size.Add(s.size)
		l.held.Add(s.size)
	}
	if !l.tight.Load() {
		return
	}
	if free, err := l.cfg.FS.Free(l.cfg.Dir); err == nil && free < uint64(2*l.reserveSize()) { //nolint:gosec // positive
		return // it would be full again at once
	}
	l.setTight(false)
}

func (l *Log) makeReserve(n int) (*spare, error) {
	s := &spare{path: filepath.Join(l.cfg.Dir, reserveName(n)), size: l.reserveSize()}
	if err := l.cfg.FS.Remove(s.path); err != nil && !vfs.IsNotExist(err) {
		return nil, err
	}
	f, err := l.cfg.FS.Create(s.path)
	if err != nil {
		return nil, err
	}
	s.file = f
	zeros := make([]byte, min(pieceSize, s.size))
	for at := int64(0); at < s.size && err == nil; at += int64(len(zeros)) {
		_, err = f.WriteAt(zeros[:min(int64(len(zeros)), s.size-at)], at)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		f.Close()
		_ = l.cfg.FS.Remove(s.path) // it takes room that others need
		return nil, err
	}
	return s, nil
}

// measure follows the rate at which the log is written, as an average that forgets with a time constant of a minute.
func (l *Log) measure() {
	now, bytes := l.cfg.Now(), l.stats.bytes.Load()
	if passed := now.Sub(l.tended).Seconds(); !l.tended.IsZero() && passed > 0 {
		old := math.Float64frombits(l.stats.rate.Load())
		weight := 1 - math.Exp(-passed/60)
		l.stats.rate.Store(math.Float64bits(old + weight*(float64(bytes-l.measured)/passed-old)))
	}
	l.tended, l.measured = now, bytes
}

// home tries to leave the refuge.
func (l *Log) home() {
	now := l.cfg.Now()
	if !l.refuge.main(now) {
		return
	}
	first := l.Durable()
	h := l.header(l.numberIn(l.cfg.Dir, first, l.current().number+1), first)
	if _, err := l.make(l.cfg.Dir, nil, h, nil); err != nil {
		l.refuge.refused(now, err)
		return
	}
	l.returned()
}

// setTight says whether the disk has no room for batches.
func (l *Log) setTight(on bool) {
	if l.tight.Swap(on) == on {
		return
	}
	if on {
		l.cfg.Logger.Error("the disk of the log is full: batches are held, then refused; what was acknowledged is safe", "dir", l.cfg.Dir)
	} else {
		l.cfg.Logger.Info("the disk of the log has room again: batches are taken", "dir", l.cfg.Dir)
	}
}
