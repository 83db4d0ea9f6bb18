package forward

import (
	"fmt"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/sink"
)

// Asked brings the answer to Ask (rule D1). It says where to continue and confirms nothing.
func (c *Core) Asked(now time.Time, id streamdown.LaneID, held sink.Held, class sink.Class, err error) {
	c.now = now
	l := c.lanes[id]
	l.busy = false
	if err != nil {
		c.refused(l, class, 0, fmt.Sprintf("ask what the target holds: %v", err))
		return
	}
	p, t, ok := c.view.Partition(l.tp)
	led := leadership{p.Leader, p.LeaderEpoch}
	c.believe(l)
	if !ok || p.Leader < 0 || led != l.askedOf {
		// Any replica answers, one that led until a moment ago too: what it says may be older than what is confirmed,
		// and says nothing of the one that we would send to now.
		c.lookSoon = true
		c.wait(l)
		return
	}
	l.asked, l.askedEnd = false, l.confirmed
	if held.Known && held.Epoch > l.bind.Epoch {
		l.fenced = true
		c.forked(l)
	}
	if held.Known && held.Epoch == l.bind.Epoch {
		l.asked = true
		l.askedEnd = l.bind.Ordinal(held.LastSequence, l.confirmed) + 1
		ahead := l.askedEnd > l.most
		if ahead {
			l.askedEnd = l.most
			c.forked(l)
		}
		if l.askedEnd < l.confirmed && l.scannedOf == led {
			// It led after all was confirmed, since a scan under this epoch came back: this is no replica that lags.
			c.halt(l, 0, fmt.Sprintf("the target lost records that it had confirmed: it stands at ordinal %d, %d were confirmed; "+
				"`streamdown reconcile` shows what is missing", l.askedEnd, l.confirmed), false)
			return
		}
		if l.askedEnd == l.confirmed && !ahead {
			c.settled(l)
			return
		}
	}
	if c.cfg.plantSilence || !l.asked && !l.fenced && l.clear() {
		c.settled(l)
		return
	}
	l.scannedAt = l.offset
	if l.scannedAt == streamdown.NoOffset {
		l.scannedAt = l.bind.End
	}
	l.busy = true
	c.scans++
	c.act.Scan(l.id, ScanRequest{
		Node: p.Leader, TopicPartition: l.tp, Topic: t.ID, LeaderEpoch: p.LeaderEpoch, From: l.scannedAt, PID: l.bind.PID,
	})
}

// Scanned brings what a scan found (rule D3): everything up to our highest sequence found is stored.
func (c *Core) Scanned(now time.Time, id streamdown.LaneID, found sink.Found, class sink.Class, err error) {
	c.now = now
	l := c.lanes[id]
	l.busy = false
	if err != nil {
		c.refused(l, class, 0, fmt.Sprintf("scan the target: %v", err))
		return
	}
	l.scannedOf = l.askedOf
	if l.offset != streamdown.NoOffset && found.End < l.offset {
		c.halt(l, 0, fmt.Sprintf("the target lost records that it had confirmed: its log ends at offset %d, they reach to %d; "+
			"`streamdown reconcile` shows what is missing", found.End, l.offset), false)
		return
	}
	_, t, _ := c.view.Partition(l.tp)
	holed := found.LogStart > l.scannedAt || t != nil && t.Config.Compacted // absence proves nothing
	c.believe(l)
	to, end := l.confirmed, l.offset
	var fresh []stored // and not confirmed yet
	var foreign []Foreign
	for i := range found.Batches {
		tr := &found.Batches[i]
		if tr.Epoch < l.bind.Epoch {
			continue
		}
		var from, next streamdown.Ordinal
		from, next, foreign = l.divide(tr, to, foreign)
		switch {
		case from == next: // all foreign
			continue
		case next <= to:
			if from >= l.confirmed {
				l.doubled++
				c.act.Note(Note{Bad: true, What: "batch is stored twice at the target", Lane: l.tp, Detail: fmt.Sprintf("ordinals %d to %d at offset %d", from, next-1, tr.Base)})
			}
			continue
		case from > to && !holed:
			c.halt(l, 0, fmt.Sprintf("the target holds ordinal %d but not %d to %d before it; `streamdown reconcile` shows the difference", from, to, from-1), false)
			return
		}
		to, end = next, tr.Base+streamdown.Offset(next-from)
		fresh = append(fresh, stored{to, end})
	}
	c.met(l, foreign)
	if l.asked && l.askedEnd < l.confirmed {
		c.wait(l) // ask again: this time the answer is the leader's
		return
	}
	if l.asked && l.askedEnd > to {
		if !holed {
			// An uncommitted tail that was cut meanwhile, or records just on their way: ask again.
			c.wait(l)
			return
		}
		to, end = l.askedEnd, found.End
		c.act.Note(Note{Bad: true, What: "confirmed without comparison", Lane: l.tp,
			Detail: fmt.Sprintf("ordinals up to %d are known to the target but gone from its log", to-1)})
	}
	if holed && !l.asked && !l.fenced && to == l.confirmed && l.most > l.confirmed {
		c.halt(l, 0, fmt.Sprintf("the target forgot our producer id and its log does not go back to offset %d any more (or is compacted): "+
			"whether ordinals from %d on are stored cannot be proved; `streamdown resume %s` sends them again",
			l.scannedAt, l.confirmed, l.tp), false)
		l.doubt = false // that is what resume means then
		return
	}
	for _, s := range fresh {
		// One by one: others may have written in between, and who waits is told where its own batch lies.
		c.store(l, s.to, s.end)
	}
	c.store(l, to, end)
	if l.fenced && l.most > l.confirmed {
		// The other one may have sent them under its epoch, from a base that only its own log knows.
		c.act.Note(Note{Bad: true, What: "records may be at the target twice", Lane: l.tp,
			Detail: fmt.Sprintf("ordinals %d to %d go out under another producer id", l.confirmed, l.most-1)})
		l.most = l.confirmed
	}
	c.settled(l)
}

// stored is an end of a batch: in ordinals, and at the target.
type stored struct {
	to  streamdown.Ordinal
	end streamdown.Offset
}

// believe plants a bug.
func (c *Core) believe(l *lane) {
	if c.cfg.plantEnd && l.closed {
		l.most = max(l.most, c.cfg.Book.Lane(l.id).End)
	}
}

// store confirms all up to an ordinal that a scan proved.
func (c *Core) store(l *lane, to streamdown.Ordinal, end streamdown.Offset) {
	if to <= l.confirmed {
		return
	}
	n := 0
	for n < len(l.queue) && l.queue[n].end() <= to {
		n++
	}
	l.newest = 0
	if n > 0 && l.queue[n-1].end() == to {
		l.newest = l.queue[n-1].newest
	}
	c.drop(l, n)
	l.confirmed, l.offset, l.scannedOf = to, end, nobody
	l.wanted = max(l.wanted, to)
	l.progress, l.lastOK, l.backoff = c.now, c.now, 0
	c.act.Confirm(l.id, to, end)
}

// settled ends a doubt: the lane goes on behind what is confirmed, cold.
func (c *Core) settled(l *lane) {
	l.doubt, l.cold, l.unproven = false, true, true
	l.backoff = 0
	if c.cfg.plantMove && l.closed {
		l.most = l.confirmed
	}
	c.advance(l)
	c.flush()
	c.feed()
}
