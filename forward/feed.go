package forward

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/wal"
)

// Reader names one of the readers of the log.
type Reader int

const (
	mainReader Reader = 0
	maxReaders        = 4        // the main one and three cursors
	laneAhead         = 16 << 20 // bytes read ahead for one lane
	nearby            = 32 << 20 // log bytes that a reader goes back rather than to start another one
	stuckFor          = time.Second
	unparkWait        = time.Second
)

// reader reads the log in order for the lanes that belong to it.
type reader struct {
	pos   streamdown.LSN // all below was read
	busy  bool
	skip  bool // pos was moved while a read was under way: its outcome is thrown away
	lanes int  // cursors only: lanes that belong to it
	full  int  // its lanes that have as much read ahead as they may
}

// feed lets the readers read on where there is room.
func (c *Core) feed() {
	for i, r := range c.readers {
		if r == nil || r.busy || r.pos >= c.durable || c.bytes >= c.cfg.Window || r.full > 0 {
			continue
		}
		r.busy = true
		c.act.Read(Reader(i), r.pos)
	}
}

// Chunk brings what a read returned. The entries and their bodies are the caller's again when it returns. Damage
// (*wal.CorruptError) is noted and passed over.
func (c *Core) Chunk(now time.Time, id Reader, entries []wal.Entry, next streamdown.LSN, err error) {
	c.now = now
	r := c.readers[id]
	if r == nil {
		return
	}
	r.busy = false
	if r.skip {
		r.skip = false
		c.feed()
		return
	}
	if err != nil && !c.damaged(err) {
		c.act.Note(Note{Bad: true, What: "read log", Detail: err.Error()})
		return // Tick tries again
	}
	for i := range entries {
		if e := &entries[i]; entryIsBatch(e) {
			c.take(id, e)
			if id == mainReader {
				c.lastRead = time.UnixMilli(e.Arrival)
			}
		}
	}
	r.pos = max(r.pos, next)
	c.merge(id)
	for _, l := range c.touched {
		c.advance(l)
	}
	c.touched = c.touched[:0]
	c.flush()
	c.feed()
}

// damaged notes damage in the log; another error is none.
func (c *Core) damaged(err error) bool {
	var bad *wal.CorruptError
	if !errors.As(err, &bad) {
		return false
	}
	if r := (Range{bad.From, bad.To}); !slices.Contains(c.damage, r) { // read again, it is met again
		c.damage = append(c.damage, r)
	}
	c.act.Note(Note{Bad: true, What: "damage in the log", Detail: bad.Error()})
	return true
}

// take gives a batch to its lane.
func (c *Core) take(id Reader, e *wal.Entry) {
	l := c.lane(e.Lane)
	if l == nil || l.reader != id || l.parked || l.missed || e.Ordinal+streamdown.Ordinal(e.Count) <= l.wanted {
		return
	}
	// A stopped or held lane is parked once nothing is in flight (halfway). Until then it goes on being fed: whoever parks
	// it begins again at the head of its queue, and a batch that was passed over would look damaged.
	if _, held := c.cfg.Book.Held(l.tp); (held || l.stop != nil) && l.flying == 0 && len(l.queue) == 0 {
		c.parkAt(l, e.LSN, e.Arrival)
		return
	}
	if e.Ordinal > l.wanted && l.seen > 0 && !c.damagedIn(l.seen, e.LSN) {
		// A batch was passed over although it was not damaged: never go on behind it. Of a lane's first batch after a start
		// that cannot be said: the damage may lie below where reading began.
		l.missed = true
		c.halfway(l)
		return
	}
	l.seen = max(l.seen, e.End())
	if len(l.queue) == 0 {
		l.progress = c.now
	}
	body := c.bodies.lend(len(e.Body))
	copy(body, e.Body)
	if c.cfg.plantAlias {
		c.bodies.lent += cap(e.Body) - cap(body)
		body = e.Body
	}
	c.push(l, item{
		lsn: e.LSN, ordinal: e.Ordinal, count: e.Count, arrival: e.Arrival, newest: newestOf(e.Body),
		gap: e.Ordinal > l.wanted, body: body,
	})
	l.wanted = e.Ordinal + streamdown.Ordinal(e.Count)
	l.bytes += weight(body)
	c.bytes += weight(body)
	if !l.full && l.bytes >= c.cfg.ahead {
		l.full = true
		c.readers[id].full++
	}
	if n := len(c.touched); n == 0 || c.touched[n-1] != l {
		c.touched = append(c.touched, l)
	}
}

// damagedIn reports whether damage was met in that part of the log.
func (c *Core) damagedIn(from, to streamdown.LSN) bool {
	return slices.ContainsFunc(c.damage, func(r Range) bool { return r.To > from && r.From < to })
}

// reread parks a lane whose reader passed over a batch of it, where the lane was whole: it is read again from there. That
// is a fault of ours; should it come again, the lane stops with it.
func (c *Core) reread(l *lane) {
	at, arrival := l.seen, int64(0)
	if len(l.queue) > 0 {
		at, arrival = l.queue[0].lsn, l.queue[0].arrival
	}
	at, behind := max(at, c.cfg.From), l.wanted-1
	c.act.Note(Note{Bad: true, What: "batch passed over while reading the log; it is read again", Lane: l.tp,
		Detail: fmt.Sprintf("behind ordinal %d, from log position %d on", behind, at)})
	c.parkAt(l, at, arrival)
	if l.misses++; l.misses >= 3 {
		c.halt(l, 0, fmt.Sprintf("the records behind ordinal %d were not found in the log, though no damage was; `streamdown wal verify` "+
			"tells what is there", behind), true)
	}
}

// park takes a lane out of reading. It must have nothing in flight.
func (c *Core) park(l *lane) {
	at := c.readers[mainReader].pos
	if r := c.readers[l.reader]; r != nil {
		at = r.pos
	}
	var arrival int64
	if len(l.queue) > 0 {
		at, arrival = l.queue[0].lsn, l.queue[0].arrival
	}
	c.parkAt(l, at, arrival)
}

// parkAt parks a lane whose next batch lies at lsn or behind it and came at arrival, 0 if that is not known.
func (c *Core) parkAt(l *lane, at streamdown.LSN, arrival int64) {
	if l.parked {
		return
	}
	gap := len(l.queue) > 0 && l.queue[0].gap
	c.drop(l, len(l.queue))
	l.sent, l.wanted = 0, l.confirmed
	c.unready(l)
	l.parked, l.from, l.parkedArrival, l.missed = true, at, arrival, false
	if gap {
		l.seen = 0 // what lies before it is known to be damaged, and must not look passed over when it is read again
	} else if l.seen > 0 {
		l.seen = at
	}
	if l.stop == nil {
		l.retryAt = c.now.Add(unparkWait)
	}
	c.leave(l)
}

// unready takes a lane from the list that it stands in. The leader may have changed since it was put there.
func (c *Core) unready(l *lane) {
	if !l.ready {
		return
	}
	l.ready = false
	for _, id := range c.nodeIDs {
		n := c.nodes[id]
		n.ready = slices.DeleteFunc(n.ready, func(o *lane) bool { return o == l })
	}
}

// leave takes a lane from its cursor, which ends with its last lane.
func (c *Core) leave(l *lane) {
	if r := c.readers[l.reader]; l.reader != mainReader && r != nil {
		if r.lanes--; r.lanes == 0 && !r.busy {
			c.readers[l.reader] = nil
		}
	}
	l.reader = mainReader
}

func (c *Core) leader(l *lane) int32 {
	p, _, ok := c.view.Partition(l.tp)
	if !ok {
		return -1
	}
	return p.Leader
}

// wake lets a parked lane go on when what stopped it is over.
func (c *Core) wake(l *lane) {
	if !l.parked || c.now.Before(l.retryAt) || !c.brk.Allow() {
		return
	}
	if _, held := c.cfg.Book.Held(l.tp); held {
		return
	}
	if l.stop != nil && !l.stop.Retry || c.view == nil || c.leader(l) < 0 {
		return
	}
	l.stop = nil
	if r, ok := c.readerFor(l.from); ok {
		l.parked, l.reader = false, r
		l.progress = c.now
		if r != mainReader {
			c.readers[r].lanes++
		}
	}
}

// readerFor finds a reader that is at lsn or below, goes back a little with one, or starts another.
func (c *Core) readerFor(lsn streamdown.LSN) (Reader, bool) {
	near := streamdown.LSN(c.cfg.near)
	for i, r := range c.readers {
		if r != nil && r.pos <= lsn && (Reader(i) == mainReader || lsn-r.pos < near) {
			return Reader(i), true
		}
	}
	for i, r := range c.readers {
		if r != nil && r.pos > lsn && r.pos-lsn <= near {
			r.pos, r.skip = lsn, r.busy
			return Reader(i), true
		}
	}
	for i := 1; i < maxReaders; i++ {
		if i == len(c.readers) {
			c.readers = append(c.readers, nil)
		}
		if c.readers[i] == nil {
			c.readers[i] = &reader{pos: lsn}
			return Reader(i), true
		}
	}
	return 0, false
}

// merge gives the lanes of a cursor that has caught up to the main reader.
func (c *Core) merge(id Reader) {
	r := c.readers[id]
	if id == mainReader || r == nil {
		return
	}
	if r.lanes > 0 && r.pos < c.readers[mainReader].pos {
		return
	}
	for _, l := range c.order {
		if l.reader == id {
			l.reader = mainReader
		}
	}
	c.readers[mainReader].full += r.full
	c.readers[id] = nil
}

// unstick parks lanes that hold the readers up: much is read ahead for them, and nothing moves.
func (c *Core) unstick() {
	full := c.bytes >= c.cfg.Window
	for _, l := range c.order {
		if len(l.queue) == 0 || l.flying > 0 || l.busy || l.parked || !c.brk.Allow() || c.now.Sub(l.progress) < stuckFor {
			continue
		}
		if full || l.bytes >= c.cfg.ahead {
			c.act.Note(Note{What: "lane set aside", Lane: l.tp, Detail: fmt.Sprintf("%d batches wait for the target", len(l.queue))})
			c.park(l)
		}
	}
}
