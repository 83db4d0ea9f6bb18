package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown"
)

// Special timestamps of ListOffsets.
const (
	latest   = -1
	earliest = -2
)

// EndOffset returns a partition's start and end as its leader shows them to readers of uncommitted transactions: end
// is the high watermark, so records beyond it may exist and may yet vanish. For the true end of the log ask EpochEnd.
func (c *Client) EndOffset(ctx context.Context, node int32, tp streamdown.TopicPartition) (start, end streamdown.Offset, err error) {
	start, end = streamdown.NoOffset, streamdown.NoOffset
	cn, err := c.at(ctx, node)
	if err == nil {
		if start, err = offsetAt(ctx, cn, tp, -1, earliest); err == nil {
			end, err = offsetAt(ctx, cn, tp, -1, latest)
		}
	}
	if err != nil {
		return streamdown.NoOffset, streamdown.NoOffset, fmt.Errorf("ends of %s at node %d: %w", tp, node, err)
	}
	return start, end, nil
}

// EpochEnd asks the leader where its log's share of a leader epoch ends (OffsetForLeaderEpoch, KIP-320). For the
// leader's current epoch that is the end of its log, uncommitted tail included. Current fences: a leader of another
// epoch refuses with class Moved; -1 does not fence. The epoch returned is the largest one up to the epoch asked for
// that the log knows; when it is smaller, records of the epoch asked for are not there (rule D4). NoOffset and -1
// mean that the log knows no such epoch.
func (c *Client) EpochEnd(ctx context.Context, node int32, tp streamdown.TopicPartition, current, epoch int32) (int32, streamdown.Offset, error) {
	cn, err := c.at(ctx, node)
	if err != nil {
		return -1, streamdown.NoOffset, fmt.Errorf("end of epoch %d of %s at node %d: %w", epoch, tp, node, err)
	}
	e, end, err := epochEnd(ctx, cn, tp, current, epoch)
	if err != nil {
		return -1, streamdown.NoOffset, fmt.Errorf("end of epoch %d of %s at node %d: %w", epoch, tp, node, err)
	}
	return e, end, nil
}

func epochEnd(ctx context.Context, cn *conn, tp streamdown.TopicPartition, current, epoch int32) (int32, streamdown.Offset, error) {
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.ReplicaID = -1
	t := kmsg.NewOffsetForLeaderEpochRequestTopic()
	t.Topic = tp.Topic
	p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.LeaderEpoch = tp.Partition, current, epoch
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := ask[*kmsg.OffsetForLeaderEpochResponse](ctx, cn, req, 2, 4)
	if err != nil {
		return -1, streamdown.NoOffset, err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if t.Topic == tp.Topic && p.Partition == tp.Partition {
				return p.LeaderEpoch, streamdown.Offset(p.EndOffset), replyError(p.ErrorCode, nil, "offset for leader epoch")
			}
		}
	}
	return -1, streamdown.NoOffset, missing(cn, "OffsetForLeaderEpoch")
}

// offsetAt is ListOffsets for one partition: version 2 brought isolation levels, 4 the fence.
func offsetAt(ctx context.Context, cn *conn, tp streamdown.TopicPartition, current int32, timestamp int64) (streamdown.Offset, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	req.IsolationLevel = 0
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = tp.Topic
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.Timestamp = tp.Partition, current, timestamp
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := ask[*kmsg.ListOffsetsResponse](ctx, cn, req, 2, 7)
	if err != nil {
		return streamdown.NoOffset, err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if t.Topic == tp.Topic && p.Partition == tp.Partition {
				return streamdown.Offset(p.Offset), replyError(p.ErrorCode, nil, "list offsets")
			}
		}
	}
	return streamdown.NoOffset, missing(cn, "ListOffsets")
}
