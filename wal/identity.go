package wal

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/streamdown/streamdown"
)

// identityBook is the log's own book of what it is called. A log begins with the id that its files carry, which seeds
// their checksums and never changes. When somebody else is seen to write in its name (rule A2: its directory was rolled
// back or copied), it takes a new one: the records on both sides have the same ordinals from there on, and must not
// have the same names.
type identityBook struct {
	mu   sync.Mutex    // guards the following
	id   streamdown.ID // zero: that of the files
	past []Renewal     // oldest first
}

// Renewal is one change of a log's identity.
type Renewal struct {
	At  time.Time
	Was streamdown.ID
}

// renewalsKept bounds what is remembered of a log that is renewed again and again.
const renewalsKept = 16

// Begin notes in the log that a process goes on with it. Call it once after Open, before anything else is appended: what
// sends records in this log's name tells by it which of them an earlier process, or one that runs on a copy of the
// directory, may have sent (rule A2). It waits for nothing: the note lies before all that needs it.
func (l *Log) Begin() error {
	if _, err := l.Append(&Entry{Kind: KindOpened}); err != nil {
		return fmt.Errorf("note that the log was opened: %w", err)
	}
	return nil
}

// Renew gives the log a new identity, which is durable when what is appended next is. ID returns it then.
func (l *Log) Renew() (streamdown.ID, error) {
	id, was := newLogID(), l.ID()
	e := Entry{Kind: KindIdentity, Body: slices.Concat(id[:], was[:])}
	if _, err := l.Append(&e); err != nil {
		return streamdown.ID{}, fmt.Errorf("take a new log id: %w", err)
	}
	return id, nil
}

// ID returns the log's identity: the id in its files' headers until it was renewed.
func (l *Log) ID() streamdown.ID { return l.identity.get(l.id) }

// FilesID returns the id in the headers of the log's files, which never changes: see [Reader.ID].
func (l *Log) FilesID() streamdown.ID { return l.id }

// Renewals returns the changes of the log's identity, the last 16, oldest first.
func (l *Log) Renewals() []Renewal {
	l.identity.mu.Lock()
	defer l.identity.mu.Unlock()
	return slices.Clone(l.identity.past)
}

func (b *identityBook) get(files streamdown.ID) streamdown.ID {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.id.IsZero() {
		return files
	}
	return b.id
}

// BookID implements Book.
func (b *identityBook) BookID() byte { return 5 }

// Apply implements Book.
func (b *identityBook) Apply(e *Entry) {
	if e.Kind != KindIdentity || len(e.Body) < 32 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.id = streamdown.ID(e.Body[:16])
	b.past = append(b.past, Renewal{time.UnixMilli(e.Arrival).UTC(), streamdown.ID(e.Body[16:32])})
	b.past = b.past[max(0, len(b.past)-renewalsKept):]
}

// Snapshot implements Book: nothing, or the id and what there was before it.
func (b *identityBook) Snapshot(dst []byte) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.id.IsZero() {
		return dst
	}
	dst = append(dst, b.id[:]...)
	for _, r := range b.past {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(r.At.UnixMilli())) //nolint:gosec // round trip
		dst = append(dst, r.Was[:]...)
	}
	return dst
}

// Restore implements Book.
func (b *identityBook) Restore(s []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.id, b.past = streamdown.ID{}, nil
	if len(s) == 0 {
		return nil
	}
	if len(s) < 16 || (len(s)-16)%24 != 0 {
		return errSnapshot
	}
	b.id, s = streamdown.ID(s[:16]), s[16:]
	for ; len(s) > 0; s = s[24:] {
		at := time.UnixMilli(int64(binary.LittleEndian.Uint64(s))).UTC() //nolint:gosec // round trip
		b.past = append(b.past, Renewal{at, streamdown.ID(s[8:24])})
	}
	return nil
}
