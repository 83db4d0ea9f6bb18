//go:build real

package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// counter is a book of entries that are numbered from 1 on: it holds the number of the last one.
type counter struct {
	last  atomic.Uint64
	wrong atomic.Pointer[string]
	seen  func(last uint64) // called for each entry that became durable
}

func (c *counter) BookID() byte { return 99 }

func (c *counter) Apply(e *wal.Entry) {
	if e.Kind != wal.KindTopic {
		return
	}
	n := c.last.Load() + 1
	if err := check(e, n); err != nil {
		text := err.Error()
		c.wrong.CompareAndSwap(nil, &text)
		return
	}
	c.last.Store(n)
	if c.seen != nil {
		c.seen(n)
	}
}

func (c *counter) Snapshot(dst []byte) []byte {
	return binary.LittleEndian.AppendUint64(dst, c.last.Load())
}

func (c *counter) Restore(s []byte) error {
	if len(s) != 8 {
		return errors.New("bad counter")
	}
	c.last.Store(binary.LittleEndian.Uint64(s))
	return nil
}

// entry is the n-th: its body follows from its number.
func entry(n uint64) *wal.Entry {
	body := make([]byte, 8+n*37%900)
	for i := range body {
		body[i] = byte(n + uint64(i)*n) //nolint:gosec // noise
	}
	return &wal.Entry{Kind: wal.KindTopic, Ordinal: streamdown.Ordinal(n), Arrival: 1, Body: body} //nolint:gosec // small
}

func check(e *wal.Entry, n uint64) error {
	if want := entry(n); e.Ordinal != want.Ordinal || string(e.Body) != string(want.Body) {
		return fmt.Errorf("entry %d is in place of entry %d, or its body is not what it was", e.Ordinal, n)
	}
	return nil
}

// audit opens the log in dir and compares it with what was acknowledged, and with what was handed over at all. It
// returns the number of the last entry.
func audit(fs vfs.FS, dir, refuge string, acked, handed uint64) (last uint64, err error) {
	c := &counter{}
	l, rec, err := wal.Open(wal.Config{FS: fs, Dir: dir, Refuge: refuge, SegmentSize: segmentSize, Books: []wal.Book{c}})
	if err != nil {
		return 0, fmt.Errorf("a log that crashed does not open: %w", err)
	}
	defer func() {
		if cerr := l.Close(); err == nil && cerr != nil {
			err = cerr
		}
	}()
	last = c.last.Load()
	switch wrong := c.wrong.Load(); {
	case wrong != nil:
		return last, errors.New(*wrong)
	case last < acked:
		return last, fmt.Errorf("LOST: %d entries were acknowledged, %d came back", acked, last)
	case last > handed:
		return last, fmt.Errorf("RESURRECTED: %d entries were handed over, %d came back", handed, last)
	case len(rec.Damage) > 0:
		return last, fmt.Errorf("a crash was taken for rot: %w", rec.Damage[0])
	}
	// All bytes that are kept, one by one; the first entry kept tells its number.
	var n uint64
	err = wal.Walk(context.Background(), fs, dir, 0, func(e *wal.Entry, _ streamdown.TopicPartition) error {
		if e.Kind != wal.KindTopic {
			return nil
		}
		if n == 0 {
			n = uint64(e.Ordinal) - 1 //nolint:gosec // small
		}
		n++
		return check(e, n)
	})
	if err == nil && n != 0 && n != last {
		err = fmt.Errorf("LOST: %d entries came back, %d can be read", last, n)
	}
	return last, err
}
