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

	quarantines byte = 4 // added to one of these: what was quarantined follows
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
		var more byte
		if len(l.quarantine) > 0 {
			more = quarantines
		}
		switch {
		case !l.Bound:
			dst = append(dst, unbound|more)
		case !l.Closed:
			dst = l.Binding.append(append(dst, bound|more))
		default:
			dst = l.Binding.append(append(dst, closed|more))
			dst = binary.AppendVarint(dst, int64(l.Limit))
		}
		if more != 0 {
			dst = l.appendQuarantine(dst)
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
		f := d.bytes(1)
		if len(f) == 0 {
			continue
		}
		switch f[0] &^ quarantines {
		case unbound:
		case bound:
			l.Bound, l.Binding = true, d.binding()
		case closed:
			l.Bound, l.Closed, l.Binding = true, true, d.binding()
			l.Limit = streamdown.Ordinal(d.varint())
		default:
			d.bad = true
		}
		if f[0]&quarantines != 0 && !d.bad {
			l.restoreQuarantine(&d)
		}
	}
	b.countQuarantinedLocked()
	if d.bad {
		return fmt.Errorf("delivery book: %w", errMalformed)
	}
	return nil
}
