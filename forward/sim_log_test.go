package forward

import (
	"errors"
	"slices"
	"sort"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/wal"
)

// simLog is the model of a write-ahead log: what is durable survives a crash, of the rest a prefix or nothing. It
// outlives our process; books, lane names and what is pending belong to the process and are made anew by reopen.
type simLog struct {
	s       *sim
	entries []wal.Entry
	next    streamdown.LSN
	synced  int // so many entries are durable
	shown   int // so many entries were shown to the books
	writing bool
	damaged map[streamdown.LSN]bool // entries that can not be read any more
	snaps   []logSnap

	books []wal.Book // of the process that is running
	names []streamdown.TopicPartition
	ids   map[streamdown.TopicPartition]streamdown.LaneID
}

// logSnap is the state entry of a segment: what the books were when so many entries had been applied.
type logSnap struct {
	entries int
	states  [][]byte
}

func newSimLog(s *sim) *simLog {
	return &simLog{s: s, damaged: map[streamdown.LSN]bool{}, ids: map[streamdown.TopicPartition]streamdown.LaneID{}}
}

// Append implements ingest.Log.
func (l *simLog) Append(e *wal.Entry) (streamdown.LSN, error) {
	if l.s.full && e.Kind == wal.KindBatch {
		return 0, wal.ErrFull
	}
	e.LSN = l.next
	if e.Arrival == 0 {
		e.Arrival = l.s.now().UnixMilli()
	}
	own := *e
	own.Body = slices.Clone(e.Body)
	l.entries = append(l.entries, own)
	l.next = own.End()
	l.write()
	if l.s.plant == plantRefuseLate && e.Kind == wal.KindBatch && l.s.chance(0.02) {
		return 0, wal.ErrFull
	}
	return e.LSN, nil
}

// ReadyWithin implements ingest.Log.
func (l *simLog) ReadyWithin(time.Duration) bool { return true }

// Lane implements ingest.Log.
func (l *simLog) Lane(tp streamdown.TopicPartition) (streamdown.LaneID, error) {
	if id, ok := l.ids[tp]; ok {
		return id, nil
	}
	id := streamdown.LaneID(len(l.names))
	if _, err := l.Append(&wal.Entry{Kind: wal.KindLane, Lane: id, Ordinal: streamdown.Ordinal(tp.Partition), Body: []byte(tp.Topic)}); err != nil {
		return 0, err
	}
	l.name(id, tp)
	return id, nil
}

func (l *simLog) name(id streamdown.LaneID, tp streamdown.TopicPartition) {
	for int(id) >= len(l.names) {
		l.names = append(l.names, streamdown.TopicPartition{})
	}
	l.names[id], l.ids[tp] = tp, id
}

func (l *simLog) laneName(id streamdown.LaneID) (streamdown.TopicPartition, bool) {
	if int(id) >= len(l.names) {
		return streamdown.TopicPartition{}, false
	}
	return l.names[id], true
}

// durable is the durable end.
func (l *simLog) durable() streamdown.LSN {
	end := min(l.shown, l.synced)
	if l.s.plant == plantReadAhead {
		end = len(l.entries)
	}
	if end == 0 {
		return 0
	}
	return l.entries[end-1].End()
}

// write makes a group of all that was collected, and shows it to the books when it is durable.
func (l *simLog) write() {
	if l.writing || l.shown == len(l.entries) {
		return
	}
	l.writing = true
	end := len(l.entries)
	took := l.s.between(200*time.Microsecond, 4*time.Millisecond)
	if l.s.diskSlow {
		took = l.s.between(50*time.Millisecond, 3*time.Second)
	}
	if l.s.plant == plantAckEarly {
		l.s.own(0, func() { l.show(end) })
	}
	l.s.own(took, func() {
		l.writing = false
		l.sync(end)
		l.show(end)
		l.write()
	})
}

// sync makes entries durable: the commit point.
func (l *simLog) sync(end int) {
	for ; l.synced < end; l.synced++ {
		switch e := &l.entries[l.synced]; e.Kind {
		case wal.KindBatch:
			l.s.oracle.durable(l.names[e.Lane], e)
		case wal.KindQuarantine:
			l.s.oracle.custody(l.names[e.Lane], e, true)
		}
	}
}

func (l *simLog) show(end int) {
	for ; l.shown < end; l.shown++ {
		for _, b := range l.books {
			e := l.entries[l.shown]
			b.Apply(&e)
		}
	}
	if l.s.chance(0.15) {
		snap := logSnap{entries: l.shown}
		for _, b := range l.books {
			snap.states = append(snap.states, b.Snapshot(nil))
		}
		l.snaps = append(l.snaps, snap)
	}
	l.s.own(l.s.between(0, time.Millisecond), l.s.gateway.appended)
}

// crash loses what is not durable, or a part of it.
func (l *simLog) crash() {
	keep := l.synced
	if open := len(l.entries) - keep; open > 0 && l.s.chance(0.6) {
		keep += l.s.pick(open + 1)
	}
	l.s.tracef("log: %d of %d entries survive, %d were durable", keep, len(l.entries), l.synced)
	l.cut(keep)
	l.sync(keep) // what survived is the log now
}

// cut leaves the first entries.
func (l *simLog) cut(keep int) {
	l.entries = l.entries[:keep]
	l.next, l.writing, l.books = 0, false, nil
	if keep > 0 {
		l.next = l.entries[keep-1].End()
	}
	l.names, l.ids = nil, map[streamdown.TopicPartition]streamdown.LaneID{}
	for i := range l.entries {
		if e := &l.entries[i]; e.Kind == wal.KindLane {
			l.name(e.Lane, streamdown.TopicPartition{Topic: string(e.Body), Partition: int32(e.Ordinal)})
		}
	}
	l.synced, l.shown = min(l.synced, keep), min(l.shown, keep)
	l.snaps = slices.DeleteFunc(l.snaps, func(n logSnap) bool { return n.entries > keep })
}

// rollBack puts an old copy of the directory in the place of what is there: its process has ended.
func (l *simLog) rollBack(keep int) {
	l.s.tracef("log: ROLLED BACK to %d of %d durable entries", keep, l.synced)
	l.cut(keep)
	for lsn := range l.damaged {
		if lsn >= l.next {
			delete(l.damaged, lsn)
		}
	}
	// The copy has the last batches of its lanes whole, as faultRot wants it.
	whole := map[streamdown.LaneID]bool{}
	for i := keep - 1; i >= 0; i-- {
		if e := &l.entries[i]; e.Kind == wal.KindBatch && !whole[e.Lane] {
			whole[e.Lane] = !l.damaged[e.LSN]
			delete(l.damaged, e.LSN)
		}
	}
	l.s.oracle.rolledBack(l.next)
}

// reopen makes the books what the log says: from a random state entry, or from the beginning.
func (l *simLog) reopen(books []wal.Book) {
	l.books = books
	from := 0
	if n := len(l.snaps); n > 0 && l.s.chance(0.8) {
		snap := l.snaps[n-1-min(l.s.pick(3), n-1)]
		for i, b := range books {
			if err := b.Restore(snap.states[i]); err != nil {
				l.s.violate("A5", "restore book %d: %v", b.BookID(), err)
			}
		}
		from = snap.entries
		l.s.stats.restores++
	}
	l.s.tracef("log: restored at entry %d of %d", from, len(l.entries))
	last := len(l.entries) - 1
	for last >= 0 && l.entries[last].Kind != wal.KindBatch {
		last--
	}
	for i := from; i < len(l.entries); i++ {
		for _, b := range books {
			e := l.entries[i]
			if b.BookID() == intakeBook && e.Kind == wal.KindBatch {
				if l.s.plant == plantForgetDedup {
					e.Body = withoutProducer(e.Body)
				}
				if l.s.plant == plantShortReplay && i == last {
					continue
				}
			}
			b.Apply(&e)
		}
	}
	l.shown = len(l.entries)
}

const intakeBook = 3

var errSimRead = errors.New("input/output error")

// read returns durable entries from an LSN on, as wal.Log.Read does.
func (l *simLog) read(from streamdown.LSN, limit int) (out []wal.Entry, next streamdown.LSN, err error) {
	if l.s.chance(0.01) && !l.s.healed {
		return nil, from, errSimRead
	}
	end := l.durable()
	i := sort.Search(len(l.entries), func(i int) bool { return l.entries[i].LSN >= from })
	next = from
	if i < len(l.entries) && l.entries[i].LSN != from {
		l.s.violate("reading", "no entry begins at %d", from)
		return nil, from, errSimRead
	}
	for size := 0; i < len(l.entries) && l.entries[i].LSN < end && size < limit; i++ {
		e := l.entries[i]
		if l.damaged[e.LSN] {
			if len(out) > 0 {
				break
			}
			return nil, e.End(), &wal.CorruptError{Segment: "sim", From: e.LSN, To: e.End(), Err: errors.New("rot")}
		}
		out = append(out, e)
		size += e.Size()
		next = e.End()
	}
	return out, next, nil
}
