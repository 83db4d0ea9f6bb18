package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
)

const (
	codeOffsetOutOfRange = 1
	// fetchBytes is what one Fetch asks for; brokers exceed it only for a single batch that is larger.
	fetchBytes = 4 << 20
	// emptyTries is how often a leader may answer nothing although its high watermark is past the place, about two
	// seconds long: tiered storage does that in passing.
	emptyTries = 12
)

// GapError says that a leader whose high watermark is beyond From keeps answering that there is nothing there. On a
// compacted topic the tail may be cleaned away; elsewhere it is a fault of the broker. Nothing is proved about [From, To).
type GapError struct {
	From, To streamdown.Offset
}

func (e *GapError) Error() string {
	return fmt.Sprintf("kafka shows nothing in offsets %d to %d below its high watermark: is the topic compacted?", e.From, e.To)
}

// window is a range of one partition to be read at its leader.
type window struct {
	tp      streamdown.TopicPartition
	topicID streamdown.ID // zero: by name
	epoch   int32         // leader epoch that the leader must have, -1 = any
	from    streamdown.Offset
	to      streamdown.Offset
}

// page is one answer to a Fetch.
type page struct {
	records  []byte // whole batches and perhaps the beginning of one more
	high     streamdown.Offset
	start    streamdown.Offset
	throttle time.Duration // the partition was left out because of a quota; ask again after this
}

// read hands the batches that overlap the window to fn, in order, and returns the log's start as last seen. It waits,
// as long as ctx allows, for the high watermark to reach the window's end: a Fetch shows nothing above it. Where the
// log's start has passed the place to read, it goes on at the start; the caller sees that by the start returned.
// The raw bytes are the callee's until it returns. An error of fn ends the reading and is returned as it is.
func (w window) read(ctx context.Context, cn *conn, fn func(h batch.Header, raw []byte) error) (start streamdown.Offset, err error) {
	start = streamdown.NoOffset
	pos, empty, pause := w.from, 0, pause{}
	for pos < w.to {
		p, err := w.fetch(ctx, cn, pos, fetchBytes)
		if isCode(err, codeOffsetOutOfRange) {
			if start, err = offsetAt(ctx, cn, w.tp, w.epoch, earliest); err != nil {
				return start, err
			}
			if start <= pos {
				return start, replyError(codeOffsetOutOfRange, nil, "fetch at offset %d, which the log does not reach", pos)
			}
			pos = start
			continue
		}
		if err != nil {
			return start, err
		}
		if p.start >= 0 {
			start = p.start
		}
		next, err := w.batches(p.records, pos, fn)
		if err != nil {
			return start, err
		}
		if next > pos {
			pos, empty, pause = next, 0, pause.reset()
			continue
		}
		if p.throttle == 0 && p.high >= w.to {
			if empty++; empty == emptyTries {
				return start, &GapError{From: pos, To: w.to}
			}
		}
		if err := pause.wait(ctx, p.throttle); err != nil {
			return start, fmt.Errorf("wait at offset %d for the high watermark, now %d, to reach %d: %w", pos, p.high, w.to, err)
		}
	}
	if start >= 0 {
		return start, nil
	}
	// Nothing to read is an answer too, so it is asked for: this is where a topic created anew, still empty, refuses.
	p, err := w.fetch(ctx, cn, max(0, w.to), 1)
	if err == nil && p.start >= 0 {
		return p.start, nil
	}
	if err == nil || isCode(err, codeOffsetOutOfRange) {
		return offsetAt(ctx, cn, w.tp, w.epoch, earliest)
	}
	return start, err
}

// batches walks over one answer and returns where to go on. The last batch may be cut short (KIP-74 lets brokers fill
// the answer to the brim); it is fetched again.
func (w window) batches(b []byte, pos streamdown.Offset, fn func(h batch.Header, raw []byte) error) (streamdown.Offset, error) {
	first := pos
	for len(b) > 0 && pos < w.to {
		n, err := batch.Size(b)
		if errors.Is(err, batch.ErrShort) {
			if pos == first {
				return pos, fmt.Errorf("batch at offset %d alone exceeds an answer: %w", pos, err)
			}
			break
		}
		if err != nil {
			return pos, fmt.Errorf("batch after offset %d: %w: older message formats cannot be read", pos, err)
		}
		raw := b[:n:n]
		b = b[n:]
		h, err := batch.ParseHeader(raw)
		if err != nil {
			return pos, err
		}
		if h.Magic != 2 || h.LastOffsetDelta < 0 || h.BaseOffset < 0 {
			return pos, fmt.Errorf("batch after offset %d: magic %d, base offset %d, last offset delta %d: older message formats cannot be read",
				pos, h.Magic, h.BaseOffset, h.LastOffsetDelta)
		}
		base := streamdown.Offset(h.BaseOffset)
		end := base + streamdown.Offset(h.LastOffsetDelta) + 1
		if end <= pos {
			continue // a broker answers from the start of the segment's batch that holds the place, or before
		}
		if base >= w.to {
			return w.to, nil
		}
		if err := fn(h, raw); err != nil {
			return pos, err
		}
		pos = end
	}
	return pos, nil
}

// fetch asks once, without letting the broker wait. Version 9 brought the fence, 12 is the last that names topics,
// 13 names them by id: a topic created anew under its old name then refuses instead of looking empty (rule D6).
func (w window) fetch(ctx context.Context, cn *conn, pos streamdown.Offset, maxBytes int32) (page, error) {
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID = -1
	req.MaxBytes = min(maxBytes, cn.client.cfg.MaxResponseBytes/2)
	req.SessionEpoch = -1 // no session: each request stands alone
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = w.tp.Topic, w.topicID
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition = w.tp.Partition
	p.CurrentLeaderEpoch = w.epoch
	p.FetchOffset = int64(pos)
	p.LogStartOffset = -1
	p.PartitionMaxBytes = req.MaxBytes
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	most := int16(12)
	if !w.topicID.IsZero() {
		most = 13
	}
	resp, err := ask[*kmsg.FetchResponse](ctx, cn, req, 9, most)
	if err != nil {
		return page{}, err
	}
	if err := replyError(resp.ErrorCode, nil, "fetch at offset %d", pos); err != nil {
		return page{}, err
	}
	throttle := time.Duration(max(0, resp.ThrottleMillis)) * time.Millisecond
	for i := range resp.Topics {
		t := &resp.Topics[i]
		if req.Version < 13 && t.Topic != w.tp.Topic || req.Version >= 13 && t.TopicID != w.topicID {
			continue
		}
		for j := range t.Partitions {
			p := &t.Partitions[j]
			if p.Partition != w.tp.Partition {
				continue
			}
			err := replyError(p.ErrorCode, nil, "fetch at offset %d", pos)
			return page{
				records: p.RecordBatches, high: streamdown.Offset(p.HighWatermark), start: streamdown.Offset(p.LogStartOffset),
			}, err
		}
	}
	if throttle > 0 { // a broker over quota answers with no partitions at all
		return page{high: streamdown.NoOffset, start: streamdown.NoOffset, throttle: throttle}, nil
	}
	return page{}, missing(cn, "Fetch")
}

func isCode(err error, code int16) bool {
	var e *ReplyError
	return errors.As(err, &e) && e.Code == code
}

// pause waits longer each time, from 5 ms to a quarter of a second.
type pause struct{ last time.Duration }

func (pause) reset() pause { return pause{} }

func (p *pause) wait(ctx context.Context, least time.Duration) error {
	p.last = min(max(5*time.Millisecond, 2*p.last), 250*time.Millisecond)
	t := time.NewTimer(max(p.last, least))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
