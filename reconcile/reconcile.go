package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/ledger"
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
	// Ledger is that of the same log; nil, or empty, if there is none. With it the range goes back beyond what the log keeps,
	// and of the log only what the ledger does not have is read.
	Ledger *ledger.Reader
	// Declared says which records of a lane went out late on purpose, or not at all, beside those that were quarantined or
	// repaired; it is asked once the books are complete. Nil = none.
	Declared func(streamdown.LaneID) Declared
	// Found, if set, hears of every range that is neither identical nor pending; the report keeps the worst only.
	Found func(Range)
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
		r := run{cfg: cfg, books: newIdentities(), lanes: map[streamdown.LaneID]*lane{}, names: map[streamdown.LaneID]streamdown.TopicPartition{}, source: source{log: cfg.Log, ledger: cfg.Ledger}}
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
	books *identities
	lanes map[streamdown.LaneID]*lane
	names map[streamdown.LaneID]streamdown.TopicPartition // of lanes whose beginning was read
	order []*lane                                         // by topic and partition
	rows  int                                             // held
	hole  Reason                                          // why ordinals are missing in the log, where they are
	rep   Report
	// restored is where the oldest whole state stands. It is the first position unless that state is damaged.
	restored streamdown.LSN
	first    streamdown.LSN // where comparing begins
	source   source
	body     wal.Chunk // for reading single entries again
	hasher   ledger.Hasher
	intents  intents
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
	end, again, err := r.source.walk(ctx, end, toEnd, visitor{row: r.apply, state: r.books.overtake})
	if err != nil {
		return err
	}
	r.first = r.source.first(r.restored)
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
	if r.restored, err = r.source.restore(r.books); err != nil {
		return 0, false, err
	}
	return r.source.walk(ctx, r.restored, toEnd, visitor{row: r.apply, state: r.books.overtake})
}

func (r *run) apply(row *ledger.Row) error {
	if row.Kind == wal.KindLane {
		r.names[row.Lane] = streamdown.TopicPartition{Topic: string(row.Body), Partition: int32(row.Ordinal)} //nolint:gosec // written from an int32
	}
	r.books.Apply(&row.Entry)
	r.intents.apply(row)
	return nil
}

// name finds a lane's name: in the log's newest state, or in what was read.
func (r *run) name(id streamdown.LaneID) (streamdown.TopicPartition, bool) {
	if tp, ok := r.names[id]; ok {
		return tp, true
	}
	return r.cfg.Log.LaneName(id)
}

// pin fixes the ends of all partitions of which the book knows a lane.
func (r *run) pin(ctx context.Context) error {
	for _, known := range r.books.Lanes() {
		tp, ok := r.name(known.ID)
		if !ok || r.cfg.Only != nil && !r.cfg.Only(tp) {
			continue
		}
		pin, err := r.cfg.Topic.Pin(ctx, tp)
		gone := errors.Is(err, ErrNoTopic)
		if err != nil && !gone {
			return fmt.Errorf("pin the end of %s: %w", tp, err)
		}
		l := &lane{run: r, id: known.ID, tp: tp, pin: pin, gone: gone, confirmed: known.Confirmed, chain: sha256.New()}
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

// compare reads ledger and log from their oldest row to end, and each window's share of the partitions.
func (r *run) compare(ctx context.Context, end streamdown.LSN) error {
	if r.hole = LogDamaged; r.first > r.restored {
		r.hole = Released
	}
	_, _, err := r.source.walk(ctx, r.first, end, visitor{
		row: func(row *ledger.Row) error {
			if l := r.lanes[row.Lane]; l != nil && row.Kind == wal.KindBatch {
				l.push(row, r.hole)
				r.rows++
			}
			if r.rows < r.cfg.Window {
				return nil
			}
			r.progress(row.LSN, end)
			return r.flush(ctx)
		},
		hole: func(why Reason) {
			switch {
			case why == LogDamaged:
				r.rep.LogDamage++
			case why == Released && r.rep.LogDamage > 0:
				return
			}
			r.hole = why
		},
	})
	if err != nil {
		return err
	}
	if err := r.flush(ctx); err != nil {
		return err
	}
	r.progress(end, end)
	return nil
}

func (r *run) progress(at, end streamdown.LSN) {
	if r.cfg.Progress != nil {
		r.cfg.Progress(int64(at-r.first), int64(end-r.first))
	}
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
	p := Partition{Topic: l.tp.Topic, Partition: l.tp.Partition, First: l.first, End: l.end, Confirmed: l.confirmed, From: l.from, To: l.pin.End,
		Cluster: l.pin.Cluster, TopicID: l.pin.Topic.String(), Tiers: l.tiers, Accepted: l.accepted, Counts: l.sums}
	p.Accepted.SHA256 = hex.EncodeToString(l.chain.Sum(nil))
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
func (r *run) entry(at streamdown.LSN, size int32, crc uint32) ([]byte, error) {
	need := int(size) + 64 // an entry's own header, and padding
	if cap(r.body.Buf) < need {
		r.body.Buf = make([]byte, need)
	}
	r.body.Buf = r.body.Buf[:need]
	if err := r.cfg.Log.Read(&r.body, at); err != nil {
		return nil, err
	}
	if len(r.body.Entries) == 0 || r.body.Entries[0].LSN != at || len(r.body.Entries[0].Body) < batch.HeaderSize ||
		batch.PayloadCRC(r.body.Entries[0].Body) != crc {
		return nil, fmt.Errorf("read the batch at %d again: it is not there", at)
	}
	return r.body.Entries[0].Body, nil
}
