package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/wal"
)

// Pin is what is fixed of a partition before anything is compared.
type Pin struct {
	Cluster    string            // the cluster's id, empty if not known
	Topic      streamdown.ID     // the topic's id, zero if it has none
	Start, End streamdown.Offset // of the partition's log; End is the high watermark
	Compacted  bool              // the topic's cleanup policy contains "compact"
}

// Topic is the target's side. Calls are made one at a time.
type Topic interface {
	// Pin looks at a partition. It wraps ErrNoTopic when the topic or the partition does not exist; any other error ends the
	// reconciliation.
	Pin(ctx context.Context, tp streamdown.TopicPartition) (Pin, error)
	// Walk hands every stored batch that overlaps offsets [from, to) to fn, in order, whole, control batches included;
	// raw is fn's until it returns. id is the pinned topic id. Where the log's start has passed the place to read, it
	// goes on at the start; batches that were compacted away are passed over, at the end too. An error of fn ends it
	// and is wrapped or returned.
	Walk(ctx context.Context, tp streamdown.TopicPartition, id streamdown.ID, from, to streamdown.Offset,
		fn func(base streamdown.Offset, raw []byte) error) error
}

// ErrNoTopic is Pin's answer for a partition that does not exist at the target.
var ErrNoTopic = errors.New("there is no such topic or partition at the target")

// Config says what to compare. Log and Topic are needed.
type Config struct {
	// Log is read and not closed; nobody else may use it meanwhile.
	Log   *wal.Reader
	Topic Topic
	// Only selects lanes; nil selects all.
	Only func(streamdown.TopicPartition) bool
	// Window is how many batches of the log are held in memory at a time, 56 bytes each. Default 262,144.
	Window int
	// Progress, if set, hears of log bytes compared so far and of those to compare.
	Progress func(done, total int64)
	Now      func() time.Time // default time.Now
}

// Run compares the log with the target. An error says that the comparison could not be made or ended, of the log, of the
// target or of ctx; what it shows stands in the report.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if cfg.Window <= 0 {
		cfg.Window = 1 << 18
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	for try := 1; ; try++ {
		r := run{cfg: cfg, books: newLedger(), lanes: map[streamdown.LaneID]*lane{}}
		err := r.run(ctx)
		if err == nil {
			return &r.rep, nil
		}
		if try == tries || !errors.Is(err, wal.ErrReleased) || ctx.Err() != nil {
			return nil, fmt.Errorf("reconcile log %s: %w", cfg.Log.ID(), err)
		}
	}
}

// tries is how often a comparison begins anew because the process that owns the log released what was to be read next
// before the identities in it were known. Once is rare: all that was kept at the start must have gone meanwhile.
const tries = 5

type run struct {
	cfg   Config
	books *ledger
	lanes map[streamdown.LaneID]*lane
	order []*lane // by topic and partition
	rows  int     // held
	hole  Reason  // why ordinals are missing in the log, where they are
	rep   Report
	// restored is where the oldest whole state stands. It is the log's first position unless that state is damaged.
	restored streamdown.LSN
	body     wal.Chunk // for reading single entries again
}

func (r *run) run(ctx context.Context) error {
	// First the book: what it calls confirmed lies below the ends that are pinned next.
	log := r.cfg.Log
	end, damaged, err := r.load(ctx)
	if err != nil {
		return err
	}
	r.rep = Report{SchemaVersion: 1, LogID: log.Identity().String(), At: r.cfg.Now().UTC(), Topics: []TopicSums{}, Partitions: []Partition{}, Worst: []Range{}}
	if err := r.pin(ctx); err != nil {
		return err
	}
	// What is stored below the pinned ends was in the log before, and so were the identities it was sent under.
	end, err = log.Walk(ctx, end, func(e *wal.Entry) error { r.books.Apply(e); return nil })
	again, err := tolerate(err)
	if err != nil {
		return err
	}
	for _, l := range r.order {
		l.begin(damaged || again)
	}
	if err := r.compare(ctx, end); err != nil {
		return err
	}
	return r.finish(ctx)
}

// load restores the books from the oldest whole state and applies all that follows.
func (r *run) load(ctx context.Context) (end streamdown.LSN, damaged bool, err error) {
	if r.restored, err = r.cfg.Log.Restore(r.books); err != nil {
		return 0, false, err
	}
	end, err = r.cfg.Log.Walk(ctx, r.restored, func(e *wal.Entry) error { r.books.Apply(e); return nil })
	damaged, err = tolerate(err)
	return end, damaged, err
}

// tolerate takes damage in the log for what it is, no reason to stop.
func tolerate(err error) (damaged bool, _ error) {
	var bad *wal.CorruptError
	if errors.As(err, &bad) {
		return true, nil
	}
	return false, err
}

// pin fixes the ends of all partitions of which the book knows a lane.
func (r *run) pin(ctx context.Context) error {
	for _, known := range r.books.Lanes() {
		tp, ok := r.cfg.Log.LaneName(known.ID)
		if !ok || r.cfg.Only != nil && !r.cfg.Only(tp) {
			continue
		}
		pin, err := r.cfg.Topic.Pin(ctx, tp)
		gone := errors.Is(err, ErrNoTopic)
		if err != nil && !gone {
			return fmt.Errorf("pin the end of %s: %w", tp, err)
		}
		l := &lane{run: r, id: known.ID, tp: tp, pin: pin, gone: gone, confirmed: known.Confirmed}
		r.lanes[known.ID] = l
		r.order = append(r.order, l)
	}
	slices.SortFunc(r.order, func(a, b *lane) int {
		switch {
		case a.tp.Topic < b.tp.Topic:
			return -1
		case a.tp.Topic > b.tp.Topic:
			return 1
		}
		return int(a.tp.Partition - b.tp.Partition)
	})
	return nil
}

// compare reads the log from its oldest entry to end, and each window's share of the partitions.
func (r *run) compare(ctx context.Context, end streamdown.LSN) error {
	var c wal.Chunk
	first := r.cfg.Log.First()
	if r.hole = LogDamaged; first > r.restored {
		r.hole = Released
	}
	for at := first; at < end; at = c.Next {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := r.cfg.Log.Read(&c, at)
		var bad *wal.CorruptError
		switch {
		case errors.As(err, &bad):
			r.rep.LogDamage++
			r.hole = LogDamaged
			continue
		case errors.Is(err, wal.ErrReleased):
			// By the process that owns the log, while we were reading.
			if c.Next = r.cfg.Log.First(); r.rep.LogDamage == 0 {
				r.hole = Released
			}
			continue
		case err != nil:
			return err
		case len(c.Entries) == 0:
			end = at
			c.Next = at
			continue
		}
		for i := range c.Entries {
			e := &c.Entries[i]
			if e.LSN >= end { // written since
				break
			}
			if l := r.lanes[e.Lane]; l != nil && e.Kind == wal.KindBatch {
				l.push(e, r.hole)
				r.rows++
			}
		}
		if r.rows >= r.cfg.Window {
			if err := r.flush(ctx); err != nil {
				return err
			}
		}
		if r.cfg.Progress != nil {
			r.cfg.Progress(int64(min(c.Next, end)-first), int64(end-first))
		}
	}
	return r.flush(ctx)
}

// flush compares what is held and forgets it.
func (r *run) flush(ctx context.Context) error {
	for _, l := range r.order {
		if len(l.rows) == 0 {
			continue
		}
		if err := l.window(ctx, l.rows[len(l.rows)-1].end()); err != nil {
			return err
		}
	}
	r.rows = 0
	return nil
}

func (r *run) finish(ctx context.Context) error {
	for _, l := range r.order {
		if err := l.last(ctx, r.hole); err != nil {
			return err
		}
		if err := l.close(ctx); err != nil {
			return err
		}
		r.rep.sum(l)
	}
	r.rep.Elapsed = r.cfg.Now().Sub(r.rep.At).Seconds()
	r.rep.conclude()
	return nil
}

// sum takes over what is left of a lane's findings, in the order of topics.
func (r *Report) sum(l *lane) {
	p := Partition{Topic: l.tp.Topic, Partition: l.tp.Partition, First: l.first, End: l.end, Confirmed: l.confirmed, From: l.from, To: l.pin.End}
	if l.gone {
		p.From, p.To = streamdown.NoOffset, streamdown.NoOffset
	}
	r.Partitions = append(r.Partitions, p)
	n := len(r.Topics)
	if n == 0 || r.Topics[n-1].Topic != l.tp.Topic {
		r.Topics = append(r.Topics, TopicSums{Topic: l.tp.Topic})
		n++
	}
	t := &r.Topics[n-1]
	t.Partitions++
	for v := range verdicts {
		c, u := l.sums.Of(v), Count{}
		if v == NotComparable {
			u = l.sums.Unexplained
		}
		for _, s := range [...]*Sums{&t.Sums, &r.Total} {
			s.add(v, Trimmed, c.Batches-u.Batches, c.Records-u.Records)
			s.add(v, LogDamaged, u.Batches, u.Records)
		}
	}
}

// entry reads the batch at an LSN again. Its bytes are valid until the next call.
func (r *run) entry(at streamdown.LSN, size int32) ([]byte, error) {
	need := int(size) + 64 // an entry's own header, and padding
	if cap(r.body.Buf) < need {
		r.body.Buf = make([]byte, need)
	}
	r.body.Buf = r.body.Buf[:need]
	if err := r.cfg.Log.Read(&r.body, at); err != nil {
		return nil, err
	}
	if len(r.body.Entries) == 0 || r.body.Entries[0].LSN != at || len(r.body.Entries[0].Body) < batch.HeaderSize {
		return nil, fmt.Errorf("read the batch at %d again: it is not there", at)
	}
	return r.body.Entries[0].Body, nil
}
