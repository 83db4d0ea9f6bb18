package delivery

import (
	"encoding/binary"
	"fmt"

	"github.com/streamdown/streamdown"
)

// What a snapshot says of a lane's binding.
const (
	unbound byte = iota
	bound
	closed
)

// Snapshot implements wal.Book. What was confirmed since the last Progress may be in it: it is true all the same.
func (b *Book) Snapshot(dst []byte) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	dst = binary.AppendUvarint(dst, uint64(b.watermark))
	dst = b.appendHoldsLocked(dst)
	for i := range b.lanes {
		l := &b.lanes[i]
		if !l.known {
			continue
		}
		dst = l.appendProgress(dst)
		dst = binary.AppendVarint(dst, int64(l.End))
		switch {
		case !l.Bound:
			dst = append(dst, unbound)
		case !l.Closed:
			dst = l.Binding.append(append(dst, bound))
		default:
			dst = l.Binding.append(append(dst, closed))
			dst = binary.AppendVarint(dst, int64(l.Limit))
		}
	}
	return dst
}

// Restore implements wal.Book.
func (b *Book) Restore(s []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lanes, b.watermark = nil, 0
	d := decoder{b: s}
	b.watermark = streamdown.LSN(d.uvarint())
	b.restoreHoldsLocked(&d)
	for len(d.b) > 0 && !d.bad {
		l := b.laneLocked(streamdown.LaneID(d.uvarint()))
		l.Confirmed = streamdown.Ordinal(d.varint())
		l.Offset = streamdown.Offset(d.varint())
		l.End = streamdown.Ordinal(d.varint())
		switch f := d.bytes(1); {
		case len(f) == 0 || f[0] == unbound:
		case f[0] == bound:
			l.Bound, l.Binding = true, d.binding()
		case f[0] == closed:
			l.Bound, l.Closed, l.Binding = true, true, d.binding()
			l.Limit = streamdown.Ordinal(d.varint())
		default:
			d.bad = true
		}
	}
	if d.bad {
		return fmt.Errorf("delivery book: %w", errMalformed)
	}
	return nil
}
