package broker

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown"
)

// produce appends what a request carries, partition by partition, and waits until all of them are committed or its
// timeout is over (KafkaApis.handleProduceRequest, ReplicaManager.appendRecords, DelayedProduce).
func (b *node) produce(r *kmsg.ProduceRequest, life int) kmsg.Response {
	resp := kmsg.NewPtrProduceResponse()
	resp.Version = r.Version
	if r.Version < 3 {
		return nil
	}
	for _, t := range r.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for range t.Partitions {
			rt.Partitions = append(rt.Partitions, kmsg.NewProduceResponseTopicPartition())
		}
		resp.Topics = append(resp.Topics, rt)
	}

	c := b.c
	c.mu.Lock()
	if b.life != life || c.closed {
		c.mu.Unlock()
		return nil
	}
	c.truth.stats.Requests++
	open, done := 0, make(chan struct{})
	var late []func()
	for i := range r.Topics {
		t := &r.Topics[i]
		topic := c.topicLocked(t.Topic, topicID(r.Version >= 13, t.TopicID))
		for j := range t.Partitions {
			q, out := &t.Partitions[j], &resp.Topics[i].Partitions[j]
			out.Partition, out.BaseOffset, out.LogAppendTime, out.LogStartOffset = q.Partition, -1, -1, -1
			p := topic.partition(q.Partition)
			rec := b.takeLocked(r, topic, p, q.Records)
			b.fillIn(out, p, rec)
			if r.Acks != -1 || rec.code != 0 {
				continue
			}
			if p.at(b.id).hw >= rec.end && len(p.views[b.id].isr) >= p.minISR() {
				continue
			}
			w := &waiter{node: b.id, upTo: rec.end}
			w.done = func(code int16) {
				if code != 0 {
					out.ErrorCode, out.BaseOffset, out.LogAppendTime, out.LogStartOffset = code, -1, -1, -1
					c.truth.refusedLocked(code)
				}
				if open--; open == 0 {
					close(done)
				}
			}
			open++
			p.waiting = append(p.waiting, w)
			late = append(late, func() { p.takeLocked(func(o *waiter) (int16, bool) { return codeTimedOut, o == w }) })
			p.wakeLocked(p.at(b.id))
		}
	}
	waits := open > 0
	var timer *time.Timer
	if waits {
		timer = c.afterLocked(time.Duration(r.TimeoutMillis)*time.Millisecond, func() {
			for _, f := range late {
				f()
			}
		})
	}
	c.mu.Unlock()
	if waits {
		<-done
		c.mu.Lock()
		c.stopLocked(timer)
		c.mu.Unlock()
	}
	if r.Acks == 0 {
		return nothing
	}
	return resp
}

func topicID(used bool, id [16]byte) streamdown.ID {
	if !used {
		return streamdown.ID{}
	}
	return streamdown.ID(id)
}

// takeLocked appends one batch, unless a script has another idea.
func (b *node) takeLocked(r *kmsg.ProduceRequest, topic *topic, p *partition, records []byte) (rec receipt) {
	defer func() { b.c.truth.refusedLocked(rec.code) }()
	switch {
	case topic == nil && r.Version >= 13:
		return refused(codeUnknownTopicID, "")
	case p == nil:
		return refused(codeUnknownTopicOrPartition, "")
	case r.Acks < -1 || r.Acks > 1:
		return refused(codeInvalidRequiredAcks, "")
	}
	s := p.nextScriptLocked()
	if s != nil && !s.after {
		return refused(s.code, "")
	}
	if !p.leads(b.id) {
		return refused(codeNotLeader, "")
	}
	rep := p.at(b.id)
	if rec = rep.appendLocked(records, r.Acks); rec.code == 0 {
		p.fillLocked()
		if s != nil {
			return refused(s.code, "")
		}
	}
	return rec
}

func (b *node) fillIn(out *kmsg.ProduceResponseTopicPartition, p *partition, rec receipt) {
	out.ErrorCode, out.BaseOffset, out.LogAppendTime = rec.code, rec.base, rec.time
	if rec.message != "" {
		out.ErrorMessage = &rec.message
	}
	if rec.code == 0 {
		out.LogStartOffset = p.at(b.id).start
	}
	if rec.code == codeNotLeader && p != nil {
		v := p.views[b.id]
		out.CurrentLeader.LeaderID, out.CurrentLeader.LeaderEpoch = v.leader, v.epoch
	}
}

func (t *truth) refusedLocked(code int16) {
	if code == 0 {
		return
	}
	if t.stats.Refused == nil {
		t.stats.Refused = map[int16]int{}
	}
	t.stats.Refused[code]++
}
