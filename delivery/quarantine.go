package delivery

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/wal"
)

// Fate is what became of a quarantined batch.
type Fate string

// The fates.
const (
	Kept      Fate = "quarantined" // it waits for a person
	Late      Fate = "late"        // it is at the target, behind records that came after it
	Discarded Fate = "discarded"   // a person gave it up
)

// Quarantined is a batch that the target refused for good: the lane went on without it. Its bytes are in the store of
// package quarantine.
type Quarantined struct {
	Lane    streamdown.LaneID  `json:"-"`
	From    streamdown.Ordinal `json:"from"`
	To      streamdown.Ordinal `json:"to"`
	Log     string             `json:"log"` // the log's id then: with lane and From it names the file
	Bytes   int                `json:"bytes"`
	Arrival int64              `json:"arrival"` // unix milliseconds
	At      time.Time          `json:"at"`
	Code    int16              `json:"code,omitempty"`
	Reason  string             `json:"reason,omitempty"` // the target's words, shortened

	// Under this identity it was refused, and from Offset on a copy of it would lie that was stored all the same: one that
	// was in flight on a connection that broke, and came after the target was asked (rule D5).
	Cluster  string            `json:"cluster,omitempty"`
	Topic    streamdown.ID     `json:"topic"`
	PID      int64             `json:"pid"`
	Epoch    int16             `json:"epoch"`
	Sequence int32             `json:"sequence"`
	Offset   streamdown.Offset `json:"offset"`
	// Never says that there is no such copy: whenever it was sent, the answer came, and was no.
	Never bool `json:"never,omitempty"`

	// Again is the identity under which it was sent again, or is about to be: noted before, so that nobody sends it under a
	// second one. Sequence 0 of epoch 0; nothing of it lies below End.
	Again *Again `json:"again,omitempty"`

	Fate    Fate              `json:"fate"`
	Settled time.Time         `json:"settled,omitzero"` // when it was late or discarded
	Base    streamdown.Offset `json:"base,omitempty"`   // late: of its first record
	By      string            `json:"by,omitempty"`     // discarded or late: who ordered that
	Why     string            `json:"why,omitempty"`
}

// Again is the identity under which a quarantined batch is sent again.
type Again struct {
	PID int64             `json:"pid"`
	End streamdown.Offset `json:"end"`
}

// Records is how many there are.
func (q *Quarantined) Records() int64 { return int64(q.To - q.From) }

const (
	// QuarantineMost is how many batches may wait in quarantine. Beyond it lanes stop instead: a person has to look.
	QuarantineMost = 1000
	settledMost    = 1000 // late and discarded ones that are remembered, the latest
	reasonKept     = 400  // bytes of a reason or a why
)

// QuarantineEntry is the log entry that takes a batch out of its lane, and in the same entry lets the lane go on behind it
// under another epoch: bind.Base is q.To. Once it is durable it happened; before, the batch is the lane's next one.
func QuarantineEntry(q Quarantined, bind Binding) (*wal.Entry, error) {
	q.Fate = Kept
	return quarantineEntry(&q, bind.append([]byte{1}))
}

// FateEntry is the log entry that says how things stand with a quarantined batch: q takes the place of what was known of it.
func FateEntry(q Quarantined) (*wal.Entry, error) { return quarantineEntry(&q, []byte{0}) }

func quarantineEntry(q *Quarantined, body []byte) (*wal.Entry, error) {
	short := *q
	short.Reason, short.Why, short.By = shortened(q.Reason), shortened(q.Why), shortened(q.By)
	j, err := json.Marshal(&short)
	if err != nil {
		return nil, fmt.Errorf("note quarantined batch: %w", err)
	}
	return &wal.Entry{Kind: wal.KindQuarantine, Lane: q.Lane, Body: append(body, j...)}, nil
}

func shortened(s string) string {
	if len(s) <= reasonKept {
		return s
	}
	n := reasonKept
	for n > 0 && s[n]&0xc0 == 0x80 { // not in the middle of a rune
		n--
	}
	return s[:n]
}

// applyQuarantine takes what became of a batch.
func (b *Book) applyQuarantine(e *wal.Entry) {
	d := decoder{b: e.Body}
	first := d.bytes(1)
	if len(first) == 0 {
		return
	}
	var bind Binding
	if first[0] == 1 {
		bind = d.binding()
	}
	q := Quarantined{Lane: e.Lane}
	if d.bad || json.Unmarshal(d.b, &q) != nil || q.To <= q.From {
		return // the entry's checksum was right: a version that wrote something else
	}
	b.mu.Lock()
	if was := b.laneLocked(e.Lane).setQuarantinedLocked(q); was == Kept && q.Fate == Late {
		b.confirmed.Add(q.Records())
	}
	b.forgetSettledLocked()
	b.countQuarantinedLocked()
	before := b.lanes[e.Lane].Confirmed
	b.mu.Unlock()
	if first[0] != 1 {
		return
	}
	if bind.Base > before {
		b.confirmed.Add(-q.Records()) // what the binding counts as confirmed with the rest
	}
	b.applyBinding(bind)
}

// setQuarantinedLocked puts q in its place, in order, and returns what its fate was.
func (l *lane) setQuarantinedLocked(q Quarantined) (was Fate) {
	i, known := slices.BinarySearchFunc(l.quarantine, q.From, func(o Quarantined, from streamdown.Ordinal) int {
		return int(min(1, max(-1, o.From-from)))
	})
	if known {
		was, l.quarantine[i] = l.quarantine[i].Fate, q
		return was
	}
	l.quarantine = slices.Insert(l.quarantine, i, q)
	return ""
}

// forgetSettledLocked bounds what is remembered of batches that nobody waits for.
func (b *Book) forgetSettledLocked() {
	for {
		n, oldest := 0, (*Quarantined)(nil)
		for i := range b.lanes {
			for j := range b.lanes[i].quarantine {
				if q := &b.lanes[i].quarantine[j]; q.Fate != Kept {
					if n++; oldest == nil || q.Settled.Before(oldest.Settled) {
						oldest = q
					}
				}
			}
		}
		if n <= settledMost {
			return
		}
		l, from := &b.lanes[oldest.Lane], oldest.From
		l.quarantine = slices.DeleteFunc(l.quarantine, func(q Quarantined) bool { return q.From == from })
	}
}

func (b *Book) countQuarantinedLocked() {
	var batches, records int64
	for i := range b.lanes {
		for j := range b.lanes[i].quarantine {
			if q := &b.lanes[i].quarantine[j]; q.Fate == Kept {
				batches, records = batches+1, records+q.Records()
			}
		}
	}
	b.quarantined.Store(batches)
	b.quarantinedRecords.Store(records)
}

// inQuarantineLocked reports whether [from, to) has records that were refused and are not at the target.
func (l *lane) inQuarantineLocked(from, to streamdown.Ordinal) bool {
	return slices.ContainsFunc(l.quarantine, func(q Quarantined) bool { return q.Fate != Late && q.From < to && q.To > from })
}

// InQuarantine reports whether some of the records [from, to) were refused by the target and are not there.
func (b *Book) InQuarantine(id streamdown.LaneID, from, to streamdown.Ordinal) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int(id) < len(b.lanes) && b.lanes[id].inQuarantineLocked(from, to)
}

// Quarantine returns what is known of a lane's batches that were ever quarantined, in order.
func (b *Book) Quarantine(id streamdown.LaneID) []Quarantined {
	b.mu.Lock()
	defer b.mu.Unlock()
	if int(id) >= len(b.lanes) {
		return nil
	}
	return slices.Clone(b.lanes[id].quarantine)
}

// Quarantines returns the same for all lanes.
func (b *Book) Quarantines() (all []Quarantined) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.lanes {
		all = append(all, b.lanes[i].quarantine...)
	}
	return all
}

// Quarantined returns how many batches wait in quarantine, and their records.
func (b *Book) Quarantined() (batches, records int64) {
	return b.quarantined.Load(), b.quarantinedRecords.Load()
}

// appendQuarantine writes a lane's list into a snapshot.
func (l *lane) appendQuarantine(dst []byte) []byte {
	j, err := json.Marshal(l.quarantine)
	if err != nil {
		j = []byte("[]") // plain values: cannot happen
	}
	return append(binary.AppendUvarint(dst, uint64(len(j))), j...)
}

func (l *lane) restoreQuarantine(d *decoder) {
	if json.Unmarshal(d.bytes(d.uvarint()), &l.quarantine) != nil {
		d.bad = true
	}
	for i := range l.quarantine {
		l.quarantine[i].Lane = l.ID
	}
}
