package node

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/auth"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/forward"
	"github.com/streamdown/streamdown/quarantine"
)

var _ api.Custodian = (*Node)(nil)

// quarantined counts what waits in quarantine, by lane.
func (n *Node) quarantined() map[streamdown.LaneID]api.QuarantineStatus {
	if batches, _ := n.book.Quarantined(); batches == 0 {
		return nil
	}
	by := map[streamdown.LaneID]api.QuarantineStatus{}
	for _, q := range n.book.Quarantines() {
		if q.Fate == delivery.Kept {
			s := by[q.Lane]
			s.Batches, s.Records = s.Batches+1, s.Records+q.Records()
			by[q.Lane] = s
		}
	}
	return by
}

// Quarantine lists what is in quarantine, and what was lately.
func (n *Node) Quarantine() (out []api.Quarantined) {
	for _, q := range n.book.Quarantines() {
		if tp, ok := n.wal.LaneName(q.Lane); ok {
			out = append(out, shown(&q, tp))
		}
	}
	return out
}

func shown(q *delivery.Quarantined, tp streamdown.TopicPartition) api.Quarantined {
	a := api.Quarantined{
		ID: quarantine.ID(tp, q.From), State: string(q.Fate), Topic: tp.Topic, Partition: tp.Partition, From: q.From, To: q.To,
		Records: q.Records(), Bytes: q.Bytes, Arrival: time.UnixMilli(q.Arrival).UTC(), At: q.At.UTC(), Code: q.Code, Reason: q.Reason, By: q.By, Why: q.Why,
	}
	if q.Again != nil {
		a.SentAgain = &q.Again.PID
	}
	if q.Fate != delivery.Kept {
		settled := q.Settled.UTC()
		a.Settled = &settled
	}
	if q.Fate == delivery.Late {
		a.Offset = &q.Base
	}
	return a
}

// named finds a batch that waits in quarantine.
func (n *Node) named(id string) (q delivery.Quarantined, tp streamdown.TopicPartition, err error) {
	tp, from, err := quarantine.ParseID(id)
	if err != nil {
		return q, tp, &api.Refused{Status: http.StatusBadRequest, Title: "no id of a batch", Detail: err.Error(), Try: "streamdown quarantine ls"}
	}
	for _, q := range n.book.Quarantines() {
		if name, ok := n.wal.LaneName(q.Lane); ok && name == tp && q.From == from && q.Fate == delivery.Kept {
			return q, tp, nil
		}
	}
	return q, tp, &api.Refused{
		Status: http.StatusNotFound, Title: "not in quarantine", Detail: "no batch waits there that is called " + id, Try: "streamdown quarantine ls",
	}
}

// QuarantineFile returns a batch's file.
func (n *Node) QuarantineFile(id string) ([]byte, error) {
	q, _, err := n.named(id)
	if err != nil {
		return nil, err
	}
	return n.aside.File(quarantine.Key{Log: q.Log, Lane: q.Lane, From: q.From})
}

// Retry sends a batch again, unless it is at the target.
func (n *Node) Retry(ctx context.Context, o api.QuarantineOrder) (api.QuarantineDone, error) {
	return n.settle(ctx, o, n.forwarder.Custody().Retry)
}

// Discard gives a batch up.
func (n *Node) Discard(ctx context.Context, o api.QuarantineOrder) (api.QuarantineDone, error) {
	return n.settle(ctx, o, n.forwarder.Custody().Discard)
}

func (n *Node) settle(ctx context.Context, o api.QuarantineOrder, do func(context.Context, forward.Order) (delivery.Quarantined, string, error)) (api.QuarantineDone, error) {
	q, tp, err := n.named(o.ID)
	if err != nil {
		return api.QuarantineDone{}, err
	}
	by := "(local)"
	if who := auth.PrincipalOf(ctx); who != nil {
		by = who.Name
	}
	q, outcome, err := do(ctx, forward.Order{Lane: q.Lane, From: q.From, By: by, Why: o.Reason, Dry: o.DryRun, Unproven: o.Unproven})
	switch {
	case err == nil:
	case outcome != "": // it is done, and a file is left that the next start removes
		n.log.Warn("quarantine", "batch", o.ID, "outcome", outcome, "err", err)
	default:
		return api.QuarantineDone{}, notSettled(o.ID, err)
	}
	return api.QuarantineDone{Outcome: outcome, Batch: shown(&q, tp)}, nil
}

// notSettled says what to do about an order that came to nothing.
func notSettled(id string, err error) error {
	r := &api.Refused{Status: http.StatusConflict, Title: "not sent", Detail: id + ": " + err.Error()}
	switch {
	case errors.Is(err, forward.ErrNotQuarantined):
		r.Status, r.Title, r.Try = http.StatusNotFound, "not in quarantine", "streamdown quarantine ls"
	case errors.Is(err, forward.ErrUnproven):
		r.Try = "streamdown quarantine retry --unproven " + id + " sends it all the same; it may be there twice then. Or export it"
	case errors.Is(err, forward.ErrRefusedAgain):
		r.Try = "set the topic right first; or export the batch, or discard it"
	case errors.Is(err, forward.ErrBusy):
		r.Try = "the same in a moment"
	case errors.Is(err, quarantine.ErrDamaged):
		r.Title, r.Try = "damaged", "look at the disk, and at a backup of the data directory; the file is left as it is"
	case errors.Is(err, forward.ErrNotKnown):
		r.Title, r.Try = "not known yet", "the same again: it looks first whether the batch is there"
	default:
		return err
	}
	return r
}
