package load

import (
	"context"
	"time"
)

// beat is how often records are granted. Clients compress batches, and send one that would not get smaller as it is:
// a batch of one or two records seldom does.
const beat = 50 * time.Millisecond

// unpaced is how many records a partition is granted at once when there is no rate to keep.
const unpaced = 500

// pace grants records at the rate of the Spec, in turn to the partitions, each at most Window ahead of its acks, and
// declares them first. It returns when Records or Stop says so.
func pace(ctx context.Context, s *Spec, t *tally, c sender) error {
	next := make([]uint64, s.Partitions)
	tick := time.NewTicker(beat)
	defer tick.Stop()
	began := time.Now()
	for {
		full := 0
		for p := range s.Partitions {
			due := next[p] + unpaced
			if s.Rate > 0 {
				due = uint64(time.Since(began).Seconds() * float64(s.Rate) / float64(s.Partitions))
			}
			due = min(due, t.answered(p)+s.Window)
			if s.Records > 0 {
				due = min(due, s.Records)
			}
			if due > next[p] {
				s.Journal.Sent(s.stream(p), due-1)
				t.sent(due - next[p])
				if err := c.grant(ctx, p, next[p], due); err != nil {
					return err
				}
				next[p] = due
			}
			if s.Records > 0 && next[p] >= s.Records {
				full++
			}
		}
		if full == int(s.Partitions) {
			return nil
		}
		select {
		case <-s.Stop:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
