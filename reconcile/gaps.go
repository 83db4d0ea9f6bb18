package reconcile

import (
	"context"
	"errors"
	"slices"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/delivery"
)

// gap is a run of ordinals that the target has not shown, so far.
type gap struct {
	from, to streamdown.Ordinal
	lsn      streamdown.LSN
	after    streamdown.Offset // where they should be
	batches  int64
	// skipped is the first offset, since the last batch of ours in order, that the target did not show; NoOffset if it
	// showed all: then they are not there.
	skipped streamdown.Offset
}

// maxGaps bounds what is kept of one lane's gaps. Beyond it the oldest are judged early: should they be met later in
// the partition after all, they are called doubled instead of reordered.
const maxGaps = 4096

// fill takes [from, to) out of a gap.
func (l *lane) fill(i int, from, to streamdown.Ordinal) {
	g := l.gaps[i]
	rest := make([]gap, 0, 2)
	left := g.batches - 1
	if g.from < from {
		a := g
		a.to, a.batches = from, max(1, min(left, int64(from-g.from)))
		left -= a.batches
		rest = append(rest, a)
	}
	if to < g.to {
		b := g
		b.from, b.lsn, b.batches = to, 0, max(1, left)
		rest = append(rest, b)
	}
	l.gaps = slices.Replace(l.gaps, i, i+1, rest...)
}

// miss makes what lies between next and to a gap, but for what the log itself has lost.
func (l *lane) miss(to streamdown.Ordinal) {
	for i := l.row(l.next); i < len(l.rows) && l.next < to; i++ {
		r := &l.rows[i]
		from, end := max(l.next, r.ordinal), min(to, r.end())
		if from >= end {
			continue
		}
		if r.hole {
			l.say(NotComparable, r.why, from, end, 0, streamdown.NoOffset, 0, int64(end-from))
			continue
		}
		l.keep(r)
		if n := len(l.gaps); n > 0 && l.gaps[n-1].to == from && l.gaps[n-1].skipped == l.skipped {
			l.gaps[n-1].to = end
			l.gaps[n-1].batches++
			continue
		}
		l.gaps = append(l.gaps, gap{from: from, to: end, lsn: r.lsn, after: l.at, batches: 1, skipped: l.skipped})
	}
	l.next = max(l.next, to)
}

// settle judges a gap that the partition never filled, but for what was declared.
func (l *lane) settle(ctx context.Context, g *gap) error {
	for i := range l.declared.Gone {
		d := &l.declared.Gone[i]
		from, to := max(g.from, d.From), min(g.to, d.To)
		if from >= to {
			continue
		}
		before := *g
		before.to, before.batches = from, min(g.batches, int64(from-g.from))
		if from > g.from {
			if err := l.settle(ctx, &before); err != nil {
				return err
			}
		}
		l.say(NotComparable, d.Why, from, to, 0, streamdown.NoOffset, 1, int64(to-from))
		g.from, g.lsn, g.batches = to, 0, max(1, g.batches-before.batches-1)
		if g.from >= g.to {
			return nil
		}
	}
	return l.decide(ctx, g)
}

// decide judges a gap about which nothing was declared.
func (l *lane) decide(ctx context.Context, g *gap) error {
	sure := max(l.tip, l.confirmed) // below, it should have been there
	left := g.batches
	if g.from < sure {
		v, why, err := l.absence(ctx, g)
		if err != nil {
			return err
		}
		end := min(g.to, sure)
		if end < g.to { // a gap that the book splits: where is known in records only
			left = max(1, g.batches*int64(end-g.from)/int64(g.to-g.from))
		}
		l.say(v, why, g.from, end, g.lsn, g.after, left, int64(end-g.from))
		g.from, g.lsn, left = end, 0, max(0, g.batches-left)
	}
	if g.from < g.to {
		l.say(Pending, "", g.from, g.to, g.lsn, streamdown.NoOffset, left, int64(g.to-g.from))
	}
	return nil
}

// absence tells whether what the target does not show can be said not to be there (rule D3).
func (l *lane) absence(ctx context.Context, g *gap) (Verdict, Reason, error) {
	if l.gone {
		return NotComparable, NoTopic, nil
	}
	var used *delivery.Binding // the identity that the records were sent under
	for i := range l.all {
		if l.all[i].Base <= g.from {
			used = &l.all[i].Binding
		}
	}
	switch {
	case used == nil:
		return NotComparable, Forgotten, nil
	case !l.leadsHere(used):
		return NotComparable, OtherTopic, nil
	case g.skipped == streamdown.NoOffset:
		return Absent, "", nil
	case l.pin.Compacted:
		return NotComparable, Compacted, nil
	}
	if l.pin.Start <= g.skipped {
		now, err := l.run.cfg.Topic.Pin(ctx, l.tp) // it may have been trimmed while we were reading
		if err != nil && !errors.Is(err, ErrNoTopic) {
			return 0, "", err
		}
		l.pin.Start = max(l.pin.Start, now.Start)
	}
	if l.pin.Start > g.skipped {
		return NotComparable, Trimmed, nil
	}
	return Absent, "", nil // offsets are missing that nothing explains: all the worse
}
