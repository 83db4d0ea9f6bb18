package forward

import (
	"fmt"
	"slices"
	"strings"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/sink"
)

// Foreign is a run of records that the target holds under an identity of this log and that are not of this log: another
// process sent them, on a copy of the data directory or on this one before it was rolled back (rule A2).
type Foreign struct {
	PID         int64
	From, To    streamdown.Ordinal // as that process counts, -1 when it began an epoch that this log does not know
	Offset, End streamdown.Offset  // at the target; nothing else lies between
	Records     int64
}

// foreignKept bounds what is remembered of a lane; the last run then stretches over what lies between.
const foreignKept = 32

// addForeign puts [from, to) of a batch that a scan met at the end of a list.
func addForeign(list []Foreign, pid int64, from, to streamdown.Ordinal, at streamdown.Offset, records int64) []Foreign {
	end := at + streamdown.Offset(records)
	if n := len(list); n > 0 && list[n-1].PID == pid {
		if f := &list[n-1]; f.To == from && f.End == at || n >= foreignKept {
			f.To, f.End, f.Records = to, end, f.Records+records
			return list
		}
	}
	return append(list, Foreign{PID: pid, From: from, To: to, Offset: at, End: end, Records: records})
}

func (f *Foreign) String() string {
	s := fmt.Sprintf("offsets %d to %d", f.Offset, f.End-1)
	if f.From >= 0 {
		s = fmt.Sprintf("ordinals %d to %d at ", f.From, f.To-1) + s
	}
	return s
}

// forked closes a binding under which the target holds more than this log ever sent: believe nothing from there on, send
// nothing more under it (rule A2). What lies below is the same in all copies of the log, and known by its sequences.
func (c *Core) forked(l *lane) {
	if !c.renewed {
		c.renewed = true
		c.act.Renew()
	}
	l.closed = true
	if l.split {
		return
	}
	l.split = true
	what := fmt.Sprintf("the target holds records under producer id %d from ordinal %d on, which this log never sent", l.bind.PID, l.most)
	if l.fenced {
		what = fmt.Sprintf("the target knows a later epoch of producer id %d than this log", l.bind.PID)
	}
	c.act.Note(Note{Bad: true, What: "data directory rolled back or copied", Lane: l.tp, Detail: what + ": the data directory was rolled back " +
		"or copied, or its disk lost acknowledged writes. Records that come now go out under a new id. If a process runs on another copy, stop one of them"})
}

// met notes what a scan found that is not of this log.
func (c *Core) met(l *lane, found []Foreign) {
	if len(found) == 0 {
		return
	}
	c.forked(l)
	n := len(l.foreign)
	for n > 0 && l.foreign[n-1].PID == l.bind.PID {
		n--
	}
	if slices.Equal(l.foreign[n:], found) {
		return
	}
	l.foreign = append(l.foreign[:n:n], found...)
	records, text := int64(0), make([]string, 0, len(found))
	for i := range found {
		records += found[i].Records
		text = append(text, found[i].String())
	}
	c.act.Note(Note{Bad: true, What: "records at the target are not in this log", Lane: l.tp, Detail: fmt.Sprintf("%d records under producer id %d: %s; "+
		"whoever was told that they are safe finds them there, and this log knows nothing of them", records, l.bind.PID, strings.Join(text, ", "))})
}

// divide tells what of a batch that a scan met is of this log, [from, next), and adds the rest to the list.
func (l *lane) divide(tr *sink.Trace, near streamdown.Ordinal, foreign []Foreign) (from, next streamdown.Ordinal, _ []Foreign) {
	if tr.Epoch > l.bind.Epoch {
		l.fenced = true
		return 0, 0, addForeign(foreign, l.bind.PID, -1, -1, tr.Base, int64(tr.Count))
	}
	from = l.bind.Ordinal(tr.Sequence, near)
	next = from + streamdown.Ordinal(tr.Count)
	if own := max(from, min(next, l.most)); own < next {
		foreign = addForeign(foreign, l.bind.PID, own, next, tr.Base+streamdown.Offset(own-from), int64(next-own))
		next = own
	}
	return from, next, foreign
}
