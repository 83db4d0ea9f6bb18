package wal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
)

// ScrubConfig says how a log is read again. Zero values mean the defaults.
type ScrubConfig struct {
	// Rate bounds reading, in bytes per second. Default 8 MiB/s; negative = no limit.
	Rate int64
	// Interval is the time from the end of one pass to the beginning of the next. Default 6 hours.
	Interval time.Duration
	// Watermark returns the LSN below which all is confirmed, 0 if that is not known. It is asked when damage is found,
	// since damage to what is only on this disk is another thing to tell. nil = not known.
	Watermark func() streamdown.LSN
}

// A Scrubber reads the sealed segments of an open log again and again, past the page cache where the file system can
// do that ([vfs.DirectOpener]), so that rot is known before the day that the data is needed. It changes nothing: what
// is damaged stays where it is, and [Log.Read] reports it with the same range.
//
// It holds no lock of the log while it reads. A segment that is released meanwhile is no damage.
type Scrubber struct {
	log *Log
	cfg ScrubConfig
	due time.Time // when the next piece may be read; owned by the pass
	buf []byte    // owned by the pass

	mu    sync.Mutex // guards the following
	stats ScrubStats // without what is computed from known
	known map[uint64]*finding
}

// finding is what is known to be damaged in a segment.
type finding struct {
	list []ScrubDamage // the first maxDamage
	more int           // damaged ranges beyond these
}

// ScrubDamage is damage of kind DamageHeader, DamageState, DamageEntries or DamageMissing in a sealed segment.
type ScrubDamage struct {
	Damage
	FirstSeen time.Time `json:"first_seen"`
}

// ScrubStats is what a Scrubber knows. Nothing was checked until a pass was whole.
type ScrubStats struct {
	Way        vfs.Way   // how the segments are read; empty until one was
	Bytes      int64     // checked since the start
	Passes     int       // whole passes since the start
	WholeAt    time.Time // end of the last whole pass; zero before the first
	WholeBytes int64     // what that checked
	// Began, Done and Total are of the pass under way: when it began (zero between passes), bytes of it.
	Began       time.Time
	Done, Total int64
	Found       int           // damaged ranges found since the start, each counted once
	Ranges      int           // damaged ranges in what the log keeps, as last looked at
	Damage      []ScrubDamage // these, oldest first, at most 1,000
	Trouble     string        // why the last pass was not whole; empty if it was
}

const (
	scrubRate     = 8 << 20
	scrubInterval = 6 * time.Hour
	scrubIdle     = time.Minute // before the next look when nothing was sealed
	scrubPiece    = 256 << 10
	scrubBlock    = 4096 // what is looked at alone where a piece cannot be read
	// After a read that took t the disk is left alone for scrubRest times t: a slow disk has not much to give.
	scrubRest = 4
	// A disk that makes producers wait longer than slowSync is left alone until it does not, but not for ever.
	slowSync = 100 * time.Millisecond
	maxYield = 10 * time.Second
)

// NewScrubber returns a Scrubber of an open log. It touches nothing.
func NewScrubber(l *Log, cfg ScrubConfig) *Scrubber {
	if cfg.Rate == 0 {
		cfg.Rate = scrubRate
	}
	if cfg.Interval <= 0 {
		cfg.Interval = scrubInterval
	}
	return &Scrubber{log: l, cfg: cfg, known: map[uint64]*finding{}}
}

// Run makes one pass after the other until ctx ends or the log is closed, and returns nil then. What cannot be read is
// in the Stats.
func (s *Scrubber) Run(ctx context.Context) error {
	for {
		wait := s.cfg.Interval
		checked, err := s.Pass(ctx)
		if err != nil && ctx.Err() == nil && !errors.Is(err, ErrClosed) {
			s.log.cfg.Logger.Warn("check the log again", "err", err)
		}
		if err == nil && checked == 0 {
			wait = min(wait, scrubIdle)
		}
		if s.sleep(ctx, wait) != nil {
			return nil
		}
	}
}

// Pass checks header, state and every entry and batch of each segment that is sealed now, oldest first, and returns how
// many bytes it checked. It goes on behind damage, which is no error: Stats tells it. The error says what could
// not be checked: the context ended, the log was closed (ErrClosed), or a file could not be opened.
// Not for concurrent use.
func (s *Scrubber) Pass(ctx context.Context) (checked int64, err error) {
	before := s.begin()
	last := s.log.lastSegment() // what is sealed meanwhile is for the next pass, or this one might never end
	var wrong []error
	at, ok := s.log.sealedAfter(0)
	for ok && at.number < last && ctx.Err() == nil {
		found, err := s.check(ctx, &at)
		switch {
		case errors.Is(err, ErrReleased) || ctx.Err() != nil:
		case err != nil:
			wrong = append(wrong, fmt.Errorf("check %s: %w", at.name, err))
		default:
			s.keep(&at, found)
		}
		if errors.Is(err, ErrClosed) {
			break
		}
		at, ok = s.log.sealedAfter(at.number)
	}
	return s.end(before, errors.Join(append(wrong, ctx.Err())...))
}

func (s *Scrubber) begin() (before int64) {
	total := s.log.sealedBytes()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Began, s.stats.Done, s.stats.Total = s.log.cfg.Now(), 0, total
	return s.stats.Bytes
}

func (s *Scrubber) end(before int64, err error) (checked int64, _ error) {
	oldest := s.log.firstSegment()
	s.mu.Lock()
	defer s.mu.Unlock()
	for number := range s.known {
		if number < oldest {
			delete(s.known, number)
		}
	}
	checked = s.stats.Bytes - before
	s.stats.Began, s.stats.Trouble = time.Time{}, ""
	switch {
	case err != nil:
		s.stats.Trouble = err.Error()
	case checked > 0: // otherwise there was nothing, which says nothing
		s.stats.Passes++
		s.stats.WholeAt, s.stats.WholeBytes = s.log.cfg.Now(), checked
	}
	return checked, err
}

func (s *Scrubber) count(n int64) {
	s.mu.Lock()
	s.stats.Bytes += n
	s.stats.Done += n
	s.stats.Total = max(s.stats.Total, s.stats.Done)
	s.mu.Unlock()
}

// keep replaces what is known of a segment by what was just found, and tells what is new.
func (s *Scrubber) keep(at *target, found *finding) {
	now := s.log.cfg.Now()
	s.mu.Lock()
	old := s.known[at.number]
	if old == nil {
		old = &finding{}
	}
	var fresh []ScrubDamage
	for i := range found.list {
		d := &found.list[i]
		if j := slices.IndexFunc(old.list, d.same); j >= 0 {
			d.FirstSeen = old.list[j].FirstSeen
			continue
		}
		d.FirstSeen = now
		fresh = append(fresh, *d)
	}
	s.stats.Found += len(fresh) + max(0, found.more-old.more)
	delete(s.known, at.number)
	if len(found.list) > 0 {
		s.known[at.number] = found
	}
	s.mu.Unlock()

	if len(fresh) > 0 {
		s.tell(at, fresh)
	}
	for i := range old.list {
		if d := &old.list[i]; !slices.ContainsFunc(found.list, d.same) {
			s.log.cfg.Logger.Warn("damage to the log is gone or has changed: the disk gives other bytes than before",
				"segment", at.name, "kind", d.Kind, "from_lsn", d.FromLSN, "to_lsn", d.ToLSN, "first_seen", d.FirstSeen)
		}
	}
}

// same reports whether two are one damage, seen twice.
func (d *ScrubDamage) same(o ScrubDamage) bool {
	return d.Kind == o.Kind && d.From == o.From && d.To == o.To && d.FromLSN == o.FromLSN && d.ToLSN == o.ToLSN
}

// tell logs new damage. A segment without a whole state is not one that a release may rely on.
func (s *Scrubber) tell(at *target, fresh []ScrubDamage) {
	watermark := streamdown.LSN(0)
	if s.cfg.Watermark != nil {
		watermark = s.cfg.Watermark()
	}
	for i := range fresh {
		d := &fresh[i]
		attrs := []any{"segment", d.Segment, "kind", d.Kind, "from_byte", d.From, "to_byte", d.To,
			"from_lsn", d.FromLSN, "to_lsn", d.ToLSN, "err", d.Detail}
		switch {
		case d.Kind == DamageHeader || d.Kind == DamageState:
			s.log.distrust(at.number)
			s.log.cfg.Logger.Warn("rot in a segment's head, which holds no record", attrs...)
		case d.Confirmed(watermark):
			s.log.cfg.Logger.Warn("rot in the log, in records that are confirmed at the target", attrs...)
		default:
			s.log.cfg.Logger.Error("rot in the log, where records may be that are only on this disk", attrs...)
		}
	}
}

// Confirmed reports whether no record is in the damaged range that is not confirmed, when all below watermark is.
func (d *ScrubDamage) Confirmed(watermark streamdown.LSN) bool {
	return d.FromLSN == d.ToLSN || d.ToLSN <= watermark
}

// Stats returns what is known.
func (s *Scrubber) Stats() ScrubStats {
	oldest := s.log.firstSegment()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	for number, f := range s.known {
		if number >= oldest {
			st.Ranges += len(f.list) + f.more
			st.Damage = append(st.Damage, f.list...)
		}
	}
	slices.SortFunc(st.Damage, func(a, b ScrubDamage) int {
		return cmp.Or(cmp.Compare(a.Segment, b.Segment), cmp.Compare(a.From, b.From), cmp.Compare(a.FromLSN, b.FromLSN))
	})
	st.Damage = st.Damage[:min(len(st.Damage), maxDamage)]
	return st
}

// pace waits until n bytes more may be read.
func (s *Scrubber) pace(ctx context.Context, n int) error {
	if err := s.sleep(ctx, time.Until(s.due)); err != nil {
		return err
	}
	if s.cfg.Rate > 0 {
		// What was missed is not made up for: that would be a burst.
		s.due = time.Now().Add(time.Duration(float64(n) / float64(s.cfg.Rate) * float64(time.Second)))
	}
	return s.yield(ctx)
}

// yield lets producers go first. Its place is right behind a group that became durable soon, or when nobody waits.
func (s *Scrubber) yield(ctx context.Context) error {
	limit := time.NewTimer(maxYield)
	defer limit.Stop()
	for {
		durable := s.log.Changed()
		if s.log.Durable() >= s.log.appended() {
			return nil
		}
		began := time.Now()
		select {
		case <-durable:
			if time.Since(began) < slowSync {
				return nil
			}
		case <-limit.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-s.log.stop:
			return ErrClosed
		}
	}
}

func (s *Scrubber) sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		select {
		case <-s.log.stop:
			return ErrClosed
		default:
			return ctx.Err()
		}
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.log.stop:
		return ErrClosed
	}
}
