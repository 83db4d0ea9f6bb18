package node

import (
	"context"
	"sync"

	"github.com/streamdown/streamdown/config"
	"github.com/streamdown/streamdown/wal"
)

// scrubbing reads the log again at a rate that may change.
type scrubbing struct {
	start func(config.Rate) *wal.Scrubber // nil result = off

	mu      sync.Mutex // guards the following
	rate    config.Rate
	current *wal.Scrubber // nil if that is off
	changed chan struct{} // closed when the two change
}

func newScrubbing(rate config.Rate, start func(config.Rate) *wal.Scrubber) *scrubbing {
	return &scrubbing{start: start, rate: rate, current: start(rate), changed: make(chan struct{})}
}

// set changes the rate. A pass under way is given up, a new one begins, and what was found so far is found again.
func (s *scrubbing) set(rate config.Rate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rate == s.rate {
		return
	}
	s.rate, s.current = rate, s.start(rate)
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *scrubbing) now() (*wal.Scrubber, config.Rate, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current, s.rate, s.changed
}

// run reads until ctx ends.
func (s *scrubbing) run(ctx context.Context) error {
	for {
		current, _, changed := s.now()
		passing, stop := context.WithCancel(ctx)
		var reading sync.WaitGroup
		var err error
		if current != nil {
			reading.Go(func() { err = current.Run(passing) })
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
		stop()
		reading.Wait()
		if err != nil || ctx.Err() != nil {
			return err
		}
	}
}
