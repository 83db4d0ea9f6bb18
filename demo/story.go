package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/ui"
)

// Limits of the steps. None is met on a machine that is merely slow.
const (
	startLimit   = 30 * time.Second
	stopLimit    = 15 * time.Second
	graceLimit   = 10 * time.Second
	effectLimit  = 5 * time.Second
	flushLimit   = 30 * time.Second
	deliverLimit = 60 * time.Second
)

// tell goes through the outage from beginning to end.
func (s *show) tell(ctx context.Context) error {
	for _, chapter := range []func(context.Context) error{s.start, s.normal, s.stop, s.outage, s.back, s.drain, s.again, s.finish} {
		if err := chapter(ctx); err != nil {
			return err
		}
	}
	return nil
}

// start waits until every producer has been acked once or so.
func (s *show) start(ctx context.Context) error {
	if err := s.until(ctx, "streamdown's first look at the broker", startLimit, func(time.Time) (bool, error) {
		return s.status.Target.ClusterID != nil, nil
	}); err != nil {
		return err
	}
	var err error
	if s.load, err = openLoad(ctx, s.cfg, s.gateway.KafkaAddr(), s.checker); err != nil {
		return err
	}
	if err := s.until(ctx, "the first records at the consumer", startLimit, func(time.Time) (bool, error) {
		return s.load.acked.Load() > 0 && s.reader.read.Load() > 0, nil
	}); err != nil {
		return err
	}
	s.note('·', "%d producers send to %s, the only address they know", s.cfg.Producers, s.gateway.KafkaAddr())
	if s.saboteur != nil {
		s.note('!', "planted behind streamdown: %s; the verdict has to fail", s.cfg.Plant)
	}
	return nil
}

func (s *show) normal(ctx context.Context) error {
	s.enter("all is well", s.cfg.before())
	return s.pass(ctx, s.phase.from.Add(s.cfg.before()))
}

func (s *show) stop(ctx context.Context) error {
	s.enter("outage", s.cfg.Outage)
	s.reader.stop()
	s.note('✗', "the broker is stopped; nobody tells streamdown or the producers")
	s.downAt, s.downCol = time.Now(), s.meter.columns
	s.load.era.Store(int32(during))
	return s.while(ctx, "stop the embedded broker", stopLimit, func(context.Context) error {
		s.broker.stop()
		return nil
	})
}

// outage lasts until its time is up and its effect was seen: streamdown has noticed, and producers are acked all the same.
// A machine that is too busy to show it soon after ends with a verdict that says so.
func (s *show) outage(ctx context.Context) error {
	end := s.downAt.Add(s.cfg.Outage)
	effect := false
	return s.until(ctx, "outage", s.cfg.Outage+2*effectLimit, func(now time.Time) (bool, error) {
		if st := &s.status.Target; !s.noticed && st.Breaker != "closed" {
			s.noticed = true
			took := now.Sub(s.downAt)
			if st.BreakerSince != nil {
				took = st.BreakerSince.Sub(s.downAt)
			}
			s.note('·', "noticed after %s: breaker open, the log alone acks", ui.Seconds(max(took, 0).Round(time.Millisecond)))
		}
		if !effect && s.noticed && s.status.Records.Backlog > 0 && s.load.acks[during].Snapshot().Total > 0 {
			effect = true
			s.checker.FaultActive()
		}
		return !now.Before(end) && (effect || now.Sub(end) > effectLimit), nil
	})
}

func (s *show) back(ctx context.Context) error {
	if s.saboteur != nil {
		s.saboteur.arm()
	}
	s.enter("probe", 0)
	err := s.while(ctx, "start the embedded broker again", startLimit, func(ctx context.Context) error {
		for {
			err := s.broker.start()
			if err == nil {
				return nil
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%w: %w", ctx.Err(), err)
			case <-time.After(tickEach):
			}
		}
	})
	if err != nil {
		return err
	}
	s.upAt, s.upCol = time.Now(), s.meter.columns
	s.load.era.Store(int32(after))
	s.look(ctx, s.upAt)
	s.backlog = s.status.Records.Backlog
	s.note('·', "the broker is back after %s; %s records wait in the log", ui.Seconds(s.upAt.Sub(s.downAt)), ui.Exact(s.backlog))
	return s.reader.start(ctx)
}

// drain ends when everything that was in the log when the broker came back is confirmed.
func (s *show) drain(ctx context.Context) error {
	owed := map[streamdown.TopicPartition]streamdown.Ordinal{}
	for i := range s.status.Lanes {
		l := &s.status.Lanes[i]
		owed[streamdown.TopicPartition{Topic: l.Topic, Partition: l.Partition}] = l.AcceptedEnd
	}
	probed := false
	err := s.until(ctx, "drain", deliverLimit+s.cfg.Outage, func(time.Time) (bool, error) {
		closed := s.status.Target.Breaker == "closed"
		if closed && !probed {
			probed = true
			s.enter("drain", 0)
			s.note('·', "the broker proved steady: breaker closed, draining in order")
		}
		for i := range s.status.Lanes {
			l := &s.status.Lanes[i]
			if l.Stop != nil && !l.Stop.Retry {
				return false, fmt.Errorf("%s/%d was stopped: %s", l.Topic, l.Partition, l.Stop.Reason)
			}
			if l.Confirmed < owed[streamdown.TopicPartition{Topic: l.Topic, Partition: l.Partition}] {
				closed = false
			}
		}
		return closed, nil
	})
	if err != nil {
		return err
	}
	s.drained = time.Since(s.upAt)
	s.note('✓', "drained %s after the broker was back", ui.Seconds(s.drained))
	if s.saboteur != nil {
		if did := s.saboteur.struck(); did != "" {
			s.note('!', "%s", did)
		}
	}
	return nil
}

func (s *show) again(ctx context.Context) error {
	end := s.upAt.Add(s.cfg.before())
	if least := time.Now().Add(min(s.cfg.before(), time.Second)); end.Before(least) {
		end = least
	}
	s.enter("all is well again", time.Until(end))
	return s.pass(ctx, end)
}

// finish stops the producers and waits until the consumer has read everything there is.
func (s *show) finish(ctx context.Context) error {
	s.enter("count", 0)
	if err := s.while(ctx, "the last acks", flushLimit, s.load.finish); err != nil {
		return err
	}
	s.note('·', "producers have stopped: %s records acked", ui.Exact(s.load.acked.Load()))
	if err := s.until(ctx, "delivery of what is left in the log", deliverLimit, func(time.Time) (bool, error) {
		return s.status.Records.Backlog == 0, nil
	}); err != nil {
		return err
	}
	var ends []int64
	if err := s.while(ctx, "the ends of the partitions", startLimit, func(ctx context.Context) (err error) {
		ends, err = s.reader.ends(ctx)
		return err
	}); err != nil {
		return err
	}
	var last error
	err := s.until(ctx, "the consumer at the end of every partition", deliverLimit, func(time.Time) (ok bool, _ error) {
		ok, last = s.reader.at(ends)
		return ok, nil
	})
	if err != nil && last != nil {
		err = fmt.Errorf("%w: %w", err, last)
	}
	return err
}
