package forward

import (
	"context"
	"fmt"
	"slices"

	"github.com/streamdown/streamdown/sink"
)

// Custody carries out orders about quarantined batches; it is nil without a store.
func (f *Forwarder) Custody() *Custody { return f.custody }

// parcels lets a Target deliver single parcels.
type parcels struct{ Target }

// Deliver opens a connection for one parcel: a batch out of quarantine shares nothing with the lanes.
func (t parcels) Deliver(ctx context.Context, node int32, p *sink.Parcel) (sink.Answer, error) {
	type word struct {
		answer sink.Answer
		err    error
	}
	said := make(chan word, 1)
	pipe, err := t.Dial(ctx, node, 1, func(_ uint64, answers []sink.Answer, err error) {
		w := word{err: err}
		if err == nil {
			w.answer = slices.Clone(answers)[0]
		}
		said <- w
	})
	if err != nil {
		return sink.Answer{Class: sink.Refused, Message: err.Error()}, nil // nothing was sent
	}
	defer func() { _ = pipe.Close() }() // it has answered, or what it left open is in doubt
	if !pipe.Send(1, []sink.Parcel{*p}) {
		return sink.Answer{}, fmt.Errorf("send to node %d: %w", node, pipe.Err())
	}
	select {
	case w := <-said:
		return w.answer, w.err
	case <-ctx.Done():
		return sink.Answer{}, ctx.Err()
	}
}
