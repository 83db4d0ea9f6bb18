package delivery

import (
	"encoding/binary"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/wal"
)

// Lane is what the book knows of one lane.
type Lane struct {
	ID        streamdown.LaneID
	End       streamdown.Ordinal // behind the last record that is durable in the log
	Confirmed streamdown.Ordinal // all records below are proved to be at the target
	Offset    streamdown.Offset  // behind the last confirmed record at the target, NoOffset if not known
	Bound     bool
	Binding   Binding
	// Closed says that the log was opened anew since the binding was made: no record from Limit on went out under it, and
	// none ever may (rule A2). Others may hold a copy of the directory, and send other records under the same sequences.
	Closed bool
	Limit  streamdown.Ordinal
}

// Backlog is the number of records that are durable here and not confirmed there.
func (l *Lane) Backlog() int64 { return int64(l.End - l.Confirmed) }

type lane struct {
	Lane
	live   bool // caught up: who wants the target's ack waits for it
	known  bool // the book has met this lane
	handed streamdown.Offset
	dirty  bool // confirmed since the last Progress
	waits  []wait

	quarantine []Quarantined // by ordinal
}

type wait struct {
	from, to streamdown.Ordinal
	deadline time.Time
	done     func(base streamdown.Offset, confirmed bool)
}

// Book remembers the lanes' identities and progress at one target. All methods may be called concurrently.
type Book struct {
	mu        sync.Mutex // guards the following
	lanes     []lane     // by id
	waiting   map[streamdown.LaneID]struct{}
	holds     map[string]Hold
	watermark streamdown.LSN
	up        bool    // the target takes deliveries; a lane that is new is caught up then
	ready     []fired // waits that are over, to be called without the lock

	held      atomic.Int32 // number of holds
	accepted  atomic.Int64 // records
	confirmed atomic.Int64

	quarantined, quarantinedRecords atomic.Int64 // that wait
}

type fired struct {
	w         wait
	base      streamdown.Offset
	confirmed bool
}

// New returns an empty book.
func New() *Book {
	return &Book{waiting: map[streamdown.LaneID]struct{}{}, holds: map[string]Hold{}}
}

func (b *Book) laneLocked(id streamdown.LaneID) *lane {
	for int(id) >= len(b.lanes) {
		b.lanes = append(b.lanes, lane{Lane: Lane{ID: streamdown.LaneID(len(b.lanes)), Offset: streamdown.NoOffset}})
	}
	l := &b.lanes[id]
	if !l.known {
		l.known, l.live = true, b.up
	}
	return l
}

// Lane returns a copy of what is known of a lane.
func (b *Book) Lane(id streamdown.LaneID) Lane {
	b.mu.Lock()
	defer b.mu.Unlock()
	if int(id) >= len(b.lanes) {
		return Lane{ID: id, Offset: streamdown.NoOffset}
	}
	return b.lanes[id].Lane
}

// Lanes returns a copy of all lanes that hold or held records.
func (b *Book) Lanes() []Lane {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]Lane, 0, len(b.lanes))
	for i := range b.lanes {
		if b.lanes[i].known {
			out = append(out, b.lanes[i].Lane)
		}
	}
	return out
}

// Watermark is the durable position below which all was confirmed when progress was last written.
func (b *Book) Watermark() streamdown.LSN {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.watermark
}

// Totals returns the records made durable and the records confirmed since the process started.
func (b *Book) Totals() (accepted, confirmed int64) { return b.accepted.Load(), b.confirmed.Load() }

// Confirm notes that all records of the lane below to are at the target, the last of them just below offset end
// (NoOffset if not known). Going back is ignored. Waiting producers are called before it returns.
func (b *Book) Confirm(id streamdown.LaneID, to streamdown.Ordinal, end streamdown.Offset) {
	b.mu.Lock()
	l := b.laneLocked(id)
	if to > l.Confirmed {
		b.confirmed.Add(int64(to - l.Confirmed))
		l.Confirmed, l.dirty = to, true
		if end != streamdown.NoOffset {
			l.Offset = end
		}
		n := 0
		for n < len(l.waits) && l.waits[n].to <= to {
			w := l.waits[n]
			base := l.estimateLocked(w.from)
			if end != streamdown.NoOffset {
				base = end - streamdown.Offset(to-w.from)
			}
			b.ready = append(b.ready, fired{w, base, true})
			n++
		}
		b.dropLocked(l, n)
	}
	b.unlockAndFire()
}

// dropLocked takes the first n waits out.
func (b *Book) dropLocked(l *lane, n int) {
	l.waits = slices.Delete(l.waits, 0, n)
	if len(l.waits) == 0 {
		delete(b.waiting, l.ID)
	}
}

// unlockAndFire calls who waited, without the lock, in order per lane.
func (b *Book) unlockAndFire() {
	if len(b.ready) == 0 {
		b.mu.Unlock()
		return
	}
	ready := b.ready
	b.ready = nil
	b.mu.Unlock()
	for _, f := range ready {
		f.w.done(f.base, f.confirmed)
	}
}

// Await calls done when the records [from, to) are confirmed, with the offset of the first; or, with confirmed false
// and the best known offset, when the lane is not caught up, at once or later, or when the deadline passed and Sweep
// noticed. done is called exactly once, without a lock, possibly before Await returns, and must not wait.
func (b *Book) Await(id streamdown.LaneID, from, to streamdown.Ordinal, deadline time.Time, done func(base streamdown.Offset, confirmed bool)) {
	b.mu.Lock()
	l := b.laneLocked(id)
	w := wait{from, to, deadline, done}
	switch {
	case to <= l.Confirmed:
		b.ready = append(b.ready, fired{w, l.estimateLocked(from), !l.inQuarantineLocked(from, to)})
	case !l.live:
		b.ready = append(b.ready, fired{w, l.estimateLocked(from), false})
	default:
		// By ordinal: a client's retry waits for records that lie before those of others who wait already.
		i := len(l.waits)
		for i > 0 && l.waits[i-1].to > to {
			i--
		}
		l.waits = slices.Insert(l.waits, i, w)
		b.waiting[id] = struct{}{}
	}
	b.unlockAndFire()
}

// Estimate is the best known offset of a record that is not confirmed: the confirmed end and the records ahead of it,
// never falling. It is what a producer is told when its ack does not come from the target.
func (b *Book) Estimate(id streamdown.LaneID, o streamdown.Ordinal) streamdown.Offset {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.laneLocked(id).estimateLocked(o)
}

func (l *lane) estimateLocked(o streamdown.Ordinal) streamdown.Offset {
	at, base := l.Offset, l.Confirmed
	if at == streamdown.NoOffset {
		at = 0
		if l.Bound {
			at, base = l.Binding.End, l.Binding.Base
		}
	}
	at = max(at+streamdown.Offset(o-base), 0)
	l.handed = max(l.handed, at)
	return l.handed
}

// SetLive says whether the lane is caught up. When it is not any more, all who wait for it are told at once.
func (b *Book) SetLive(id streamdown.LaneID, live bool) {
	b.mu.Lock()
	l := b.laneLocked(id)
	l.live = live
	if !live {
		for _, w := range l.waits {
			b.ready = append(b.ready, fired{w, l.estimateLocked(w.from), false})
		}
		b.dropLocked(l, len(l.waits))
	}
	b.unlockAndFire()
}

// SetUp says whether the target takes deliveries at all. When it does not, no lane is live and all who wait are told
// at once; when it does again, lanes without backlog are live, the others are set live one by one when they caught up.
func (b *Book) SetUp(up bool) {
	b.mu.Lock()
	b.up = up
	for i := range b.lanes {
		l := &b.lanes[i]
		if l.live = up && l.Confirmed == l.End; !up {
			for _, w := range l.waits {
				b.ready = append(b.ready, fired{w, l.estimateLocked(w.from), false})
			}
			b.dropLocked(l, len(l.waits))
		}
	}
	b.unlockAndFire()
}

// Live reports whether the lane is caught up. One that holds no records yet is when the target takes deliveries:
// otherwise a stream that rejects what would be isolated could never begin.
func (b *Book) Live(id streamdown.LaneID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if int(id) >= len(b.lanes) || !b.lanes[id].known {
		return b.up
	}
	return b.lanes[id].live
}

// Sweep ends the waits whose deadline is before now.
func (b *Book) Sweep(now time.Time) {
	b.mu.Lock()
	for _, id := range slices.Sorted(maps.Keys(b.waiting)) { // in order, so that a run can be replayed
		l := &b.lanes[id]
		l.waits = slices.DeleteFunc(l.waits, func(w wait) bool {
			if now.Before(w.deadline) {
				return false
			}
			b.ready = append(b.ready, fired{w, l.estimateLocked(w.from), false})
			return true
		})
		b.dropLocked(l, 0)
	}
	b.unlockAndFire()
}

// BindingEntry is the log entry that makes a binding durable; the book knows it once the log shows the entry.
func BindingEntry(bind Binding) *wal.Entry {
	return &wal.Entry{Kind: wal.KindBinding, Lane: bind.Lane, Body: bind.append(nil)}
}

const progressWorth = 1 << 20 // bytes of log that a start would read in vain

// ProgressEntry is the log entry that notes what was confirmed since the last call, and the watermark: the lowest LSN
// that still has something unconfirmed. It is nil when there is nothing new worth an entry: the entry itself moves the
// watermark, and an idle log must come to rest.
func (b *Book) ProgressEntry(watermark streamdown.LSN) *wal.Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	body := binary.AppendUvarint(nil, uint64(watermark))
	n := 0
	for i := range b.lanes {
		if l := &b.lanes[i]; l.dirty {
			l.dirty = false
			n++
			body = l.appendProgress(body)
		}
	}
	if n == 0 && watermark < b.watermark+progressWorth {
		return nil
	}
	return &wal.Entry{Kind: wal.KindProgress, Body: body}
}

func (l *lane) appendProgress(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(l.ID))
	dst = binary.AppendVarint(dst, int64(l.Confirmed))
	return binary.AppendVarint(dst, int64(l.Offset))
}

// BookID implements wal.Book.
func (b *Book) BookID() byte { return 2 }

// Apply implements wal.Book.
func (b *Book) Apply(e *wal.Entry) {
	switch e.Kind {
	case wal.KindBatch:
		b.mu.Lock()
		defer b.mu.Unlock()
		l := b.laneLocked(e.Lane)
		l.End = e.Ordinal + streamdown.Ordinal(e.Count)
		b.accepted.Add(int64(e.Count))
	case wal.KindBinding:
		d := decoder{b: e.Body}
		bind := d.binding()
		if d.bad {
			return // the entry's checksum was right: an older version that wrote something else
		}
		b.applyBinding(bind)
	case wal.KindProgress:
		b.applyProgress(e.Body)
	case wal.KindHold:
		b.applyHold(e.Body)
	case wal.KindOpened:
		b.applyOpened()
	case wal.KindQuarantine:
		b.applyQuarantine(e)
	}
}

// applyOpened closes all bindings at the end of what was durable before. One that is closed stays closed where it is: all
// that came since was never sent under it, however often the log was opened meanwhile.
func (b *Book) applyOpened() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.lanes {
		if l := &b.lanes[i]; l.Bound && !l.Closed {
			l.Closed, l.Limit = true, l.End
		}
	}
}

// applyBinding takes a binding that became durable. All that lies below its base is at the target under an older one, or
// was lost to damage, or quarantined, and will never be sent (rule C5): so it is confirmed, in the same entry, or a crash before the next
// progress would have the lane look for it under the new epoch, find nothing and send it again.
func (b *Book) applyBinding(bind Binding) {
	b.mu.Lock()
	l := b.laneLocked(bind.Lane)
	if !l.Bound || bind.PID != l.Binding.PID { // a new epoch of a closed producer id is for what lies below its limit
		l.Closed, l.Limit = false, 0
	}
	l.Bound, l.Binding = true, bind
	if bind.Base > l.Confirmed {
		b.confirmed.Add(int64(bind.Base - l.Confirmed))
		l.Confirmed, l.Offset, l.dirty = bind.Base, bind.End, true
		n := 0
		for n < len(l.waits) && l.waits[n].to <= bind.Base {
			b.ready = append(b.ready, fired{l.waits[n], l.estimateLocked(l.waits[n].from), false}) // damaged or quarantined: not at the target
			n++
		}
		b.dropLocked(l, n)
	}
	b.unlockAndFire()
}

// applyProgress matters while the log is opened; later the state in memory is never older.
func (b *Book) applyProgress(body []byte) {
	d := decoder{b: body}
	watermark := streamdown.LSN(d.uvarint())
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watermark = max(b.watermark, watermark)
	for len(d.b) > 0 {
		id, confirmed, offset := d.uvarint(), d.varint(), d.varint()
		if d.bad {
			return
		}
		l := b.laneLocked(streamdown.LaneID(id))
		if o := streamdown.Ordinal(confirmed); o > l.Confirmed {
			l.Confirmed, l.Offset = o, streamdown.Offset(offset)
		}
	}
}
