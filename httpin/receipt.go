package httpin

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/wal"
)

// Confirmations tells when the target holds records; *delivery.Book is one. Its methods may be called concurrently.
type Confirmations interface {
	// Await and Lane are as in delivery.Book.
	Await(id streamdown.LaneID, from, to streamdown.Ordinal, deadline time.Time, done func(base streamdown.Offset, confirmed bool))
	Lane(id streamdown.LaneID) delivery.Lane
}

// Receipts learns which ordinals the batches of this door got, and their offsets at the target where those are certain.
// It stands before the intake's book in the log, so it has heard of a batch when the intake answers for it. It has no
// state of its own in the log.
//
// A batch of the door carries a mark in its leader epoch, four bytes that no CRC of the batch covers, that nobody reads
// and that are overwritten when it is sent. Mark and CRC together say which of the batches under way it is.
type Receipts struct {
	wal.Book
	confirmations Confirmations
	marks         atomic.Uint32
	open          atomic.Int64 // parts that are waited for: most batches are not ours

	mu    sync.Mutex // guards the following
	parts map[mark]*part
}

type mark struct{ epoch, crc uint32 }

// NewReceipts stands before the book in, which is the intake's: give what it returns to the log in its place, behind the
// book of confirmations.
func NewReceipts(in wal.Book, c Confirmations) *Receipts {
	return &Receipts{Book: in, confirmations: c, parts: map[mark]*part{}}
}

// Offsets of the fields of a batch's header that are read here; the package comment of batch has the table.
const (
	offEpoch = 12
	offCRC   = 17
)

// expect marks a batch, and returns what will be known of it. forget has to be called in the end.
func (r *Receipts) expect(b []byte) *part {
	epoch := r.marks.Add(1)&0x3fffffff | 0x40000000 // neither 0 nor -1, which clients write
	binary.BigEndian.PutUint32(b[offEpoch:], epoch)
	p := &part{receipts: r, mark: mark{epoch, binary.BigEndian.Uint32(b[offCRC:])}}
	r.mu.Lock()
	r.parts[p.mark] = p
	r.mu.Unlock()
	r.open.Add(1)
	return p
}

// forget ends the wait for a batch that may never come. Calling it again does nothing.
func (r *Receipts) forget(p *part) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.parts[p.mark] == p {
		delete(r.parts, p.mark)
		r.open.Add(-1)
	}
}

// Apply implements wal.Book.
func (r *Receipts) Apply(e *wal.Entry) {
	if e.Kind == wal.KindBatch && r.open.Load() > 0 && len(e.Body) >= batch.HeaderSize {
		r.seen(e)
	}
	r.Book.Apply(e)
}

func (r *Receipts) seen(e *wal.Entry) {
	m := mark{binary.BigEndian.Uint32(e.Body[offEpoch:]), binary.BigEndian.Uint32(e.Body[offCRC:])}
	r.mu.Lock()
	p := r.parts[m]
	r.mu.Unlock()
	if p == nil {
		return
	}
	r.forget(p)
	p.await(e)
}

// part is what is known of one batch. It is complete when the intake has answered for it.
type part struct {
	receipts *Receipts
	mark     mark

	mu       sync.Mutex // guards the following
	seen     bool       // durable in the log
	lane     streamdown.LaneID
	from, to streamdown.Ordinal
	atTarget bool
	base     streamdown.Offset // of the first record, NoOffset when not certain
}

// exactFor is how long an offset is waited for. No lane is caught up for longer without a word from the target: its
// own patience ends the wait before.
const exactFor = 30 * time.Second

// await notes the ordinals, and asks for the offset before the intake does: so it is told first.
func (p *part) await(e *wal.Entry) {
	to := e.Ordinal + streamdown.Ordinal(e.Count)
	c := p.receipts.confirmations
	before := c.Lane(e.Lane)
	p.mu.Lock()
	p.seen, p.lane, p.from, p.to, p.base = true, e.Lane, e.Ordinal, to, streamdown.NoOffset
	p.mu.Unlock()
	var later atomic.Bool
	c.Await(e.Lane, e.Ordinal, to, time.Now().Add(exactFor), func(base streamdown.Offset, confirmed bool) {
		if !confirmed {
			return
		}
		now := c.Lane(e.Lane)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.atTarget = true
		if later.Load() && certain(&before, &now, p.from, p.to, base) {
			p.base = base
		}
	})
	later.Store(true)
}

// certain reports whether the offset of the first of the records [from, to) is the target's own word: it confirmed just
// these last, and said where they end. When it confirmed more at once, or before it was asked, others may have written
// in between. (One case is left: the target knew the batch as a duplicate and did not say where it is, while another
// producer wrote at least as many records just before the lane's last known end.)
func certain(before, now *delivery.Lane, from, to streamdown.Ordinal, base streamdown.Offset) bool {
	if now.Confirmed != to || now.Offset == streamdown.NoOffset || base != now.Offset-streamdown.Offset(to-from) {
		return false
	}
	return before.Offset == streamdown.NoOffset || base >= before.Offset+streamdown.Offset(from-before.Confirmed)
}

// known is a copy of what is known.
type known struct {
	seen     bool
	from     streamdown.Ordinal
	atTarget bool
	base     streamdown.Offset
}

func (p *part) known() known {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := known{p.seen, p.from, p.atTarget, p.base}
	if !k.seen || !k.atTarget {
		k.base = streamdown.NoOffset
	}
	return k
}
