package load

import (
	"sync"
	"time"
)

// tally counts what one Run sent and what was answered. Its methods may be called concurrently.
type tally struct {
	spec  *Spec
	began time.Time

	mu      sync.Mutex // guards the following
	r       Result
	replied []uint64  // answers, by partition
	since   time.Time // of the last ack, or since when one is due
}

func newTally(s *Spec) *tally {
	now := time.Now()
	return &tally{spec: s, began: now, since: now, replied: make([]uint64, s.Partitions), r: Result{Retried: -1}}
}

func (t *tally) sent(n uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.r.Sent == t.r.Acked+t.r.Failed {
		t.since = time.Now()
	}
	t.r.Sent += n
}

func (t *tally) acked(partition int32, seq uint64) {
	t.spec.Journal.Acked(t.spec.stream(partition), seq)
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.r.Acked == 0 {
		t.r.Start = now.Sub(t.began)
	} else {
		t.r.Silence = max(t.r.Silence, now.Sub(t.since))
	}
	t.since = now
	t.r.Acked++
	t.replied[partition]++
}

func (t *tally) failed(partition int32, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.r.Failed == 0 {
		t.r.FirstFailure = why
	}
	t.r.Failed++
	t.replied[partition]++
}

func (t *tally) retried(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.r.Retried = max(t.r.Retried, 0) + n
}

func (t *tally) answered(partition int32) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.replied[partition]
}

func (t *tally) result() Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.r.Elapsed = time.Since(t.began)
	return t.r
}
