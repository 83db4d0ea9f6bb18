package forward

import (
	"fmt"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/sink"
)

// refusal is what is known of a batch at the head of a lane that the target refuses for what it is.
//
// A refusal says nothing about an earlier copy, for brokers validate before they look for duplicates (rule D5). So each one
// is a doubt: the lane asks, scans if it has to, and only if the batch is not stored it is sent again, alone. That it
// was refused a second time means therefore that the target was asked in between, and that nothing of the lane is in
// flight or in doubt: what followed the batch can only have been out of order.
type refusal struct {
	ordinal streamdown.Ordinal
	code    int16
	why     string
	times   int
	fits    int // how often the topic's settings did not explain it
}

const (
	codeTooLarge     = 10 // MESSAGE_TOO_LARGE: max.message.bytes
	codeListTooLarge = 18 // RECORD_LIST_TOO_LARGE: segment.bytes
	codeTimestamp    = 32 // INVALID_TIMESTAMP: message.timestamp.before.max.ms, after.max.ms

	// inARow is how many batches in a row make the target's settings more likely to be wrong than the batches: the lane
	// stops instead.
	inARow = 3
	// fitsOften is how often settings must have let a batch in that the broker refuses as too large, before it counts as
	// the batch's own fault (it grows when the broker compresses it anew): a change of settings takes a while to get around.
	fitsOften = 5
)

// InspectRequest asks for a topic's settings as they are now.
type InspectRequest struct{ Topic string }

// QuarantineRequest asks to put a batch aside, durably, and then to let its lane go on under another identity, in one
// entry of the log. Body is the Core's until the call returns.
type QuarantineRequest struct {
	Batch delivery.Quarantined // without Log and At
	Bind  BindRequest          // Base is behind the batch
	Body  []byte
}

// poisoned decides what to do about the batch at the head, which was refused for what it is.
func (c *Core) poisoned(l *lane, a sink.Answer, why string) {
	l.alone = true
	head := &l.queue[0]
	if l.refusal == nil || l.refusal.ordinal != head.ordinal {
		l.refusal = &refusal{ordinal: head.ordinal}
	}
	r := l.refusal
	r.times++
	r.code, r.why = a.Code, why
	switch {
	case r.times < 2 && !c.cfg.plantUnasked:
		if c.cfg.plantRefusedBump {
			l.doubt, l.bump = false, true
		}
		c.wait(l)
	case r.code == codeListTooLarge:
		c.halt(l, r.code, why+"; it was within the topic's segment.bytes when it was accepted: raise that again, and the lane goes on by itself", true)
	case r.code == codeTimestamp && !c.cfg.plantLimits:
		// Admission held it to the same limits. They were lowered, or it waited here for too long: all behind it will.
		c.halt(l, r.code, why+"; its timestamps were within the topic's message.timestamp.before.max.ms and after.max.ms when it was accepted: raise these, and "+
			"the lane goes on by itself", true)
	case r.code == codeTooLarge && !c.cfg.plantLimits:
		l.busy = true
		c.act.Inspect(l.id, InspectRequest{l.tp.Topic})
	default:
		c.quarantine(l)
	}
}

// Inspected brings a topic's settings.
func (c *Core) Inspected(now time.Time, id streamdown.LaneID, cfg catalog.TopicConfig, class sink.Class, err error) {
	c.now = now
	l := c.lanes[id]
	l.busy = false
	r := l.refusal
	switch {
	case err != nil:
		c.refused(l, class, 0, fmt.Sprintf("read the settings of topic %s: %v", l.tp.Topic, err))
	case r == nil || len(l.queue) == 0 || l.queue[0].ordinal != r.ordinal:
		c.wait(l) // set aside meanwhile: it comes again
	case !cfg.Known:
		c.halt(l, r.code, r.why+"; whether the topic's max.message.bytes was lowered cannot be read: give our user DESCRIBE_CONFIGS, or raise it", true)
	case len(l.queue[0].body) > int(cfg.MaxMessageBytes):
		c.halt(l, r.code, fmt.Sprintf("%s; the batch has %d bytes, and the topic's max.message.bytes is %d now: it was accepted under a higher one. "+
			"Raise it again, and the lane goes on by itself", r.why, len(l.queue[0].body), cfg.MaxMessageBytes), true)
	default:
		if r.fits++; r.fits < fitsOften {
			c.wait(l)
			return
		}
		c.quarantine(l)
	}
}

// quarantine puts the batch at the head aside. The lane goes on when that is durable.
func (c *Core) quarantine(l *lane) {
	r, head := l.refusal, &l.queue[0]
	if n := c.row(l); n >= inARow-1 {
		c.halt(l, r.code, fmt.Sprintf("%s; it is the third batch in a row, so this is rather the topic's fault than theirs. Two are in quarantine: set the "+
			"topic right and retry them, or `streamdown resume %s` to let two more go there", r.why, l.tp), false)
		return
	}
	p, t, ok := c.view.Partition(l.tp)
	if c.moved(l, t, ok) {
		return // what was learned is of another topic, or of another cluster
	}
	if !ok || p.Leader < 0 {
		c.lookSoon = true
		c.wait(l)
		return
	}
	at := l.offset
	if at == streamdown.NoOffset {
		at = l.bind.End
	}
	bind := c.bindRequest(l, p.Leader, t.ID, head.end())
	if l.closed {
		// Another history of the directory may have gone on under the next epoch too, from another base: the same sequences
		// would stand for other records (rule A2).
		bind.PID, bind.Epoch, bind.Not = -1, 0, l.bind.PID
	}
	l.busy = true
	c.act.Quarantine(l.id, QuarantineRequest{
		Batch: delivery.Quarantined{
			Lane: l.id, From: head.ordinal, To: head.end(), Bytes: len(head.body), Arrival: head.arrival, Code: r.code, Reason: r.why,
			Cluster: l.bind.Cluster, Topic: l.bind.Topic, PID: l.bind.PID, Epoch: l.bind.Epoch, Sequence: l.bind.Sequence(head.ordinal), Offset: at,
			Never: l.clear(),
		},
		Bind: bind,
		Body: head.body,
	})
}

// row counts the batches that were quarantined right before the head, with nothing between.
func (c *Core) row(l *lane) (n int) {
	list := c.cfg.Book.Quarantine(l.id)
	at := l.queue[0].ordinal
	for i := len(list) - 1; i >= 0 && list[i].From >= l.rowFrom; i-- {
		if list[i].To > at {
			continue
		}
		if list[i].To < at {
			break
		}
		at = list[i].From
		n++
	}
	return n
}

// Quarantined says that the batch at the head is in quarantine, durably, and that the lane is bound anew behind it; or
// why not. Then nothing has happened: the batch is the lane's next one as before.
func (c *Core) Quarantined(now time.Time, id streamdown.LaneID, bind delivery.Binding, class sink.Class, err error) {
	c.now = now
	l := c.lanes[id]
	if err != nil {
		l.busy = false
		c.refused(l, class, 0, fmt.Sprintf("quarantine ordinal %d: %v", l.confirmed, err))
		return
	}
	why, from := "", l.confirmed
	if l.refusal != nil {
		why = l.refusal.why
	}
	n := 0
	for n < len(l.queue) && l.queue[n].end() <= bind.Base {
		n++
	}
	c.drop(l, n)
	l.confirmed, l.wanted, l.scannedOf = bind.Base, max(l.wanted, bind.Base), nobody
	l.refusal, l.alone, l.progress, l.backoff, l.misses = nil, false, now, 0, 0
	if !l.closed {
		l.most = bind.Base // under the new epoch nothing was sent yet
	}
	c.quarantines++
	c.act.Note(Note{Bad: true, What: "batch quarantined", Lane: l.tp, Detail: fmt.Sprintf("ordinals %d to %d: %s. The lane goes on without them; "+
		"they are on this disk only: streamdown quarantine ls", from, bind.Base-1, why)})
	c.Bound(now, id, bind, sink.OK, nil)
}

// clear reports whether nothing that was sent under the lane's binding can be at the target beyond what is confirmed: all of
// it was answered, and with a refusal. So no scan is needed to know it, which on a compacted topic could prove nothing.
func (l *lane) clear() bool { return l.refusal != nil && l.hazy <= l.confirmed }
