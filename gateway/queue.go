package gateway

import (
	"context"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// owed is the answer to one request: an open or complete Produce, or something to be worked out by the writer.
type owed struct {
	correlation int32
	produce     *produceAnswer
	// late works the answer out when its turn has come; it may wait. An error closes the connection in place of an
	// answer.
	late func(ctx context.Context) (kmsg.Response, error)
	// bare stands for late where an answer has a length and no header: a login of long ago.
	bare func(ctx context.Context) ([]byte, error)
	// bytes are sent as they are: for who does not speak the protocol.
	bytes []byte
}

func (o *owed) ready() bool { return o.produce == nil || o.produce.complete() }

// queue holds what one connection owes, in the order of the requests. One reader adds, one writer takes.
type queue struct {
	max int

	mu       sync.Mutex // guards the following
	room     sync.Cond  // wakes the reader
	head     sync.Cond  // wakes the writer
	items    []owed     // a ring
	first, n int
	stopped  bool // the reader is to end
	finished bool // nothing will be added any more
	aborted  bool // the connection is lost
}

func newQueue(max int) *queue {
	q := &queue{max: max, items: make([]owed, min(max, 8))}
	q.room.L, q.head.L = &q.mu, &q.mu
	return q
}

// wait holds the reader while the queue is full. It returns false when the reader is to end.
func (q *queue) wait() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.n >= q.max && !q.stopped && !q.aborted {
		q.room.Wait()
	}
	return !q.stopped && !q.aborted
}

// add appends what is owed. The caller has seen wait return true; one more than the bound is possible for the item
// that closes the connection.
func (q *queue) add(o owed) {
	q.mu.Lock()
	if q.n == len(q.items) {
		grown := make([]owed, 2*q.n)
		for i := range q.n {
			grown[i] = q.items[(q.first+i)%q.n]
		}
		q.items, q.first = grown, 0
	}
	q.items[(q.first+q.n)%len(q.items)] = o
	q.n++
	q.mu.Unlock()
	q.head.Signal()
}

// owes reports whether an answer is still to be given.
func (q *queue) owes() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.n > 0
}

// wake makes the writer look again at what is first: a Produce was completed.
func (q *queue) wake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.head.Signal()
}

type taken uint8

const (
	took    taken = iota // an item that is ready
	nothing              // nothing is ready now
	ended                // nothing will ever be
)

// take removes what is first once it is ready. With block false it does not wait.
func (q *queue) take(block bool) (owed, taken) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if q.aborted || (q.finished && q.n == 0) {
			return owed{}, ended
		}
		if q.n > 0 && q.items[q.first].ready() {
			o := q.items[q.first]
			q.items[q.first] = owed{}
			q.first = (q.first + 1) % len(q.items)
			q.n--
			q.room.Signal()
			return o, took
		}
		if !block {
			return owed{}, nothing
		}
		q.head.Wait()
	}
}

// stop asks the reader to end; what is owed stays owed.
func (q *queue) stop() { q.set(&q.stopped) }

// finish says that nothing will be added any more.
func (q *queue) finish() { q.set(&q.finished) }

// abort ends both sides at once.
func (q *queue) abort() { q.set(&q.aborted) }

func (q *queue) set(flag *bool) {
	q.mu.Lock()
	*flag = true
	q.mu.Unlock()
	q.room.Broadcast()
	q.head.Broadcast()
}
