package delivery

import (
	"encoding/binary"
	"encoding/json"
	"sort"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/wal"
)

// Hold is a person's order to stop lanes on purpose; it outlives restarts. Records go on being accepted.
type Hold struct {
	Target string    `json:"target"` // "*", a topic, or topic/partition
	Held   bool      `json:"held"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
}

// HoldEntry is the log entry that makes a hold, or its end, durable.
func HoldEntry(h Hold) (*wal.Entry, error) {
	body, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	return &wal.Entry{Kind: wal.KindHold, Body: body}, nil
}

// Held reports whether a hold covers the lane, and which.
func (b *Book) Held(tp streamdown.TopicPartition) (Hold, bool) {
	if b.held.Load() == 0 {
		return Hold{}, false // asked for every batch
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range [...]string{"*", tp.Topic, tp.String()} {
		if h, ok := b.holds[name]; ok {
			return h, true
		}
	}
	return Hold{}, false
}

// Holds returns all holds in force, by target.
func (b *Book) Holds() []Hold {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]Hold, 0, len(b.holds))
	for _, h := range b.holds {
		out = append(out, h)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Target < out[j].Target })
	return out
}

func (b *Book) applyHold(body []byte) {
	var h Hold
	if json.Unmarshal(body, &h) != nil || h.Target == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if h.Held {
		b.holds[h.Target] = h
	} else {
		delete(b.holds, h.Target)
	}
	b.held.Store(int32(len(b.holds)))
}

func (b *Book) appendHoldsLocked(dst []byte) []byte {
	body, err := json.Marshal(b.holds)
	if err != nil {
		body = []byte("{}") // a map of plain values: cannot happen
	}
	dst = binary.AppendUvarint(dst, uint64(len(body)))
	return append(dst, body...)
}

func (b *Book) restoreHoldsLocked(d *decoder) {
	holds := map[string]Hold{}
	if json.Unmarshal(d.bytes(d.uvarint()), &holds) != nil {
		d.bad = true
	}
	b.holds = holds
	b.held.Store(int32(len(holds)))
}
