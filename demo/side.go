package demo

import (
	"context"
	"fmt"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/connect/kafka"
	"github.com/streamdown/streamdown/reconcile"
)

// side is the broker as reconcile sees it. It is owned by one goroutine.
type side struct {
	client *kafka.Client
	view   *catalog.Cluster // looked at once: nothing moves here any more
}

// Pin implements reconcile.Topic.
func (t *side) Pin(ctx context.Context, tp streamdown.TopicPartition) (reconcile.Pin, error) {
	if t.view == nil {
		view, err := t.client.Look(ctx, []string{topic})
		if err != nil {
			return reconcile.Pin{}, err
		}
		settings, err := t.client.LookConfigs(ctx, []string{topic})
		if err != nil {
			return reconcile.Pin{}, err
		}
		settings.Apply(view)
		t.view = view
	}
	p, known, ok := t.view.Partition(tp)
	if !ok || known.Err != 0 {
		return reconcile.Pin{}, fmt.Errorf("%s: %w", tp, reconcile.ErrNoTopic)
	}
	pin := reconcile.Pin{Cluster: t.view.ID, Topic: known.ID, Compacted: known.Config.Compacted}
	var err error
	pin.Start, pin.End, err = t.client.EndOffset(ctx, p.Leader, tp)
	return pin, err
}

// Walk implements reconcile.Topic.
func (t *side) Walk(ctx context.Context, tp streamdown.TopicPartition, id streamdown.ID, from, to streamdown.Offset,
	fn func(base streamdown.Offset, raw []byte) error,
) error {
	p, _, _ := t.view.Partition(tp)
	_, err := t.client.Walk(ctx, p.Leader, tp, id, from, to, fn)
	return err
}
