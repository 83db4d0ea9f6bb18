package broker

import (
	"time"

	"github.com/streamdown/streamdown"
)

// answering is what becomes of the next answers of a broker to requests of one key.
type answering struct {
	key   int16
	n     int
	late  time.Duration
	drop  bool // the connection ends instead
	twice bool
}

// scriptLocked takes what is to become of one answer.
func (b *node) scriptLocked(key int16) answering {
	for i, a := range b.answers {
		if a.key != key {
			continue
		}
		if a.n--; a.n <= 0 {
			b.answers = append(b.answers[:i:i], b.answers[i+1:]...)
		}
		return *a
	}
	return answering{}
}

func (c *Cluster) answers(node int32, a answering) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[node].answers = append(c.nodes[node].answers, &a)
}

// DropAnswers ends the connections over which the next n answers to requests of an API key would go out: the requests
// were done, and nobody hears of it.
func (c *Cluster) DropAnswers(node int32, key int16, n int) {
	c.answers(node, answering{key: key, n: n, drop: true})
}

// DelayAnswers keeps back each of the next n answers for a time, and what follows on its connection.
func (c *Cluster) DelayAnswers(node int32, key int16, n int, late time.Duration) {
	c.answers(node, answering{key: key, n: n, late: late})
}

// RepeatAnswers sends each of the next n answers twice, as no sound broker does.
func (c *Cluster) RepeatAnswers(node int32, key int16, n int) {
	c.answers(node, answering{key: key, n: n, twice: true})
}

// script is what a partition answers to the next batches.
type script struct {
	n     int
	code  int16
	after bool
}

func (p *partition) nextScriptLocked() *script {
	if len(p.scripts) == 0 {
		return nil
	}
	s := p.scripts[0]
	if s.n--; s.n <= 0 {
		p.scripts = p.scripts[1:]
	}
	return s
}

// Refuse answers the next n batches for a partition with a code, at any broker. With stored set they are appended
// before, if they can be; otherwise nothing happened to them.
func (c *Cluster) Refuse(tp streamdown.TopicPartition, n int, code int16, stored bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.atLocked(tp)
	p.scripts = append(p.scripts, &script{n, code, stored})
}
