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
	if !ok || p.Leader < 0 || led != l.askedOf {
		// Any replica answers, one that led until a moment ago too: what it says may be older than what is confirmed,
		// and says nothing of the one that we would send to now.
		c.lookSoon = true
		c.wait(l)
		return
	}
	l.asked, l.askedEnd = false, l.confirmed
	if held.Known && held.Epoch > l.bind.Epoch {
		c.halt(l, 0, fmt.Sprintf("producer epoch %d was seen at the target, ours is %d: another process sends in this log's name; "+
			"find it and stop it, then `streamdown resume %s`", held.Epoch, l.bind.Epoch, l.tp), false)
		return
	}
	if held.Known && held.Epoch == l.bind.Epoch {
		l.asked = true
		l.askedEnd = l.bind.Ordinal(held.LastSequence, l.confirmed) + 1
		if c.rolledBack(l, l.askedEnd) {
			return
		}
		if l.askedEnd < l.confirmed && l.scannedOf == led {
			// It led after all was confirmed, since a scan under this epoch came back: this is no replica that lags.
			c.halt(l, 0, fmt.Sprintf("the target lost records that it had confirmed: it stands at ordinal %d, %d were confirmed; "+
				"`streamdown reconcile` shows what is missing", l.askedEnd, l.confirmed), false)
			return
		}
		if l.askedEnd == l.confirmed {
			c.settled(l)
			return
		}
	}
	if c.cfg.plantSilence {
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

// rolledBack stops a lane when the target holds more than this log ever wrote (rule A2).
func (c *Core) rolledBack(l *lane, end streamdown.Ordinal) bool {
	if have := c.cfg.Book.Lane(l.id).End; end > have {
		c.halt(l, 0, fmt.Sprintf("the target holds records of this log up to ordinal %d, the log ends at %d: the data directory was "+
			"rolled back or copied, or its disk lost acknowledged writes; nothing is believed or sent until a person decides", end-1, have), false)
		return true
	}
	return false
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
	to, end := l.confirmed, l.offset
	var fresh []sink.Trace // what is stored and not confirmed yet
	for _, tr := range found.Batches {
		if tr.Epoch != l.bind.Epoch {
			continue
		}
		from := l.bind.Ordinal(tr.Sequence, to)
		next := from + streamdown.Ordinal(tr.Count)
		switch {
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
		to, end = next, tr.Base+streamdown.Offset(tr.Count)
		fresh = append(fresh, tr)
	}
	if c.rolledBack(l, to) {
		return
	}
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
	if holed && !l.asked && to == l.confirmed && c.cfg.Book.Lane(l.id).End > l.confirmed {
		c.halt(l, 0, fmt.Sprintf("the target forgot our producer id and its log does not go back to offset %d any more (or is compacted): "+
			"whether ordinals from %d on are stored cannot be proved; `streamdown resume %s` sends them again",
			l.scannedAt, l.confirmed, l.tp), false)
		l.doubt = false // that is what resume means then
		return
	}
	for _, tr := range fresh {
		// One by one: others may have written in between, and who waits is told where its own batch lies.
		end := tr.Base + streamdown.Offset(tr.Count)
		c.store(l, l.bind.Ordinal(tr.Sequence, l.confirmed)+streamdown.Ordinal(tr.Count), end)
	}
	c.store(l, to, end)
	c.settled(l)
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
	c.advance(l)
	c.flush()
	c.feed()
}
