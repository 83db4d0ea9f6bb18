package wal

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/streamdown/streamdown"
)

// Append puts an entry at the end of the log and returns its LSN; e.Body is copied, e.LSN is ignored and e.Arrival is
// filled in when zero. The entry is durable, and acknowledged to nobody before, when the books see it or Wait says so.
// Append never waits, so a caller may hold a lock that its book needs too; call Ready before, without that lock, to
// let the disk keep up. It returns ErrFull or ErrClosed when nothing was appended; after a nil error the entry is
// never taken back.
func (l *Log) Append(e *Entry) (streamdown.LSN, error) {
	if len(e.Body) > MaxBody {
		return 0, fmt.Errorf("append entry of %d bytes: the largest is %d", len(e.Body), MaxBody)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return 0, ErrClosed
	}
	if e.Kind == KindBatch {
		if l.tight.Load() {
			return 0, fmt.Errorf("%w: the disk is full", ErrFull)
		}
		if l.cfg.MaxSize > 0 && l.counted()+l.inHand.Load()+int64(len(l.group)+len(e.Body)) > l.cfg.MaxSize {
			return 0, fmt.Errorf("%w: it has its maximal size", ErrFull)
		}
	}
	if len(l.group) == 0 {
		l.markLocked()
		l.nudge()
	}
	if e.Arrival == 0 {
		e.Arrival = l.cfg.Now().UnixMilli()
	}
	l.putLocked(e)
	return e.LSN, nil
}

// nudge lets the writer look for something to do.
func (l *Log) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Ready waits while the group being collected is full: that is the log's backpressure.
func (l *Log) Ready() {
	for !l.ReadyWithin(time.Hour) {
		continue
	}
}

// ReadyWithin is Ready for somebody who cannot wait for ever; false means that the disk took nothing for so long.
func (l *Log) ReadyWithin(patience time.Duration) bool {
	var over <-chan time.Time
	for {
		l.mu.Lock()
		if len(l.group) < groupSoft || l.closed {
			l.mu.Unlock()
			return true
		}
		if l.taken == nil {
			l.taken = make(chan struct{})
		}
		taken := l.taken
		l.mu.Unlock()
		if over == nil {
			timer := time.NewTimer(patience)
			defer timer.Stop()
			over = timer.C
		}
		select {
		case <-taken:
		case <-over:
			return false
		}
	}
}

// takenLocked tells those in Ready that there may be room.
func (l *Log) takenLocked() {
	if l.taken != nil {
		close(l.taken)
		l.taken = nil
	}
}

// markLocked begins a group: all before it is durable by the time it is written.
func (l *Log) markLocked() {
	var body [8]byte
	binary.LittleEndian.PutUint64(body[:], uint64(l.next))
	l.putLocked(&Entry{Kind: KindMark, Arrival: l.cfg.Now().UnixMilli(), Body: body[:]})
}

// endMark notes in the mark that a group begins with where the group ends: a tail that was cut between two entries would
// not be missed otherwise.
func endMark(group []byte, end streamdown.LSN, seed uint32) {
	first := streamdown.LSN(binary.LittleEndian.Uint64(group[8:]))
	if e, _, err := parseEntry(group, first, seed, false); err == nil && e.Kind == KindMark {
		e.Ordinal = streamdown.Ordinal(end) //nolint:gosec // round trip
		e.put(group[:e.Size()], seed)
	}
}

func (l *Log) putLocked(e *Entry) {
	e.LSN = l.next
	at, size := len(l.group), e.Size()
	l.group = grow(l.group, size)
	e.put(l.group[at:], l.seed)
	l.next += streamdown.LSN(size) //nolint:gosec // positive
}

// grow makes b longer by n bytes whose content is not defined.
func grow(b []byte, n int) []byte {
	if need := len(b) + n; need > cap(b) {
		bigger := make([]byte, len(b), max(need, 2*cap(b), 64<<10))
		copy(bigger, b)
		b = bigger
	}
	return b[:len(b)+n]
}
