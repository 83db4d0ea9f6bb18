package gateway

import (
	"context"
	"sync"
	"time"
)

const (
	// creators is how many topics are created at a time.
	creators = 4
	// maxCreations bounds the topics that wait to be created, and those remembered because they were not. Clients that
	// ask for more are told to ask again.
	maxCreations = 256
	// createTimeout bounds one creation.
	createTimeout = 30 * time.Second
	// createPause is how long a creation that upstream did not carry out is not tried again: clients ask ten times a
	// second.
	createPause = 5 * time.Second
)

// creations passes the creation of topics on. However many clients ask for a topic, it is asked for once, and no
// client waits for it longer than Config.CreateWait after the first one asked.
type creations struct {
	todo chan string

	mu      sync.Mutex // guards the following
	flights map[string]*flight
}

// flight is one creation: running until done is closed, remembered afterwards if it was not carried out.
type flight struct {
	began time.Time
	done  chan struct{}
}

func newCreations() creations {
	return creations{todo: make(chan string, maxCreations), flights: map[string]*flight{}}
}

// createTopics is one of the creators; it ends with ctx.
func (s *Server) createTopics(ctx context.Context) {
	for {
		select {
		case name := <-s.creations.todo:
			limited, cancel := context.WithTimeout(ctx, createTimeout)
			err := s.carryOut(limited, name)
			cancel()
			switch {
			case name == lookAround: // whoever waits is told what was known before
			case err != nil:
				s.stats.createsFailed.Add(1)
				s.cfg.Logger.Warn("topic not created: its producers are told to ask again", "topic", name, "err", err)
			default:
				s.cfg.Logger.Info("topic created for a producer", "topic", name)
			}
			s.creations.landed(name, err)
		case <-ctx.Done():
			return
		}
	}
}

// lookAround stands among the names of topics for a look at all that there are.
const lookAround = ""

func (s *Server) carryOut(ctx context.Context, name string) error {
	if name == lookAround {
		return s.directory.Look(ctx)
	}
	return s.directory.Create(ctx, name)
}

// landed ends the flight of a name. One that failed is kept for createPause, so that it is not tried again at once.
func (c *creations) landed(name string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.flights[name]
	close(f.done)
	if err == nil {
		delete(c.flights, name)
	}
}

// depart returns the flight of a name, a new one if there is none; nil if there are too many.
func (c *creations) depart(name string, now time.Time) *flight {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.flights[name]; f != nil && !f.forgotten(now) {
		return f
	}
	if len(c.flights) >= maxCreations {
		for other, f := range c.flights {
			if f.forgotten(now) {
				delete(c.flights, other)
			}
		}
		if len(c.flights) >= maxCreations {
			return nil
		}
	}
	f := &flight{began: now, done: make(chan struct{})}
	select {
	case c.todo <- name:
		c.flights[name] = f
		return f
	default: // cannot be: todo has room for all flights that have not begun
		return nil
	}
}

// forgotten reports whether the flight has ended and may be tried again.
func (f *flight) forgotten(now time.Time) bool {
	select {
	case <-f.done:
		return now.Sub(f.began) > createPause
	default:
		return false
	}
}

// create asks for the names and waits a moment for them.
func (s *Server) create(ctx context.Context, names []string) {
	if len(names) == 0 {
		return
	}
	now := s.cfg.Now()
	var flights []*flight
	for _, name := range names {
		if f := s.creations.depart(name, now); f != nil {
			flights = append(flights, f)
		}
	}
	for _, f := range flights {
		// What is left of this flight's moment: who comes later to one that hangs does not wait for it again.
		left := time.NewTimer(s.cfg.CreateWait - now.Sub(f.began))
		select {
		case <-f.done:
		case <-left.C:
		case <-ctx.Done():
		}
		left.Stop()
	}
}
