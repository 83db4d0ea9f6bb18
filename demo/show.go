package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/check"
	"github.com/streamdown/streamdown/forward"
	"github.com/streamdown/streamdown/ui"
)

// show is one run. All but what its parts do in goroutines of their own happens in one goroutine, which draws while it
// waits.
type show struct {
	cfg     Config
	view    *ui.View // nil = nothing is shown
	began   time.Time
	dir     string
	logFile *os.File

	broker   *broker
	saboteur *saboteur // nil without a planted fault
	gateway  *gateway
	checker  *check.Checker
	load     *load
	reader   *reader

	meter  meter
	phase  phase
	status api.Status // of the node, the newest
	drawn  time.Time
	events []event

	downAt, upAt time.Time // the outage; zero = not yet
	downCol      int       // the same as columns of the sparklines
	upCol        int
	drained      time.Duration
	backlog      int64 // when the broker was back
	noticed      bool
}

// phase is a chapter of the story.
type phase struct {
	name  string
	from  time.Time
	takes time.Duration // if that is known
}

// event is a line of the timeline.
type event struct {
	at   time.Duration // since the beginning
	mark rune          // '·', '✓', '✗' or '!'
	text string
}

const (
	tickEach = 50 * time.Millisecond
	drawEach = 100 * time.Millisecond
)

// Run tells the story. The error is about the run itself: something did not start, end or arrive in time. What the
// verdict is, good or bad, is in the Result. It takes about as long as cfg.Duration and never longer than the limits of
// its steps; when ctx ends it stops everything and returns.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &show{cfg: cfg.withDefaults(), began: time.Now()}
	s.meter.each = max(300*time.Millisecond, (s.cfg.Duration+3*time.Second)/bins) // the whole story fits
	if cfg.View.Out != nil {
		s.view = ui.New(cfg.View)
	}
	s.checker = check.New(check.Config{MinAcked: 100, MinShare: 0.99, NeedFault: true})
	res, err := s.run(ctx)
	if s.view != nil {
		err = errors.Join(err, s.view.Finish())
	}
	return res, err
}

func (s *show) run(ctx context.Context) (res *Result, err error) {
	if s.dir, err = os.MkdirTemp(s.cfg.Dir, "streamdown-demo-"); err != nil {
		return nil, fmt.Errorf("make a directory for the run: %w", err)
	}
	defer func() {
		err = errors.Join(err, s.close())
		switch {
		case s.cfg.Keep && res != nil:
			res.Dir = s.dir
		case err != nil && ctx.Err() == nil:
			err = fmt.Errorf("%w; the broker's data, the log and streamdown.log are kept in %s", err, s.dir)
		case !s.cfg.Keep:
			err = errors.Join(err, os.RemoveAll(s.dir))
		}
	}()
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	if err := s.tell(ctx); err != nil {
		return nil, err
	}
	return s.judge(ctx)
}

// open starts the broker, the node and the consumer; the producers begin later.
func (s *show) open(ctx context.Context) (err error) {
	rng := rand.New(rand.NewPCG(s.cfg.Seed, 1))
	s.enter("start", 0)
	if s.broker, err = openBroker(filepath.Join(s.dir, "broker"), s.cfg.Partitions); err != nil {
		return err
	}
	if s.logFile, err = os.Create(filepath.Join(s.dir, "streamdown.log")); err != nil {
		return err
	}
	handler := slog.Handler(slog.NewTextHandler(s.logFile, nil))
	if s.cfg.Logger != nil {
		handler = slog.NewMultiHandler(handler, s.cfg.Logger.Handler())
	}
	var wrap func(forward.Target) forward.Target
	if s.cfg.Plant != PlantNone {
		wrap = func(t forward.Target) forward.Target {
			s.saboteur = &saboteur{Target: t, plant: s.cfg.Plant, rng: rng}
			return s.saboteur
		}
	}
	if s.gateway, err = openGateway(ctx, s.dir, s.broker.addr(), s.cfg.Version, slog.New(handler), wrap); err != nil {
		return err
	}
	s.reader = newReader(s.broker.addr(), s.cfg.Partitions, s.checker)
	return s.reader.start(ctx)
}

// close ends what still runs, from the producers on.
func (s *show) close() (err error) {
	if s.load != nil {
		s.load.close()
	}
	if s.reader != nil {
		s.reader.stop()
	}
	if s.gateway != nil {
		_, err = s.gateway.stop()
	}
	if s.broker != nil {
		s.broker.stop()
	}
	if s.logFile != nil {
		err = errors.Join(err, s.logFile.Close())
	}
	return err
}

// until draws until done says so. After limit it gives up with an error that says what it waited for; done may return
// an error to end it sooner.
func (s *show) until(ctx context.Context, what string, limit time.Duration, done func(now time.Time) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s: not within %s; is this machine very busy?", what, ui.Seconds(limit)))
	defer cancel()
	tick := time.NewTicker(tickEach)
	defer tick.Stop()
	for {
		now := time.Now()
		s.look(ctx, now)
		if ok, err := done(now); ok || err != nil {
			return err
		}
		if err := s.gateway.ended(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// while draws until work returns. Work gets a context that ends at the limit, and some more time to heed it.
func (s *show) while(ctx context.Context, what string, limit time.Duration, work func(ctx context.Context) error) error {
	working, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- work(working) }()
	var worked error
	err := s.until(ctx, what, limit+time.Second, func(time.Time) (bool, error) {
		select {
		case worked = <-done:
			return true, nil
		default:
			return false, nil
		}
	})
	if err == nil {
		return worked
	}
	cancel()
	select {
	case worked = <-done:
		return errors.Join(err, worked)
	case <-time.After(graceLimit):
		return err // what cannot be interrupted is left behind: nothing may hang here
	}
}

// pass draws for a while.
func (s *show) pass(ctx context.Context, until time.Time) error {
	return s.until(ctx, s.phase.name, time.Until(until)+10*time.Second, func(now time.Time) (bool, error) {
		return !now.Before(until), nil
	})
}

// look reads how things stand, and draws now and then.
func (s *show) look(ctx context.Context, now time.Time) {
	p := point{at: now}
	if s.gateway != nil {
		s.status = s.gateway.Status(ctx)
		p.backlog = float64(s.status.Records.Backlog)
		if age := s.status.Records.OldestAge; age != nil {
			p.waited = *age
		}
	}
	if s.load != nil {
		p.acked = s.load.acked.Load()
	}
	if s.reader != nil {
		p.read = s.reader.read.Load()
	}
	s.meter.add(p)
	if s.view != nil && now.Sub(s.drawn) >= drawEach {
		s.drawn = now
		s.draw(now)
	}
}

func (s *show) enter(name string, takes time.Duration) {
	s.phase = phase{name: name, from: time.Now(), takes: takes}
}

// note adds a line to the timeline.
func (s *show) note(mark rune, format string, args ...any) {
	e := event{at: time.Since(s.began), mark: mark, text: fmt.Sprintf(format, args...)}
	s.events = append(s.events, e)
	if s.view != nil && !s.view.Live() {
		_ = s.view.Note(e.String()) // Finish returns its error
	}
	s.drawn = time.Time{}
}

func (e event) String() string {
	return fmt.Sprintf("%6.1f s  %c %s", e.at.Seconds(), e.mark, e.text)
}
