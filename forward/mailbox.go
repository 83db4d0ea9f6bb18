package forward

import (
	"sync"
	"time"

	"github.com/streamdown/streamdown/sink"
)

// mailbox holds events for the loop. It is bounded by what the Core has asked for: every event answers an effect.
type mailbox struct {
	signal chan struct{} // capacity 1

	mu      sync.Mutex // guards the following
	events  []event
	spare   []event         // empty; what was taken last, to be filled again
	answers [][]sink.Answer // empty; for use again
	closed  bool
}

// event is what the Core is to be told: run says what, or it is an answer, which is too frequent for a function each.
type event struct {
	run     func(now time.Time)
	node    int32
	tag     uint64
	answers []sink.Answer
}

func (e *event) happen(c *Core) {
	if e.run != nil {
		e.run(time.Now())
		return
	}
	c.Answered(time.Now(), e.node, e.tag, e.answers)
}

// post takes an event; false means that nobody will hear of it any more.
func (m *mailbox) post(run func(now time.Time)) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.postLocked(event{run: run})
}

// answered takes a copy of the answers to a request.
func (m *mailbox) answered(node int32, tag uint64, answers []sink.Answer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := event{node: node, tag: tag}
	if last := len(m.answers) - 1; last >= 0 {
		e.answers, m.answers = m.answers[last], m.answers[:last]
	}
	e.answers = append(e.answers, answers...)
	m.postLocked(e)
}

func (m *mailbox) postLocked(e event) bool {
	if m.closed {
		return false
	}
	m.events = append(m.events, e)
	select {
	case m.signal <- struct{}{}:
	default:
	}
	return true
}

// take returns all events; give them back with done.
func (m *mailbox) take() []event {
	m.mu.Lock()
	defer m.mu.Unlock()
	events := m.events
	m.events, m.spare = m.spare, nil
	return events
}

const (
	eventsKept  = 1024 // room of a list that is used again
	answersKept = 32   // lists of answers that are
)

// done takes back what take returned.
func (m *mailbox) done(events []event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range events {
		if a := events[i].answers; a != nil && len(m.answers) < answersKept && cap(a) <= parcelsFew {
			clear(a) // the words of the target
			m.answers = append(m.answers, a[:0])
		}
	}
	clear(events)
	if cap(events) <= eventsKept {
		m.spare = events[:0]
	}
}

func (m *mailbox) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed, m.events = true, nil
}
