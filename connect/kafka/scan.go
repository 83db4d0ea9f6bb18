package kafka

import (
	"context"
	"fmt"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/sink"
)

// ScanRequest says what to look for in one partition.
type ScanRequest struct {
	TopicPartition streamdown.TopicPartition
	TopicID        streamdown.ID // zero: by name; with it a topic created anew refuses instead of looking empty
	LeaderEpoch    int32         // of the leader asked, from Metadata; -1 = not known
	From           streamdown.Offset
	ProducerID     int64
}

// Scan looks for batches of a producer id at a partition's leader (rule D3): it reads the end of the log in the
// leader's epoch, waits until the high watermark reaches it, as long as ctx allows, and reads the headers from
// req.From to there. A leader of another epoch refuses with an error of class Moved, before or in the middle.
//
// Absence is proved by the result only if LogStart is not beyond req.From, the topic is not compacted, and LeaderEpoch
// was given: without an epoch the end is the high watermark, and an uncommitted tail stays unseen. End may lie below
// req.From: then the log was cut. Memory is one answer of a few MiB and the traces found.
func (c *Client) Scan(ctx context.Context, node int32, req ScanRequest) (sink.Found, error) {
	found, err := c.scan(ctx, node, req)
	if err != nil {
		return sink.Found{}, fmt.Errorf("scan %s at node %d from offset %d: %w", req.TopicPartition, node, req.From, err)
	}
	return found, nil
}

func (c *Client) scan(ctx context.Context, node int32, req ScanRequest) (sink.Found, error) {
	cn, err := c.at(ctx, node)
	if err != nil {
		return sink.Found{}, err
	}
	var found sink.Found
	if req.LeaderEpoch >= 0 {
		var epoch int32
		epoch, found.End, err = epochEnd(ctx, cn, req.TopicPartition, req.LeaderEpoch, req.LeaderEpoch)
		if err == nil && (epoch != req.LeaderEpoch || found.End < 0) {
			// Leaders note their epoch when they take over; one that has not is not ready to be asked.
			err = replyError(codeUnknownLeaderEpoch, nil, "end of epoch %d, of which the leader knows nothing", req.LeaderEpoch)
		}
	} else {
		found.End, err = offsetAt(ctx, cn, req.TopicPartition, -1, latest)
	}
	if err != nil {
		return sink.Found{}, err
	}
	w := window{req.TopicPartition, req.TopicID, req.LeaderEpoch, max(0, req.From), found.End}
	found.LogStart, err = w.read(ctx, cn, func(h batch.Header, raw []byte) error {
		if h.ProducerID == req.ProducerID && !h.Control() {
			found.Batches = append(found.Batches, sink.Trace{
				Base: streamdown.Offset(h.BaseOffset), Epoch: h.ProducerEpoch, Sequence: h.BaseSequence, Count: h.Count,
				PayloadCRC: batch.PayloadCRC(raw),
			})
		}
		return nil
	})
	if err != nil {
		return sink.Found{}, err
	}
	return found, nil
}

// codeUnknownLeaderEpoch is UNKNOWN_LEADER_EPOCH.
const codeUnknownLeaderEpoch = 75

// Walk hands every batch of a partition that overlaps [from, to) to fn, in order, whole and as stored, control batches
// included; raw is fn's until it returns. It waits, as long as ctx allows, for the high watermark to reach to, and
// returns the start of the log: where that lies beyond from, the batches before it are gone. An error of fn ends it.
// Nothing is verified here; batch.Verify checks a CRC.
func (c *Client) Walk(ctx context.Context, node int32, tp streamdown.TopicPartition, topicID streamdown.ID, from, to streamdown.Offset,
	fn func(base streamdown.Offset, raw []byte) error,
) (start streamdown.Offset, err error) {
	cn, err := c.at(ctx, node)
	if err == nil {
		w := window{tp, topicID, -1, max(0, from), to}
		start, err = w.read(ctx, cn, func(h batch.Header, raw []byte) error { return fn(streamdown.Offset(h.BaseOffset), raw) })
	}
	if err != nil {
		return streamdown.NoOffset, fmt.Errorf("walk %s at node %d from offset %d to %d: %w", tp, node, from, to, err)
	}
	return start, nil
}
