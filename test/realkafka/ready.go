package realkafka

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown/test/process"
)

// answers waits until the broker at addr shows itself, node id, in its own Metadata and gives out a producer id. A broker
// answers Metadata earlier than that, and idempotent producers then wait and say so: the first id comes from the
// controller after the broker's registration.
func answers(ctx context.Context, addr string, id int32, p *process.Process) error {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask(ctx, addr, id)
		if err == nil {
			return nil
		}
		select {
		case <-p.Done():
			return p.Err()
		case <-ctx.Done():
			return fmt.Errorf("no answer at %s: %w (%w)\n%s", addr, ctx.Err(), err, process.Tail(p.Log(), 10))
		case <-tick.C:
		}
	}
}

func ask(ctx context.Context, addr string, id int32) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RequestRetries(0), kgo.DialTimeout(5*time.Second))
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	meta := kmsg.NewPtrMetadataRequest()
	meta.Topics = []kmsg.MetadataRequestTopic{} // none
	m, err := meta.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	known := slices.ContainsFunc(m.Brokers, func(b kmsg.MetadataResponseBroker) bool { return b.NodeID == id })
	if !known || m.ControllerID < 0 {
		return fmt.Errorf("metadata show %d brokers, node %d among them: %t, and controller %d", len(m.Brokers), id, known, m.ControllerID)
	}
	got, err := kmsg.NewPtrInitProducerIDRequest().RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(got.ErrorCode)
}
