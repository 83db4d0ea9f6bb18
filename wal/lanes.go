package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/streamdown/streamdown"
)

// laneBook is the log's own book: the names of its lanes. An id is a lane's place in the order of creation.
type laneBook struct {
	create sync.Mutex // held while a new lane is appended, so that ids are in log order

	mu      sync.RWMutex // guards the following; never held while anything waits
	ids     map[streamdown.TopicPartition]streamdown.LaneID
	names   []streamdown.TopicPartition
	applied int // the first so many names are durable
}

func (b *laneBook) init() { b.ids = map[streamdown.TopicPartition]streamdown.LaneID{} }

// Lane returns the short name of tp in this log and gives it one if it has none. A new name may not be durable yet, but
// it lies in the log before every entry that can use it.
func (l *Log) Lane(tp streamdown.TopicPartition) (streamdown.LaneID, error) {
	b := &l.lanes
	b.mu.RLock()
	id, ok := b.ids[tp]
	b.mu.RUnlock()
	if ok {
		return id, nil
	}
	b.create.Lock()
	defer b.create.Unlock()
	b.mu.RLock()
	id, ok = b.ids[tp]
	next := streamdown.LaneID(len(b.names)) //nolint:gosec // a log has fewer lanes than 2^32
	b.mu.RUnlock()
	if ok {
		return id, nil
	}
	e := Entry{Kind: KindLane, Lane: next, Ordinal: streamdown.Ordinal(tp.Partition), Body: []byte(tp.Topic)}
	if _, err := l.Append(&e); err != nil {
		return 0, fmt.Errorf("name lane %s: %w", tp, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.addLocked(next, tp)
	return next, nil
}

// LaneName returns the topic-partition of a lane.
func (l *Log) LaneName(id streamdown.LaneID) (streamdown.TopicPartition, bool) {
	l.lanes.mu.RLock()
	defer l.lanes.mu.RUnlock()
	if int(id) >= len(l.lanes.names) {
		return streamdown.TopicPartition{}, false
	}
	return l.lanes.names[id], true
}

// LaneNames returns all lanes; the index is the lane's id.
func (l *Log) LaneNames() []streamdown.TopicPartition {
	l.lanes.mu.RLock()
	defer l.lanes.mu.RUnlock()
	return append([]streamdown.TopicPartition(nil), l.lanes.names...)
}

func (b *laneBook) addLocked(id streamdown.LaneID, tp streamdown.TopicPartition) {
	for int(id) >= len(b.names) {
		// A hole can only come from a damaged entry; its lane keeps an empty name and no id.
		b.names = append(b.names, streamdown.TopicPartition{})
	}
	b.names[id] = tp
	b.ids[tp] = id
}

// BookID implements Book.
func (b *laneBook) BookID() byte { return 1 }

// Apply implements Book.
func (b *laneBook) Apply(e *Entry) {
	if e.Kind != KindLane {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.addLocked(e.Lane, streamdown.TopicPartition{Topic: string(e.Body), Partition: int32(e.Ordinal)}) //nolint:gosec // written from an int32
	b.applied = max(b.applied, int(e.Lane)+1)
}

// Snapshot implements Book.
func (b *laneBook) Snapshot(dst []byte) []byte {
	b.mu.RLock()
	defer b.mu.RUnlock()
	dst = binary.AppendUvarint(dst, uint64(b.applied)) //nolint:gosec // not negative
	for _, tp := range b.names[:b.applied] {
		dst = binary.AppendVarint(dst, int64(tp.Partition))
		dst = binary.AppendUvarint(dst, uint64(len(tp.Topic)))
		dst = append(dst, tp.Topic...)
	}
	return dst
}

var errSnapshot = errors.New("malformed snapshot")

// Restore implements Book.
func (b *laneBook) Restore(s []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.names, b.applied = nil, 0
	clear(b.ids)
	n, w := binary.Uvarint(s)
	if w <= 0 || n > uint64(len(s)) {
		return errSnapshot
	}
	s = s[w:]
	for i := range n {
		p, w := binary.Varint(s)
		if w <= 0 {
			return errSnapshot
		}
		size, v := binary.Uvarint(s[w:])
		if v <= 0 || size > uint64(len(s)-w-v) {
			return errSnapshot
		}
		s = s[w+v:]
		b.addLocked(streamdown.LaneID(i), streamdown.TopicPartition{Topic: string(s[:size]), Partition: int32(p)}) //nolint:gosec // written from an int32
		s = s[size:]
	}
	b.applied = len(b.names)
	return nil
}

// snapshot collects the books' states: per book its id, the size in 4 bytes, the state.
func snapshot(books []Book) []byte {
	var s []byte
	for _, b := range books {
		s = append(s, b.BookID(), 0, 0, 0, 0)
		at := len(s)
		s = b.Snapshot(s)
		binary.LittleEndian.PutUint32(s[at-4:], uint32(len(s)-at)) //nolint:gosec // bounded by memory
	}
	return s
}

// restore gives each book its part of a snapshot. A part that no book wants belongs to a newer version or to a caller
// that does not need it (a tool that only reads); a book without a part stays empty.
func restore(books []Book, s []byte) error { return restoreParts(books, s, false) }

// errUnknownBook says that a state would be lost if the log were opened: the next snapshot would be without it.
var errUnknownBook = errors.New("its state has a part that this version does not know")

// restoreAll is restore for a process that goes on with the log.
func restoreAll(books []Book, s []byte) error { return restoreParts(books, s, true) }

func restoreParts(books []Book, s []byte, all bool) error {
	for len(s) > 0 {
		if len(s) < 5 {
			return errSnapshot
		}
		id, size := s[0], binary.LittleEndian.Uint32(s[1:])
		if uint64(size) > uint64(len(s)-5) {
			return errSnapshot
		}
		known := false
		for _, b := range books {
			if b.BookID() == id {
				known = true
				if err := b.Restore(s[5 : 5+size : 5+size]); err != nil {
					return fmt.Errorf("restore book %d: %w", id, err)
				}
			}
		}
		if all && !known && size > 0 {
			return fmt.Errorf("%w: book %d", errUnknownBook, id)
		}
		s = s[5+size:]
	}
	return nil
}
