package rescue

import (
	"context"
	"fmt"
	"sync"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/check"
)

// Journal stands between a load, a reader and their checker. It knows how far each stream is, wakes who waits for
// that, and holds clients without idempotence to more than the checker does: a record may be there twice only if it
// was unanswered while what its client talks to was down. Its methods may be called concurrently.
type Journal struct {
	checker *check.Checker

	mu      sync.Mutex // guards the following
	streams map[check.Stream]*marks
	open    bool // spans are open
	repeats []repeat
	sent    uint64
	acked   uint64
	moved   chan struct{}
}

// marks are the numbers of records of one stream.
type marks struct {
	sent, acked uint64   // declared; answered (in order, so those below)
	seen        []uint64 // a bit for each that was read
	doubt       []span
}

// span holds the records from ≤ seq < to.
type span struct{ from, to uint64 }

type repeat struct {
	stream check.Stream
	seq    uint64
	tp     streamdown.TopicPartition
	offset streamdown.Offset
}

// NewJournal returns a journal that tells the checker everything it hears.
func NewJournal(c *check.Checker) *Journal {
	return &Journal{checker: c, streams: make(map[check.Stream]*marks), moved: make(chan struct{})}
}

// Sent implements load.Journal.
func (j *Journal) Sent(stream check.Stream, seq uint64) {
	j.checker.Sent(stream, seq)
	j.mu.Lock()
	defer j.mu.Unlock()
	m := j.marksLocked(stream)
	j.sent += seq + 1 - m.sent
	m.sent = seq + 1
	j.wakeLocked()
}

// Acked implements load.Journal.
func (j *Journal) Acked(stream check.Stream, seq uint64) {
	j.checker.Acked(stream, seq)
	j.mu.Lock()
	defer j.mu.Unlock()
	m := j.marksLocked(stream)
	m.acked = max(m.acked, seq+1)
	j.acked++
	j.wakeLocked()
}

// Seen implements reader.Judge.
func (j *Journal) Seen(tp streamdown.TopicPartition, offset streamdown.Offset, value []byte) {
	j.checker.Seen(tp, offset, value)
	r, err := check.ParseRecord(value)
	if err != nil {
		return // the checker has counted it
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	m := j.marksLocked(r.Stream())
	if r.Seq < m.sent && !m.see(r.Seq) {
		j.repeats = append(j.repeats, repeat{r.Stream(), r.Seq, tp, offset})
	}
}

// see notes that a record was read and reports whether that was the first time.
func (m *marks) see(seq uint64) bool {
	word, bit := seq/64, uint64(1)<<(seq%64)
	for uint64(len(m.seen)) <= word {
		m.seen = append(m.seen, 0)
	}
	first := m.seen[word]&bit == 0
	m.seen[word] |= bit
	return first
}

// DoubtBegins opens a span in every stream: whatever is unanswered now, or is sent before DoubtEnds, may be sent again
// by a client without idempotence, because what it talks to goes away.
func (j *Journal) DoubtBegins() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.open {
		return
	}
	j.open = true
	for _, m := range j.streams {
		m.doubt = append(m.doubt, span{from: m.acked, to: m.sent})
	}
}

// DoubtEnds closes the spans. Whoever calls it has waited until everything that was sent meanwhile was acked.
func (j *Journal) DoubtEnds() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.open {
		return
	}
	j.open = false
	for _, m := range j.streams {
		if n := len(m.doubt); n > 0 {
			m.doubt[n-1].to = m.sent
		}
	}
}

// Counts returns how many records were declared and how many acked.
func (j *Journal) Counts() (sent, acked uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.sent, j.acked
}

// Await waits until done says so of the counts.
func (j *Journal) Await(ctx context.Context, done func(sent, acked uint64) bool) error {
	for {
		j.mu.Lock()
		sent, acked, moved := j.sent, j.acked, j.moved
		j.mu.Unlock()
		if done(sent, acked) {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("wait for progress: %w; %d sent, %d acked", ctx.Err(), sent, acked)
		}
	}
}

// Unexplained lists the repeats of records that no fault had put in doubt: they are ours, not the client's. It
// needs acks that come in order.
func (j *Journal) Unexplained() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var list []string
	for _, r := range j.repeats {
		explained := false
		for _, s := range j.streams[r.stream].doubt {
			explained = explained || s.from <= r.seq && r.seq < s.to
		}
		if !explained {
			list = append(list, fmt.Sprintf("producer %d seq %d again at %v offset %d", r.stream.Producer, r.seq, r.tp, r.offset))
		}
	}
	return list
}

func (j *Journal) marksLocked(stream check.Stream) *marks {
	m := j.streams[stream]
	if m == nil {
		m = &marks{}
		j.streams[stream] = m
	}
	return m
}

func (j *Journal) wakeLocked() {
	close(j.moved)
	j.moved = make(chan struct{})
}
