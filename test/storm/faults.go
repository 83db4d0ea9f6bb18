package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/streamdown/streamdown/test/realkafka"
)

// fault is one kind of bad weather. run makes it and undoes it.
type fault struct {
	name   string
	weight int // how often it is drawn, beside the others
	run    func(ctx context.Context) error
}

func (r *run) faults() []fault {
	list := []fault{
		{"broker killed", 4, r.brokerKilled},
		{"broker paused", 4, r.brokerPaused},
		{"all brokers killed", 1, r.allKilled},
		{"gateway killed", 4, r.gatewayKilled},
		{"gateway paused", 2, r.gatewayPaused},
		{"outage, gateway killed in it", 2, r.gatewayKilledInOutage},
		{"connections reset", 3, r.reset},
		{"port refused", 3, r.behindDoor((*realkafka.Door).Refuse)},
		{"answers held back", 3, r.behindDoor((*realkafka.Door).Mute)},
		{"port silent", 2, r.behindDoor((*realkafka.Door).Silence)},
		{"leaders moved", 3, r.leadersMoved},
		{"restarted one by one", 1, r.rolled},
	}
	if r.unclean {
		list = append(list, fault{"unclean election", 2, r.uncleanElection})
	}
	return list
}

// blow makes faults until the time is over: each kind once, in random order, then any.
func (r *run) blow(ctx context.Context, until time.Time) error {
	kinds := r.faults()
	var bag []fault
	for _, f := range kinds {
		for range f.weight {
			bag = append(bag, f)
		}
	}
	r.rng.Shuffle(len(kinds), func(i, k int) { kinds[i], kinds[k] = kinds[k], kinds[i] })
	for i := 0; time.Now().Before(until); i++ {
		if err := r.moment(ctx, 3*time.Second); err != nil {
			return err
		}
		f := bag[r.rng.IntN(len(bag))]
		if i < len(kinds) {
			f = kinds[i]
		}
		began := time.Now()
		r.log.Info("fault", "kind", f.name, "number", i)
		if err := f.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", f.name, errors.Join(err, context.Cause(ctx)))
		}
		r.result.Faults[f.name]++
		var sent, acked uint64
		for _, t := range r.topics {
			t.checker.FaultActive()
			s, a := t.witness.Counts()
			sent, acked = sent+s, acked+a
		}
		r.log.Info("fault is over", "kind", f.name, "elapsed", time.Since(began), "acked", acked, "unanswered", sent-acked)
	}
	return nil
}

// moment waits for a random time below most.
func (r *run) moment(ctx context.Context, most time.Duration) error {
	timer := time.NewTimer(time.Duration(r.rng.Int64N(int64(most))))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *run) anyBroker() *realkafka.Member {
	return r.cluster.Brokers[r.rng.IntN(len(r.cluster.Brokers))]
}

func (r *run) brokerKilled(ctx context.Context) error {
	b := r.anyBroker()
	if err := b.Kill(); err != nil {
		return err
	}
	if err := r.moment(ctx, 8*time.Second); err != nil {
		return err
	}
	return b.Restart(ctx)
}

func (r *run) brokerPaused(ctx context.Context) error {
	b := r.anyBroker()
	if err := b.Pause(); err != nil {
		return err
	}
	return errors.Join(r.moment(ctx, 12*time.Second), b.Continue())
}

func (r *run) allKilled(ctx context.Context) error {
	for _, b := range r.cluster.Brokers {
		if err := b.Kill(); err != nil {
			return err
		}
	}
	if err := r.moment(ctx, 10*time.Second); err != nil {
		return err
	}
	errs := make([]error, len(r.cluster.Brokers))
	var all sync.WaitGroup
	for i, b := range r.cluster.Brokers {
		all.Go(func() { errs[i] = b.Restart(ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func (r *run) gatewayKilled(ctx context.Context) error {
	if err := r.gateway.Kill(); err != nil {
		return err
	}
	if err := r.moment(ctx, 2*time.Second); err != nil {
		return err
	}
	return r.gateway.Restart(ctx)
}

func (r *run) gatewayPaused(ctx context.Context) error {
	if err := r.gateway.Pause(); err != nil {
		return err
	}
	return errors.Join(r.moment(ctx, 6*time.Second), r.gateway.Continue())
}

// gatewayKilledInOutage kills the gateway while what it acked is only on its disk.
func (r *run) gatewayKilledInOutage(ctx context.Context) error {
	for _, b := range r.cluster.Brokers {
		b.Door.Refuse()
	}
	err := r.moment(ctx, 6*time.Second)
	if err == nil {
		err = r.gatewayKilled(ctx)
	}
	if err == nil {
		err = r.moment(ctx, 4*time.Second)
	}
	for _, b := range r.cluster.Brokers {
		err = errors.Join(err, b.Door.Open())
	}
	return err
}

func (r *run) reset(ctx context.Context) error {
	for range 1 + r.rng.IntN(5) {
		r.anyBroker().Door.Cut()
		if err := r.moment(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// behindDoor makes one or two doors fail for a while.
func (r *run) behindDoor(shut func(*realkafka.Door)) func(context.Context) error {
	return func(ctx context.Context) error {
		doors := []*realkafka.Door{r.anyBroker().Door}
		if other := r.anyBroker().Door; other != doors[0] {
			doors = append(doors, other)
		}
		for _, d := range doors {
			shut(d)
		}
		err := r.moment(ctx, 10*time.Second)
		if r.rng.IntN(2) == 0 { // what was held back is lost, or it comes after all
			for _, d := range doors {
				d.Cut()
			}
		}
		for _, d := range doors {
			err = errors.Join(err, d.Open())
		}
		return err
	}
}

// leadersMoved gives some partitions another preferred leader, several times.
func (r *run) leadersMoved(ctx context.Context) error {
	for range 1 + r.rng.IntN(3) {
		t := r.topics[r.rng.IntN(len(r.topics))]
		if err := r.moveLeaders(ctx, t); err != nil {
			r.log.Info("not every leader moved", "err", err) // a broker that is not back yet from the fault before
		}
		if err := r.moment(ctx, 2*time.Second); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) moveLeaders(ctx context.Context, t *topic) error {
	ps, err := r.admin.Partitions(ctx, t.name)
	if err != nil {
		return err
	}
	for _, p := range ps {
		nodes := slices.Clone(p.Replicas)
		r.rng.Shuffle(len(nodes), func(i, k int) { nodes[i], nodes[k] = nodes[k], nodes[i] })
		if err := r.admin.Reorder(ctx, t.name, p.Partition, nodes); err != nil {
			return err
		}
	}
	return r.admin.Elect(ctx, t.name, t.partitions, false)
}

// rolled restarts the brokers one by one, as an upgrade does: each when all are in sync.
func (r *run) rolled(ctx context.Context) error {
	for _, i := range r.rng.Perm(len(r.cluster.Brokers)) {
		if err := r.inSync(ctx); err != nil {
			return err
		}
		b := r.cluster.Brokers[i]
		if err := b.Stop(ctx); err != nil {
			if ctx.Err() != nil {
				return err
			}
			r.log.Info("a broker was killed because it did not stop", "err", err) // a disk that stands still for half a minute
		}
		if err := b.Restart(ctx); err != nil {
			return err
		}
	}
	return nil
}

// inSync waits until all replicas of all topics are.
func (r *run) inSync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settling/2)
	defer cancel()
	for _, t := range r.topics {
		if err := r.admin.Await(ctx, t.name, func(ps []kadm.PartitionDetail) bool {
			return len(ps) == int(t.partitions) && !slices.ContainsFunc(ps, func(p kadm.PartitionDetail) bool { return p.Leader < 0 || len(p.ISR) < len(p.Replicas) })
		}); err != nil {
			return err
		}
	}
	return nil
}

// uncleanElection has a leader of frail ack alone, and be followed by a replica that slept.
func (r *run) uncleanElection(ctx context.Context) error {
	if err := r.inSync(ctx); err != nil {
		return err
	}
	t := r.topics[len(r.topics)-1]
	n := r.rng.IntN(int(t.partitions))
	ps, err := r.admin.Partitions(ctx, t.name)
	if err != nil {
		return err
	}
	leader := ps[n].Leader
	other := ps[n].Replicas[0]
	if other == leader {
		other = ps[n].Replicas[1]
	}
	if err := r.cluster.Broker(other).Pause(); err != nil {
		return err
	}
	alone, cancel := context.WithTimeout(ctx, settling/2)
	defer cancel()
	err = r.admin.Await(alone, t.name, func(ps []kadm.PartitionDetail) bool {
		return len(ps) > n && slices.Equal(ps[n].ISR, []int32{leader})
	})
	if err == nil {
		err = r.moment(ctx, 3*time.Second)
	}
	var before, after int64
	if err == nil {
		before, err = r.end(alone, t, n)
	}
	if err == nil {
		err = r.cluster.Broker(leader).Kill()
	}
	if err = errors.Join(err, r.cluster.Broker(other).Continue()); err != nil {
		return err
	}
	led, done := context.WithTimeout(ctx, settling/2)
	defer done()
	if err := r.admin.Await(led, t.name, func(ps []kadm.PartitionDetail) bool { return len(ps) > n && ps[n].Leader == other }); err != nil {
		return err
	}
	if after, err = r.end(led, t, n); err != nil {
		return err
	}
	r.result.TakenBack += max(0, before-after)
	if err := r.moment(ctx, 3*time.Second); err != nil {
		return err
	}
	return r.cluster.Broker(leader).Restart(ctx)
}

// end is where a partition ends now. Partitions that are between two leaders do not answer at once.
func (r *run) end(ctx context.Context, t *topic, n int) (int64, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		ends, err := r.admin.Ends(ctx, t.name)
		if err == nil && n < len(ends) {
			return ends[n], nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, fmt.Errorf("%w (%w)", ctx.Err(), err)
		}
	}
}
