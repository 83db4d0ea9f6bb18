package forward

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/quarantine"
	"github.com/streamdown/streamdown/sink"
	"github.com/streamdown/streamdown/wal"
)

// Custody carries out what people decide about quarantined batches. A batch that is sent again goes under a producer id
// of its own, sequence 0: its lane's sequences have gone on without it. All of it can break off anywhere and be ordered
// again:
//
//	look for a copy that came late under the identity that was refused → there: it is late, with its offset
//	note the new identity, durably       before the first byte under it; from now on nobody takes another one
//	send, alone                          OK: it is at the target, once
//	note that it is late, durably        commit point
//	remove the file
//
// Whoever comes later and finds the identity noted looks for a copy under it first, and sends under no other one: the target
// recognizes a second copy of the same sequence. Methods may be called concurrently; they take turns.
type Custody struct {
	Target CustodyTarget
	Log    CustodyLog
	Book   CustodyBook
	Store  *quarantine.Store
	View   func() *catalog.Cluster
	// Settings reads a topic's settings as they are now; nil = those of View do.
	Settings func(ctx context.Context, topic string) (catalog.TopicConfig, error)
	Name     func(streamdown.LaneID) (streamdown.TopicPartition, bool)
	Now      func() time.Time

	mu sync.Mutex // held while one batch is dealt with, its questions and answers included: that is its purpose

	plantBlind bool // planted: a batch is sent again without looking for a copy, under another identity each time
}

// CustodyTarget is the part of a Target that is needed for one batch.
type CustodyTarget interface {
	NewProducerID(ctx context.Context) (int64, error)
	End(ctx context.Context, node int32, tp streamdown.TopicPartition) (streamdown.Offset, error)
	Scan(ctx context.Context, r ScanRequest) (sink.Found, error)
	// Deliver sends one parcel to a node, alone, and waits for its answer. After an error it may be stored or not.
	Deliver(ctx context.Context, node int32, p *sink.Parcel) (sink.Answer, error)
}

// CustodyLog is the log that fates are noted in; *wal.Log is one.
type CustodyLog interface {
	Append(e *wal.Entry) (streamdown.LSN, error)
	Wait(ctx context.Context, lsn streamdown.LSN) error
}

// CustodyBook knows all quarantined batches; *delivery.Book is one.
type CustodyBook interface {
	Quarantine(id streamdown.LaneID) []delivery.Quarantined
}

// Order is what a person wants done with one batch.
type Order struct {
	Lane streamdown.LaneID
	From streamdown.Ordinal
	By   string // who orders it, and why: both are kept in the log
	Why  string
	// Dry stops before the first change.
	Dry bool
	// Unproven sends a batch although it cannot be shown that no copy of it is at the target.
	Unproven bool
}

// What becomes of an order.
const (
	Sent      = "sent"      // it is at the target now
	Found     = "found"     // it was there: a copy came late
	Discarded = "discarded" // it was given up
	WouldSend = "would send"
	WouldDrop = "would discard"
)

var (
	// ErrNotQuarantined says that no batch of that name waits in quarantine.
	ErrNotQuarantined = errors.New("no such batch is in quarantine")
	// ErrUnproven says that a copy of the batch may have been at the target, and that nothing is left there that could tell.
	ErrUnproven = errors.New("it cannot be shown that no copy of it was stored: the topic's log does not go back far enough, or is compacted")
	// ErrRefusedAgain says that the target refuses the batch as before. It stays in quarantine.
	ErrRefusedAgain = errors.New("the target refuses it again")
	// ErrNotKnown says that the batch was sent and no answer came. It stays in quarantine; who tries again looks first.
	ErrNotKnown = errors.New("it was sent, and whether it was stored is not known yet")
	// ErrBusy says that another batch is being dealt with.
	ErrBusy = errors.New("another order about the quarantine is being carried out")
)

// find returns a batch that waits.
func (c *Custody) find(o *Order) (delivery.Quarantined, error) {
	for _, q := range c.Book.Quarantine(o.Lane) {
		if q.From == o.From && q.Fate == delivery.Kept {
			return q, nil
		}
	}
	return delivery.Quarantined{}, ErrNotQuarantined
}

// note makes a batch's fate durable.
func (c *Custody) note(ctx context.Context, q *delivery.Quarantined) error {
	e, err := delivery.FateEntry(*q)
	if err != nil {
		return err
	}
	if _, err = c.Log.Append(e); err != nil {
		return fmt.Errorf("note it in the log: %w", err)
	}
	if err := c.Log.Wait(ctx, e.End()); err != nil {
		return fmt.Errorf("note it in the log: %w", err)
	}
	return nil
}

// Discard gives a batch up: the only way in which an acked record is dropped (promise G3). Commit point: the log's entry.
func (c *Custody) Discard(ctx context.Context, o Order) (delivery.Quarantined, string, error) {
	if !c.mu.TryLock() {
		return delivery.Quarantined{}, "", ErrBusy
	}
	defer c.mu.Unlock()
	q, err := c.find(&o)
	if err != nil || o.Dry {
		return q, WouldDrop, err
	}
	q.Fate, q.Settled, q.By, q.Why = delivery.Discarded, c.Now().UTC(), o.By, o.Why
	if err := c.note(ctx, &q); err != nil {
		return q, "", err
	}
	return q, Discarded, c.remove(&q)
}

func (c *Custody) remove(q *delivery.Quarantined) error {
	return c.Store.Remove(quarantine.Key{Log: q.Log, Lane: q.Lane, From: q.From})
}

// Tidy removes the files of batches that are settled: a process that ended between the entry and that left them.
func (c *Custody) Tidy(all []delivery.Quarantined) (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range all {
		if all[i].Fate != delivery.Kept {
			err = errors.Join(err, c.remove(&all[i]))
		}
	}
	return err
}

// attempt is one try to send a batch again.
type attempt struct {
	q    delivery.Quarantined
	tp   streamdown.TopicPartition
	body []byte
	node int32
	id   streamdown.ID
	led  int32
	trim bool // the topic is compacted: absence proves nothing
}

// Retry sends a batch again, unless it is at the target. The order of a lane's batches is the caller's.
func (c *Custody) Retry(ctx context.Context, o Order) (delivery.Quarantined, string, error) {
	if !c.mu.TryLock() {
		return delivery.Quarantined{}, "", ErrBusy
	}
	defer c.mu.Unlock()
	a, err := c.begin(ctx, &o)
	if err != nil {
		return a.q, "", err
	}
	q := &a.q
	at, err := c.look(ctx, a, &o)
	switch {
	case err != nil:
		return *q, "", err
	case at != streamdown.NoOffset && !o.Dry:
		return c.late(ctx, a, at, Found, &o)
	case at != streamdown.NoOffset:
		return *q, Found, nil
	case o.Dry:
		return *q, WouldSend, nil
	}
	if q.Again == nil || c.plantBlind {
		again := &delivery.Again{}
		if again.PID, err = c.Target.NewProducerID(ctx); err != nil {
			return *q, "", fmt.Errorf("allocate a producer id: %w", err)
		}
		if again.End, err = c.Target.End(ctx, a.node, a.tp); err != nil {
			return *q, "", err
		}
		q.Again = again
		if err := c.note(ctx, q); err != nil {
			return *q, "", err
		}
	}
	p := sink.Parcel{TopicPartition: a.tp, TopicID: a.id, Payload: a.body[batch.HeaderSize:]}
	batch.Restamp(&p.Header, a.body, batch.Stamp{ProducerID: q.Again.PID})
	answer, err := c.Target.Deliver(ctx, a.node, &p)
	switch {
	case err != nil:
		return *q, "", fmt.Errorf("%w (%w)", ErrNotKnown, err)
	case answer.Class == sink.OK:
		return c.late(ctx, a, answer.Base, Sent, &o)
	case answer.Class == sink.Poison:
		return *q, "", fmt.Errorf("%w: code %d %s", ErrRefusedAgain, answer.Code, answer.Message)
	case answer.Class == sink.Refused || answer.Class == sink.Forbidden:
		return *q, "", fmt.Errorf("the target does not take it now: code %d %s", answer.Code, answer.Message)
	}
	return *q, "", fmt.Errorf("%w: code %d %s", ErrNotKnown, answer.Code, answer.Message)
}

// begin finds the batch, its bytes and where they belong.
func (c *Custody) begin(ctx context.Context, o *Order) (*attempt, error) {
	a := &attempt{}
	var err error
	if a.q, err = c.find(o); err != nil {
		return a, err
	}
	if _, a.body, err = c.Store.Get(quarantine.Key{Log: a.q.Log, Lane: a.q.Lane, From: a.q.From}); err != nil {
		return a, err
	}
	name, ok := c.Name(o.Lane)
	if !ok {
		return a, ErrNotQuarantined
	}
	a.tp = name
	view := c.View()
	p, t, ok := view.Partition(name)
	switch {
	case !ok || p.Leader < 0:
		return a, fmt.Errorf("%s has no leader at the target just now, as far as is known", name)
	case a.q.Cluster != "" && view.ID != a.q.Cluster:
		return a, fmt.Errorf("the target is cluster %s now, the batch was refused by cluster %s: export it instead", view.ID, a.q.Cluster)
	case t.ID != a.q.Topic && !t.ID.IsZero() && !a.q.Topic.IsZero():
		return a, fmt.Errorf("topic %s was deleted and created again since: export the batch instead", name.Topic)
	}
	a.node, a.led, a.id, a.trim = p.Leader, p.LeaderEpoch, t.ID, t.Config.Compacted
	if c.Settings != nil { // a person has just set the topic right, perhaps
		cfg, err := c.Settings(ctx, name.Topic)
		if err != nil {
			return a, err
		}
		a.trim = cfg.Compacted
	}
	return a, nil
}

// look looks for a copy: under the identity that was refused, and under the one that it was sent again with.
func (c *Custody) look(ctx context.Context, a *attempt, o *Order) (at streamdown.Offset, err error) {
	if c.plantBlind {
		return streamdown.NoOffset, nil
	}
	if again := a.q.Again; again != nil {
		if at, err = c.scan(ctx, a, o.Unproven, again.PID, 0, 0, again.End); err != nil || at != streamdown.NoOffset {
			return at, err
		}
	}
	return c.scan(ctx, a, o.Unproven || a.q.Never, a.q.PID, a.q.Epoch, a.q.Sequence, a.q.Offset)
}

// scan returns where a batch of an identity is, NoOffset if it is not there. Unless sure is set that has to be proved.
func (c *Custody) scan(ctx context.Context, a *attempt, sure bool, pid int64, epoch int16, seq int32, from streamdown.Offset) (streamdown.Offset, error) {
	found, err := c.Target.Scan(ctx, ScanRequest{
		Node: a.node, TopicPartition: a.tp, Topic: a.id, LeaderEpoch: a.led, From: from, PID: pid,
	})
	if err != nil {
		return streamdown.NoOffset, fmt.Errorf("look for a copy at the target: %w", err)
	}
	for i := range found.Batches {
		if t := &found.Batches[i]; t.Epoch == epoch && t.Sequence == seq {
			return t.Base, nil
		}
	}
	if (found.LogStart > from || found.End < from || a.trim) && !sure {
		return streamdown.NoOffset, ErrUnproven
	}
	return streamdown.NoOffset, nil
}

// late notes that the batch is at the target.
func (c *Custody) late(ctx context.Context, a *attempt, at streamdown.Offset, how string, o *Order) (delivery.Quarantined, string, error) {
	q := &a.q
	q.Fate, q.Settled, q.Base, q.By, q.Why = delivery.Late, c.Now().UTC(), at, o.By, o.Why
	if err := c.note(ctx, q); err != nil {
		return *q, "", fmt.Errorf("it is at offset %d, but that could not be noted; order it again: %w", at, err)
	}
	return *q, how, c.remove(q)
}
