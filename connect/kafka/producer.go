package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/sink"
)

// NewProducerID asks any broker for a producer id of our own, without a transactional id, and returns it with its
// first epoch. Ids given this way are unique in the cluster for its lifetime; nothing else is stored there (KIP-98).
// A broker that has just started has no block of ids yet and says so (COORDINATOR_LOAD_IN_PROGRESS, seen on 4.1); it
// is asked again for as long as ctx allows, two seconds at most.
func (c *Client) NewProducerID(ctx context.Context) (pid int64, epoch int16, err error) {
	var p pause
	for range 15 {
		if pid, epoch, err = c.producerID(ctx); !isCode(err, codeCoordinatorLoadInProgress) || p.wait(ctx, 0) != nil {
			break
		}
	}
	if err != nil {
		return -1, -1, fmt.Errorf("new producer id: %w", err)
	}
	return pid, epoch, nil
}

const codeCoordinatorLoadInProgress = 14

func (c *Client) producerID(ctx context.Context) (pid int64, epoch int16, err error) {
	err = c.any(ctx, func(cn *conn) error {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.ProducerID, req.ProducerEpoch = -1, -1
		resp, err := ask[*kmsg.InitProducerIDResponse](ctx, cn, req, 0, 4)
		if err != nil {
			return err
		}
		pid, epoch = resp.ProducerID, resp.ProducerEpoch
		return replyError(resp.ErrorCode, nil, "init producer id")
	})
	return pid, epoch, err
}

// Ask asks one node what it holds of a producer id in one partition (DescribeProducers, KIP-664). Any replica answers,
// and an uncommitted tail counts: the answer tells where to continue and confirms nothing (rule D1). It needs READ on
// the topic. A ReplyError of class Moved says that the node has no replica of the partition.
func (c *Client) Ask(ctx context.Context, node int32, tp streamdown.TopicPartition, pid int64) (sink.Held, error) {
	held, err := c.ask(ctx, node, tp, pid)
	if err != nil {
		return sink.Held{}, fmt.Errorf("ask node %d for producer %d in %s: %w", node, pid, tp, err)
	}
	return held, nil
}

func (c *Client) ask(ctx context.Context, node int32, tp streamdown.TopicPartition, pid int64) (sink.Held, error) {
	cn, err := c.at(ctx, node)
	if err != nil {
		return sink.Held{}, err
	}
	req := kmsg.NewPtrDescribeProducersRequest()
	t := kmsg.NewDescribeProducersRequestTopic()
	t.Topic, t.Partitions = tp.Topic, []int32{tp.Partition}
	req.Topics = append(req.Topics, t)
	resp, err := ask[*kmsg.DescribeProducersResponse](ctx, cn, req, 0, 0)
	if err != nil {
		return sink.Held{}, err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if t.Topic != tp.Topic || p.Partition != tp.Partition {
				continue
			}
			if err := replyError(p.ErrorCode, p.ErrorMessage, "describe producers"); err != nil {
				return sink.Held{}, err
			}
			for _, a := range p.ActiveProducers {
				if a.ProducerID == pid {
					return sink.Held{Known: true, Epoch: int16(a.ProducerEpoch), LastSequence: a.LastSequence}, nil
				}
			}
			return sink.Held{}, nil
		}
	}
	return sink.Held{}, missing(cn, "DescribeProducers")
}

// missing is the error for an answer that leaves out the one partition asked for. Absence must not look like an answer.
func missing(cn *conn, api string) error {
	return &ConnError{Addr: cn.addr, Trouble: PeerGarbled, Err: fmt.Errorf("its %s leaves out the partition asked for", api)}
}
