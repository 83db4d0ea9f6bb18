package main

import (
	"strconv"
	"sync/atomic"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown/batch"
)

// refusal is what an embedded broker refuses.
type refusal struct {
	value string
	code  int16
}

// refuse makes the broker refuse batches that hold a record of a value, as one that validates does.
func refuse(ts *testscript.TestScript, _ bool, args []string) {
	code, err := strconv.ParseInt(args[1], 10, 16)
	ts.Check(err)
	s := on(ts)
	first := s.refused.Swap(&refusal{args[0], int16(code)}) == nil
	if first {
		refusing(s.cluster, &s.refused)
	}
}

func refusing(c *kfake.Cluster, r *atomic.Pointer[refusal]) {
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		now := r.Load()
		p := req.(*kmsg.ProduceRequest)
		if now.code == 0 || !holds(p, now.value) {
			return nil, nil, false
		}
		resp := p.ResponseKind().(*kmsg.ProduceResponse)
		for _, t := range p.Topics {
			rt := kmsg.NewProduceResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, part := range t.Partitions {
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition, rp.ErrorCode = part.Partition, now.code
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
}

func holds(p *kmsg.ProduceRequest, value string) bool {
	for _, t := range p.Topics {
		for _, part := range t.Partitions {
			for r, err := range batch.Records(part.Records) {
				if err == nil && string(r.Value) == value {
					return true
				}
			}
		}
	}
	return false
}
