package wal

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/streamdown/streamdown"
)

// write is the writer goroutine: it takes the collected group, makes it durable, shows it to the books.
func (l *Log) write() {
	defer close(l.done)
	idle := time.NewTimer(idleMark)
	defer idle.Stop()
	marked := l.Durable() // end of the last group that was nothing but a mark
	l.tend()
	for {
		stopping := false
		select {
		case <-l.wake:
		case <-l.stop:
			stopping = true
		case <-idle.C:
			l.tend()
			if l.Durable() == marked && !l.turn.Load() {
				idle.Reset(idleMark)
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
		if l.cfg.Now().Sub(l.tended) >= idleMark {
			l.tend()
		}
		if l.turn.Swap(false) && !stopping {
			if _, err := l.seal(l.current(), l.Durable()); err != nil {
				l.cfg.Logger.Warn("begin a segment, so that another can be released", "err", err)
			}
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
	l.inHand.Store(int64(len(group)))
	l.takenLocked()
	l.mu.Unlock()

	first := end - streamdown.LSN(len(group))
	endMark(group, end, l.seed)
	group = slices.Grow(group, page) // room to fill up a page
	failed := false                  // the current segment is given up
	last := false                    // there is one more try
	began := l.cfg.Now()
	l.stats.since.Store(began.UnixNano())
	defer l.stats.since.Store(0)
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := l.persist(group, first, failed)
		if err == nil {
			l.inHand.Store(0)
			break
		}
		l.stats.failures.Add(1)
		l.stuck(err, first)
		failed = true
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
	if took := l.cfg.Now().Sub(began); took >= slowWrite {
		l.cfg.Logger.Warn("a write to the log took long; is its disk slow, or busy with something else?", "seconds", took.Seconds(), "bytes", len(group))
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

// persist writes and syncs a group. A segment in which that failed is given up: a new one, whose first LSN cuts all
// earlier ones, begins with the group. It begins a new one also when the current one is full.
func (l *Log) persist(group []byte, first streamdown.LSN, failed bool) error {
	cur := l.current()
	if failed || l.tried.number > cur.number { // a segment that was not finished may be found after a crash, and cuts this one
		_, err := l.begin(cur.number+1, first, group)
		return err
	}
	if used := cur.written - cur.start; used > 0 && used+int64(len(group)) > l.cfg.SegmentSize {
		var err error
		if cur, err = l.seal(cur, first); err != nil {
			return err
		}
	}
	if err := cur.write(group, cur.written); err != nil {
		return fmt.Errorf("write %s: %w", cur.name, err)
	}
	cur.written += int64(len(group))
	l.used.Add(int64(len(group)))
	l.inHand.Store(0)
	if over := cur.written - max(cur.room, cur.written-int64(len(group))); over > 0 {
		l.size.Add(over)
	}
	began := time.Now()
	if err := cur.file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", cur.name, err)
	}
	l.stats.fsync.Observe(time.Since(began))
	return nil
}

func (l *Log) current() *segment {
	l.files.RLock()
	defer l.files.RUnlock()
	return l.segments[len(l.segments)-1]
}

// seal ends a segment in which nothing failed, and begins the next.
func (l *Log) seal(cur *segment, first streamdown.LSN) (*segment, error) {
	s, err := l.begin(cur.number+1, first, nil)
	if err == nil {
		cur.sealed = true // Release, which reads it, finds cur only behind the lock that begin took
	}
	return s, err
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

const sayAgain = 30 * time.Second

// stuck notes why a group could not be written, with what people can do. The same again is said now and then only.
func (l *Log) stuck(err error, first streamdown.LSN) {
	why := err.Error()
	switch {
	case noRoom(err):
		why += "; make room on that disk"
	case errors.Is(err, syscall.EROFS):
		why += "; `dmesg` tells why the file system became read-only; mount it again, or name a data.refuge on another disk and restart"
	case errors.Is(err, syscall.EIO):
		why += "; `dmesg` tells what the disk has; a data.refuge on another disk would have taken over"
	}
	old := l.stats.stuck.Swap(&why)
	if now := l.cfg.Now(); old == nil || *old != why || now.Sub(l.said) >= sayAgain {
		l.said = now
		l.cfg.Logger.Error("write to log; nothing is acknowledged until it works", "lsn", first, "err", why)
	}
}
