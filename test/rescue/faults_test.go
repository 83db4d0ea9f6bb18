//go:build real

package rescue_test

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A fault begins after some progress and lasts for some more: no clock decides whether it hit anything. The numbers
// are records of each lane.
const (
	maxBefore = rate * 2 // acked before it
	maxDuring = rate * 4 // sent while it lasts
)

// breakThings makes the round's faults: each kind once, or, with Kafka alone, its kill twice. Their order and when they
// come follow from the seed.
func (r *round) breakThings(ctx context.Context) error {
	kinds := []func(context.Context) error{r.killKafka, r.killKafka}
	if r.gateway != nil {
		kinds = []func(context.Context) error{r.killKafka, r.killGateway, r.killBoth}
		r.rng.Shuffle(len(kinds), func(i, k int) { kinds[i], kinds[k] = kinds[k], kinds[i] })
	}
	for _, kill := range kinds {
		if err := r.acked(ctx, 100+r.rng.IntN(maxBefore)); err != nil {
			return err
		}
		if err := moment(ctx, time.Duration(r.rng.IntN(int(50*time.Millisecond)))); err != nil {
			return err
		}
		if err := kill(ctx); err != nil {
			return err
		}
		for _, l := range r.lanes {
			l.checker.FaultActive()
		}
		// The next fault may well come while the backlog of this one drains: only the clients are waited for.
		if err := r.answered(ctx); err != nil {
			return err
		}
		for _, l := range r.lanes {
			l.journal.DoubtEnds()
		}
	}
	return r.acked(ctx, 100)
}

func (r *round) killKafka(ctx context.Context) error {
	if r.gateway == nil {
		r.doubt() // with a gateway, no client has reason to send anything again
	}
	if err := r.kafka.Kill(); err != nil {
		return err
	}
	if err := r.sent(ctx, r.rng.IntN(maxDuring)); err != nil {
		return err
	}
	return r.kafka.Restart(ctx)
}

func (r *round) killGateway(ctx context.Context) error {
	r.doubt()
	if err := r.gateway.Kill(); err != nil {
		return err
	}
	if err := r.sent(ctx, r.rng.IntN(maxDuring)/4); err != nil {
		return err
	}
	return r.gateway.Restart(ctx)
}

// killBoth kills the gateway in an outage of Kafka: what it acked meanwhile is only on its disk.
func (r *round) killBoth(ctx context.Context) error {
	if err := r.kafka.Kill(); err != nil {
		return err
	}
	if err := r.sent(ctx, r.rng.IntN(maxDuring)); err != nil {
		return err
	}
	if err := r.killGateway(ctx); err != nil {
		return err
	}
	if err := r.acked(ctx, r.rng.IntN(rate)); err != nil {
		return err
	}
	return r.kafka.Restart(ctx)
}

func (r *round) doubt() {
	for _, l := range r.lanes {
		l.journal.DoubtBegins()
	}
}

// acked waits until every lane has n more acks.
func (r *round) acked(ctx context.Context, n int) error {
	return r.each(ctx, func(sent, acked uint64) func(uint64, uint64) bool {
		return func(_, now uint64) bool { return now >= acked+uint64(n) }
	})
}

// sent waits until every lane has handed n more records to its client.
func (r *round) sent(ctx context.Context, n int) error {
	return r.each(ctx, func(sent, acked uint64) func(uint64, uint64) bool {
		return func(now, _ uint64) bool { return now >= sent+uint64(n) }
	})
}

// answered waits until everything sent by now is acked.
func (r *round) answered(ctx context.Context) error {
	return r.each(ctx, func(sent, acked uint64) func(uint64, uint64) bool {
		return func(_, now uint64) bool { return now >= sent }
	})
}

func (r *round) each(ctx context.Context, goal func(sent, acked uint64) func(sent, acked uint64) bool) error {
	dones := make([]func(uint64, uint64) bool, len(r.lanes))
	for i, l := range r.lanes {
		dones[i] = goal(l.journal.Counts())
	}
	var errs []error
	for i, l := range r.lanes {
		if err := l.journal.Await(ctx, dones[i]); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", l.name, err))
		}
	}
	return errors.Join(errs...)
}

// moment lets a fault fall between two acks too.
func moment(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
