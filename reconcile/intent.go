package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/ledger"
	"github.com/streamdown/streamdown/wal"
)

// Intent is an identity under which absent records are sent once more: the body of a wal.KindRepair entry, as JSON. It is
// durable in the log before its first use, so that whoever comes after a crash looks for it first and goes on under it: what a
// broker has of it already, or gets from a connection that is long dead, is stored once.
type Intent struct {
	Lane      streamdown.LaneID  `json:"lane"`
	Topic     string             `json:"topic"`
	Partition int32              `json:"partition"`
	Cluster   string             `json:"cluster_id"`
	TopicID   string             `json:"topic_id"`    // as streamdown.ID has it
	PID       int64              `json:"producer_id"` // at epoch 0; sequence 0 is the first record
	From      streamdown.Ordinal `json:"from_ordinal"`
	To        streamdown.Ordinal `json:"to_ordinal"`
	End       streamdown.Offset  `json:"end_offset"` // nothing of it lies below
	Done      bool               `json:"done"`       // all of it is confirmed, or never will be sent
}

// Entry is the log entry that makes the intent durable.
func (i *Intent) Entry() (*wal.Entry, error) {
	b, err := json.Marshal(i)
	if err != nil {
		return nil, fmt.Errorf("note repair: %w", err)
	}
	return &wal.Entry{Kind: wal.KindRepair, Lane: i.Lane, Ordinal: i.From, Count: 0, Body: b}, nil
}

// intents are all that were met in ledger and log, in order.
type intents []Intent

// apply takes an entry.
func (in *intents) apply(row *ledger.Row) {
	var x Intent
	if row.Kind != wal.KindRepair || json.Unmarshal(row.Body, &x) != nil || x.To <= x.From {
		return
	}
	for i := range *in {
		if (*in)[i].PID == x.PID && (*in)[i].Lane == x.Lane {
			(*in)[i].Done = (*in)[i].Done || x.Done
			return
		}
	}
	*in = append(*in, x)
}

// late are the identities that a lane's repaired records have.
func (in intents) late(lane streamdown.LaneID) (late []Belated) {
	for i := range in {
		if x := &in[i]; x.Lane == lane {
			late = append(late, Belated{PID: x.PID, From: x.From, To: x.To})
		}
	}
	return late
}

// Intents returns all repairs that ledger and log know of, oldest first.
func Intents(ctx context.Context, log *wal.Reader, rows *ledger.Reader) ([]Intent, error) {
	s := source{log: log, ledger: rows}
	from := streamdown.LSN(0)
	if rows == nil || rows.Empty() {
		s.ledger, from = nil, log.First()
	}
	var in intents
	_, _, err := s.walk(ctx, from, toEnd, visitor{row: func(r *ledger.Row) error { in.apply(r); return nil }, hole: func(Reason) {}})
	if err != nil {
		return nil, fmt.Errorf("look for repairs in the log: %w", errors.Join(err, ctx.Err()))
	}
	return in, nil
}
