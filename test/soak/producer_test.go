package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/check"
	"github.com/streamdown/streamdown/wire"
)

// producer is a small Kafka producer: idempotent, some requests in flight, and persistent. What is not answered with OK
// is sent again, in order and under the same sequences, on a new connection if need be, for as long as it takes.
type producer struct {
	w      *world
	id     uint32
	tp     streamdown.TopicPartition
	depth  int
	rng    *rand.Rand
	stream check.Stream
	codec  batch.Codec
	pid    int64
	epoch  int16
	seq    int32
	next   uint64 // of the records
	total  uint64
	open   []*sent // not acked, oldest first
	form   *kmsg.RequestFormatter
	corr   int32

	mu   sync.Mutex // guards the following
	conn net.Conn
}

// sent is one batch that was not acked yet.
type sent struct {
	raw       []byte
	from, to  uint64 // records
	answered  bool
	onTheWire bool
}

func (w *world) produce(id uint32, tp streamdown.TopicPartition, total uint64) *producer {
	p := &producer{
		w: w, id: id, tp: tp, total: total, rng: rand.New(rand.NewPCG(w.seed, 100+uint64(id))), stream: check.Stream{Producer: id, Incarnation: 1}, pid: -1,
		form: kmsg.NewRequestFormatter(kmsg.FormatterClientID(fmt.Sprintf("producer-%d", id))),
	}
	p.depth = 1 + p.rng.IntN(5)
	p.codec = []batch.Codec{batch.None, batch.None, batch.Gzip}[p.rng.IntN(3)]
	return p
}

// run sends all records and returns when all are acked, or ctx ends.
func (p *producer) run(ctx context.Context) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for len(p.open) > 0 || p.next < p.total {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		wait := time.Duration(p.rng.Int64N(int64(40 * time.Millisecond)))
		if err := p.round(ctx); err != nil {
			p.hangUp()
			for _, s := range p.open {
				s.onTheWire = false
			}
			wait = 50*time.Millisecond + time.Duration(p.rng.Int64N(int64(100*time.Millisecond)))
		}
		pause.Reset(wait)
	}
	p.hangUp()
}

// round sends what there is and waits for all answers.
func (p *producer) round(ctx context.Context) error {
	if err := p.connect(ctx); err != nil {
		return err
	}
	for len(p.open) < p.depth && p.next < p.total {
		p.open = append(p.open, p.make())
	}
	for _, s := range p.open {
		if err := p.send(p.request(s)); err != nil {
			return err
		}
		s.onTheWire = true
	}
	refused := false
	for _, s := range p.open {
		resp := kmsg.NewPtrProduceResponse()
		resp.Version = 9
		if err := p.receive(resp); err != nil {
			return err
		}
		if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
			return fmt.Errorf("an answer about %d topics", len(resp.Topics))
		}
		switch code := resp.Topics[0].Partitions[0].ErrorCode; code {
		case 0:
			if refused {
				p.w.fail("G5", "producer %d: the batch of records %d to %d is acked, and one before it was refused", p.id, s.from, s.to)
			}
			s.answered = true
			for seq := s.from; seq <= s.to; seq++ {
				p.w.checker.Acked(p.stream, seq)
			}
		case 2, 10, 18, 32, 43, 76, 87, 47, 59, 46:
			p.w.fail("answers", "producer %d, records %d to %d: code %d, after which a client gives up", p.id, s.from, s.to, code)
			return fmt.Errorf("code %d", code)
		default: // 45 among them: a batch before it was refused
			p.w.say("producer %d: records %d to %d: code %d", p.id, s.from, s.to, code)
			refused = true
		}
	}
	for len(p.open) > 0 && p.open[0].answered {
		p.open = p.open[1:]
	}
	return nil
}

// make builds the next batch.
func (p *producer) make() *sent {
	var b batch.Builder
	s := &sent{from: p.next}
	size := 80
	if p.w.large {
		size = 4000
	}
	for n := 1 + p.rng.IntN(4); n > 0 && p.next < p.total; n-- {
		value := check.AppendRecord(nil, check.Record{
			Producer: p.id, Incarnation: 1, Seq: p.next, Target: check.TargetOf(p.tp), SentMicros: time.Now().UnixMicro(), Size: size + p.rng.IntN(400),
		})
		b.Append(time.Now().UnixMilli(), nil, value)
		p.next++
	}
	s.to = p.next - 1
	p.w.checker.Sent(p.stream, s.to)
	raw, err := b.Build(p.codec, batch.Stamp{ProducerID: p.pid, Epoch: p.epoch, BaseSequence: p.seq})
	if err != nil {
		panic(err)
	}
	p.seq += int32(p.next - s.from)
	s.raw = bytes.Clone(raw)
	return s
}

func (p *producer) request(s *sent) kmsg.Request {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, -1, 5000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = p.tp.Topic
	q := kmsg.NewProduceRequestTopicPartition()
	q.Partition, q.Records = p.tp.Partition, s.raw
	t.Partitions = append(t.Partitions, q)
	req.Topics = append(req.Topics, t)
	return req
}

func (p *producer) connect(ctx context.Context) error {
	p.mu.Lock()
	open := p.conn != nil
	p.mu.Unlock()
	if open {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	nc, err := p.w.dial(ctx)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.conn = nc
	p.mu.Unlock()
	if err := p.look(); err != nil || p.pid >= 0 {
		return err
	}
	req := kmsg.NewPtrInitProducerIDRequest()
	req.Version, req.ProducerID, req.ProducerEpoch = 4, -1, -1
	if err := p.send(req); err != nil {
		return err
	}
	resp := kmsg.NewPtrInitProducerIDResponse()
	resp.Version = 4
	if err := p.receive(resp); err != nil {
		return err
	}
	if resp.ErrorCode != 0 {
		return fmt.Errorf("producer id: code %d", resp.ErrorCode)
	}
	p.pid, p.epoch = resp.ProducerID, resp.ProducerEpoch
	return nil
}

// look asks whether the topic has a leader: no client sends before.
func (p *producer) look() error {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 9
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = &p.tp.Topic
	req.Topics = append(req.Topics, t)
	if err := p.send(req); err != nil {
		return err
	}
	resp := kmsg.NewPtrMetadataResponse()
	resp.Version = 9
	if err := p.receive(resp); err != nil {
		return err
	}
	for _, q := range resp.Topics[0].Partitions {
		if q.Partition == p.tp.Partition && q.ErrorCode == 0 {
			return nil
		}
	}
	return fmt.Errorf("no leader: code %d", resp.Topics[0].ErrorCode)
}

func (p *producer) current() (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn == nil {
		return nil, net.ErrClosed
	}
	return p.conn, nil
}

func (p *producer) send(req kmsg.Request) error {
	nc, err := p.current()
	if err != nil {
		return err
	}
	p.corr++
	_, err = nc.Write(p.form.AppendRequest(nil, req, p.corr))
	return err
}

func (p *producer) receive(resp kmsg.Response) error {
	nc, err := p.current()
	if err != nil {
		return err
	}
	if err := nc.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	frame, err := wire.ReadFrame(nc, nil, 1<<20)
	if err != nil {
		return err
	}
	return resp.ReadFrom(frame[5:]) // correlation id and no tags
}

// hangUp ends the connection.
func (p *producer) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil {
		_ = p.conn.Close()
		p.conn = nil
	}
}
