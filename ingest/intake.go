package ingest

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/wal"
)

// Log is what an intake needs of the write-ahead log; *wal.Log is one.
type Log interface {
	// Append and ReadyWithin are as in wal.Log: Append never waits, ReadyWithin may.
	Append(e *wal.Entry) (streamdown.LSN, error)
	ReadyWithin(patience time.Duration) bool
	Lane(tp streamdown.TopicPartition) (streamdown.LaneID, error)
}

// Confirmations tells when the target holds records; *delivery.Book is one.
type Confirmations interface {
	Await(id streamdown.LaneID, from, to streamdown.Ordinal, deadline time.Time, done func(base streamdown.Offset, confirmed bool))
	Estimate(id streamdown.LaneID, o streamdown.Ordinal) streamdown.Offset
	Live(id streamdown.LaneID) bool
}

// Quarantine is what Confirmations may also know: records that the target refused for good. A stream that rejects what is
// isolated answers UNKNOWN_SERVER_ERROR for them, which is not retried and, alone of such codes, does not say that nothing
// was stored: a person may send them yet. Others answer from the log, as with everything that is on this disk only.
type Quarantine interface {
	InQuarantine(id streamdown.LaneID, from, to streamdown.Ordinal) bool
}

const quarantinedWhy = "the target refuses this batch for what it is; it is kept in quarantine by the gateway and may be delivered later"

// Policy is what a stream says about the admission of its topics.
type Policy struct {
	// Remote: acks=all waits for the target too, for at most Patience and only while the lane is caught up.
	Remote   bool
	Patience time.Duration
	// RejectIsolated refuses, with a retriable error, what would be on this disk only (when_isolated: reject).
	RejectIsolated bool
	// Above is the number of classes with a higher priority, for which room is left when the log gets full.
	Above int
}

// Config wires an Intake.
type Config struct {
	Confirmations Confirmations
	// Policy returns the policy of the stream that takes the topic; ok is false when none does.
	Policy func(topic string) (p Policy, ok bool)
	// Cluster is the last known look of the target, nil if there never was one.
	Cluster func() *catalog.Cluster
	Now     func() time.Time // default time.Now
	// HoldFor bounds how long a reply is held while the log is full. Default 20 s, below the clients' time-outs.
	HoldFor time.Duration
	// Room tells how many bytes the log may still grow by (-1 = not known), and its maximal size. Nil = each class may
	// take all there is. It may be called concurrently.
	Room func() (left, of int64)
}

// Intake admits batches. Concurrent use is fine; the order of Produce calls for one partition is the order of its log.
type Intake struct {
	cfg Config
	log Log

	mu    sync.RWMutex // guards lanes
	lanes map[streamdown.LaneID]*lane

	room    room
	rows    atomic.Int64 // producers that all lanes remember
	sweepAt atomic.Int64 // unix milliseconds before which they are not swept again

	closed    atomic.Bool
	leaving   atomic.Bool   // nothing is held any more
	admitted  atomic.Uint64 // batches
	acked     atomic.Uint64 // records that a producer was told are safe
	repeated  atomic.Uint64 // batches recognized as a client's retry
	refused   [refusalCodes]atomic.Uint64
	localOnly atomic.Uint64 // batches acked from this disk although the target was asked for
	full      atomic.Uint64 // replies held for want of space
}

const refusalCodes = 160 // Kafka's error codes are below; others are counted in the last

// New returns an intake. It is given to the log as a book and then, before the first Produce, attached to it.
func New(cfg Config) *Intake {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.HoldFor <= 0 {
		cfg.HoldFor = 20 * time.Second
	}
	return &Intake{cfg: cfg, lanes: map[streamdown.LaneID]*lane{}, room: room{look: cfg.Room}}
}

// Attach gives the intake its log.
func (in *Intake) Attach(l Log) { in.log = l }

// Stop makes every later Produce ask for its connection to be closed: nothing is admitted any more.
func (in *Intake) Stop() { in.closed.Store(true) }

// HoldNoMore makes replies that are held for want of space, now or later, end as if their time were up: whoever stops
// the process waits for them, and their producers ask the next one.
func (in *Intake) HoldNoMore() { in.leaving.Store(true) }

// NewProducer returns a producer id for a client: random in 63 bits, so it is unguessable, apart from every id that a
// cluster hands out in practice, and needs no memory of what was handed out before.
func (in *Intake) NewProducer(context.Context) (int64, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, fmt.Errorf("draw a producer id: %w", err)
	}
	return int64(binary.LittleEndian.Uint64(b[:]) >> 1), nil
}

func (in *Intake) lane(id streamdown.LaneID) *lane {
	in.mu.RLock()
	l := in.lanes[id]
	in.mu.RUnlock()
	if l != nil {
		return l
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if l = in.lanes[id]; l == nil {
		l = &lane{id: id, total: &in.rows}
		in.lanes[id] = l
	}
	return l
}

// Produce admits one partition's records; done is called exactly once, from any goroutine, possibly before Produce
// returns, and must not wait. r.Records is borrowed until Produce returns. It waits while the log is full or the disk
// does not keep up.
func (in *Intake) Produce(r Request, done func(Result)) {
	policy, ok := in.cfg.Policy(r.TopicPartition.Topic)
	if !ok {
		in.refuse(done, kerr.TopicAuthorizationFailed.Code, "no stream takes topic "+r.TopicPartition.Topic+"; add it to `streams` in the gateway's configuration")
		return
	}
	_, topic, ok := in.cfg.Cluster().Partition(r.TopicPartition)
	if !ok {
		in.refuse(done, kerr.UnknownTopicOrPartition.Code, "")
		return
	}
	now := in.cfg.Now()
	c := &topic.Config
	rules := batch.Rules{
		MaxMessageBytes: c.MaxMessageBytes, Uncompressed: c.Compression == "uncompressed", Compacted: c.Compacted, LogAppendTime: c.LogAppendTime,
		BeforeMax: c.BeforeMax, AfterMax: c.AfterMax,
	}
	h, refusal := batch.Admit(r.Records, &rules, now)
	if refusal != nil {
		in.refuse(done, refusal.Code, refusal.Reason)
		return
	}
	id, err := in.log.Lane(r.TopicPartition)
	if err != nil {
		done(Result{Close: true, Base: streamdown.NoOffset, LogStart: streamdown.NoOffset})
		return
	}
	if policy.RejectIsolated && !in.cfg.Confirmations.Live(id) {
		in.refuse(done, kerr.NotEnoughReplicas.Code, "the target does not confirm just now and the stream says when_isolated: reject")
		return
	}
	remote := policy.Remote && r.Acks == -1
	in.append(in.lane(id), &h, r.Records, now, answer{in: in, lane: id, remote: remote, policy: policy, done: done})
}

// answer is how one request is answered once its batch is durable.
type answer struct {
	in     *Intake
	lane   streamdown.LaneID
	remote bool
	policy Policy
	again  bool // a repeat: its records are counted already
	done   func(Result)
}

func (a answer) ok(base streamdown.Offset, count int32) {
	if !a.again {
		a.in.acked.Add(uint64(count))
	}
	a.done(Result{Base: base, LogStart: streamdown.NoOffset})
}

// durable answers, or waits for the target first.
func (a answer) durable(from streamdown.Ordinal, count int32, since time.Time) {
	if !a.remote {
		a.ok(a.in.cfg.Confirmations.Estimate(a.lane, from), count)
		return
	}
	to := from + streamdown.Ordinal(count)
	a.in.cfg.Confirmations.Await(a.lane, from, to, since.Add(a.policy.Patience), func(base streamdown.Offset, confirmed bool) {
		if !confirmed {
			if q, ok := a.in.cfg.Confirmations.(Quarantine); ok && a.policy.RejectIsolated && q.InQuarantine(a.lane, from, to) {
				// Closing the connection would make it come again for ever.
				a.done(Result{Code: kerr.UnknownServerError.Code, Message: quarantinedWhy, Base: streamdown.NoOffset, LogStart: streamdown.NoOffset})
				return
			}
			if a.policy.RejectIsolated {
				a.done(Result{Close: true, Base: streamdown.NoOffset, LogStart: streamdown.NoOffset}) // it is in the log: neither yes nor no
				return
			}
			a.in.localOnly.Add(1)
		}
		a.ok(base, count)
	})
}

// append judges the batch and hands it to the log, holding the reply while the log has no room.
func (in *Intake) append(l *lane, h *batch.Header, records []byte, now time.Time, a answer) {
	limit := now.Add(in.cfg.HoldFor)
	for {
		ready := in.log.ReadyWithin(in.cfg.HoldFor)
		if in.closed.Load() {
			a.done(Result{Close: true, Base: streamdown.NoOffset, LogStart: streamdown.NoOffset})
			return
		}
		err := errStuck
		if ready {
			if err = in.tryAppend(l, h, records, now, a); err == nil {
				return
			}
		}
		if errors.Is(err, wal.ErrClosed) {
			a.done(Result{Close: true, Base: streamdown.NoOffset, LogStart: streamdown.NoOffset})
			return
		}
		if !ready || in.leaving.Load() || !in.cfg.Now().Before(limit) {
			if h.ProducerID != batch.NoProducerID {
				// Refused while the next batch is on its way, an idempotent librdkafka meets "out of order" and gives up for
				// good. A closed connection makes it, and every other client, send all of them again, in order.
				a.done(Result{Close: true, Base: streamdown.NoOffset, LogStart: streamdown.NoOffset})
				return
			}
			in.refuse(a.done, kerr.KafkaStorageError.Code, err.Error())
			return
		}
		in.full.Add(1)
		time.Sleep(50 * time.Millisecond) // the connection's own reader waits: that is the backpressure
	}
}

// errStuck is why a batch is refused that was not handed to the log (rule A4): what was handed to it waits on.
var errStuck = errors.New("the disk of the log takes nothing just now")

// errTooManyProducers is held for as wal.ErrFull is.
var errTooManyProducers = errors.New("as many recent idempotent producers are remembered as can be")

// tryAppend does under the lane's lock what must happen in log order. A nil error means that it has an answer or will.
func (in *Intake) tryAppend(l *lane, h *batch.Header, records []byte, now time.Time, a answer) error {
	l.mu.Lock()
	if h.ProducerID != batch.NoProducerID {
		v, s := l.rows[h.ProducerID].judge(h)
		switch v {
		case outOfOrder:
			l.mu.Unlock()
			in.refuse(a.done, kerr.OutOfOrderSequenceNumber.Code, "")
			return nil
		case staleEpoch:
			l.mu.Unlock()
			in.refuse(a.done, kerr.InvalidProducerEpoch.Code, "")
			return nil
		case duplicate:
			in.repeated.Add(1)
			in.repeat(l, *s, waiting{a, now})
			return nil
		case admit:
		}
		if !l.roomFor(h.ProducerID, now.UnixMilli()) {
			l.mu.Unlock()
			in.sweep(now)
			return errTooManyProducers
		}
	}
	defer l.mu.Unlock()
	if in.room.kept(a.policy.Above, in.cfg.Now()) {
		return errKept
	}
	l.entry = wal.Entry{Kind: wal.KindBatch, Lane: l.id, Ordinal: l.next, Count: h.Count, Arrival: now.UnixMilli(), Body: records}
	_, err := in.log.Append(&l.entry)
	l.entry.Body = nil
	if err != nil {
		return err
	}
	in.admitted.Add(1)
	in.room.take(len(records))
	l.reserve(h, waiting{a, now})
	return nil
}

// sweep forgets in all lanes what may be forgotten, once a minute at most: a lane sweeps itself only when a producer is
// new to it.
func (in *Intake) sweep(now time.Time) {
	at := in.sweepAt.Load()
	if in.rows.Load() < rowsInAll || now.UnixMilli() < at || !in.sweepAt.CompareAndSwap(at, now.Add(time.Minute).UnixMilli()) {
		return
	}
	in.mu.RLock()
	defer in.mu.RUnlock()
	for _, l := range in.lanes {
		l.mu.Lock()
		l.forget(now.UnixMilli() - freshMillis)
		l.mu.Unlock()
	}
}

// repeat answers a client's retry of a batch that the lane knows: it waits for, and counts as, what its original waits
// for (rule A3). The lane's lock is held, and given back.
func (in *Intake) repeat(l *lane, s sent, w waiting) {
	w.again = true
	if !s.durable {
		for i := range l.pending {
			if p := &l.pending[i]; p.ordinal == s.ordinal {
				p.repeats = append(p.repeats, w)
			}
		}
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	w.durable(s.ordinal, s.count, w.since)
}

func (in *Intake) refuse(done func(Result), code int16, why string) {
	in.refused[min(max(int(code), 0), refusalCodes-1)].Add(1)
	done(Result{Code: code, Message: why, Base: streamdown.NoOffset, LogStart: streamdown.NoOffset})
}

// BookID implements wal.Book.
func (in *Intake) BookID() byte { return 3 }

// Apply implements wal.Book: the batch is durable, and who waits for that is answered.
func (in *Intake) Apply(e *wal.Entry) {
	if e.Kind != wal.KindBatch {
		return
	}
	l := in.lane(e.Lane)
	l.mu.Lock()
	p, waited := l.settle(e.Ordinal, e.Count, e.Arrival, e.Body)
	l.mu.Unlock()
	if !waited {
		return
	}
	p.first.durable(p.ordinal, p.count, p.first.since)
	for _, w := range p.repeats {
		w.durable(p.ordinal, p.count, w.since)
	}
}

// Snapshot implements wal.Book.
func (in *Intake) Snapshot(dst []byte) []byte {
	in.mu.RLock()
	defer in.mu.RUnlock()
	for id := range in.maxLaneLocked() {
		if l := in.lanes[id]; l != nil {
			l.mu.Lock()
			dst = l.append(dst)
			l.mu.Unlock()
		}
	}
	return dst
}

func (in *Intake) maxLaneLocked() (n streamdown.LaneID) {
	for id := range in.lanes {
		n = max(n, id+1)
	}
	return n
}

// Restore implements wal.Book.
func (in *Intake) Restore(s []byte) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	clear(in.lanes)
	in.rows.Store(0)
	for len(s) > 0 {
		l := &lane{total: &in.rows}
		rest, err := l.restore(s)
		if err != nil {
			return err
		}
		in.lanes[l.id] = l
		s = rest
	}
	return nil
}

// Stats is what an intake counts, in batches.
type Stats struct {
	Admitted  uint64
	Acked     uint64 // in records: a producer was told that they are safe
	Repeated  uint64 // a client's retry of something we hold
	LocalOnly uint64 // acked from this disk alone although the target was asked for
	Held      uint64 // times that a reply was held for want of space
	Refused   map[int16]uint64
}

// Stats returns the counts.
func (in *Intake) Stats() Stats {
	s := Stats{
		Admitted: in.admitted.Load(), Acked: in.acked.Load(), Repeated: in.repeated.Load(), LocalOnly: in.localOnly.Load(), Held: in.full.Load(),
		Refused: map[int16]uint64{},
	}
	for code := range in.refused {
		if n := in.refused[code].Load(); n > 0 {
			s.Refused[int16(code)] = n
		}
	}
	return s
}
