package forward

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/quarantine"
	"github.com/streamdown/streamdown/sink"
)

// Settings is what a Target may also be able to do: read a topic's settings as they are now, past all that is remembered.
// May be called concurrently.
type Settings interface {
	TopicSettings(ctx context.Context, topic string) (catalog.TopicConfig, error)
}

func (a *actor) Inspect(lane streamdown.LaneID, r InspectRequest) {
	f := a.f()
	f.question(askWithin, func(ctx context.Context) func(now time.Time) {
		var cfg catalog.TopicConfig
		var err error
		if s, ok := f.opt.Target.(Settings); ok {
			cfg, err = s.TopicSettings(ctx, r.Topic)
		} else if t := f.topic(r.Topic); t != nil {
			cfg = t.Config
		}
		class := f.opt.Target.Classify(err)
		return func(now time.Time) { f.core.Inspected(now, lane, cfg, class, err) }
	})
}

func (f *Forwarder) topic(name string) *catalog.Topic {
	if cl := f.opt.Catalog.Cluster(); cl != nil {
		return cl.Topics[name]
	}
	return nil
}

var errNoStore = errors.New("there is no place to put it")

func (a *actor) Quarantine(lane streamdown.LaneID, r QuarantineRequest) {
	f := a.f()
	body, q := slices.Clone(r.Body), r.Batch
	q.At = time.Now().UTC()
	q.Log = f.opt.Log.ID().String()
	f.question(askWithin, func(ctx context.Context) func(now time.Time) {
		b, class, err := f.setAside(ctx, lane, &q, r.Bind, body)
		return func(now time.Time) {
			if err == nil {
				var e, eerr = delivery.QuarantineEntry(q, b)
				if err = eerr; err == nil {
					_, err = f.opt.Log.Append(e)
				}
				if err == nil { // commit point: it happened when this entry is durable
					f.unsynced = append(f.unsynced, unsynced{e.End(), b, true})
					return
				}
			}
			f.core.Quarantined(now, lane, b, class, err)
		}
	})
}

// setAside writes the batch's file, durably, and makes the identity under which its lane goes on. A crash after it leaves
// a file that no entry names, and the lane finds the batch where it was.
func (f *Forwarder) setAside(ctx context.Context, lane streamdown.LaneID, q *delivery.Quarantined, r BindRequest, body []byte) (b delivery.Binding, class sink.Class, err error) {
	switch n, _ := f.opt.Book.Quarantined(); {
	case f.opt.Quarantine == nil:
		return b, sink.Forbidden, errNoStore
	case n >= delivery.QuarantineMost:
		return b, sink.Forbidden, fmt.Errorf("there are %d batches in quarantine already; retry, export or discard some: streamdown quarantine ls", n)
	}
	if err := f.opt.Quarantine.Put(recordOf(q, r.TopicPartition), body); err != nil {
		return b, sink.Forbidden, fmt.Errorf("%w; nothing is lost, the batch is in the log, and the lane tries again", err)
	}
	b, err = f.identity(ctx, lane, r)
	return b, f.opt.Target.Classify(err), err
}

func recordOf(q *delivery.Quarantined, tp streamdown.TopicPartition) *quarantine.Record {
	return &quarantine.Record{
		Log: q.Log, Lane: q.Lane, Topic: tp.Topic, Partition: tp.Partition, From: q.From, Records: int32(q.To - q.From),
		Arrival: time.UnixMilli(q.Arrival).UTC(), Code: q.Code, Reason: q.Reason, At: q.At,
	}
}
