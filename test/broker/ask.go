package broker

import (
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown"
)

// fence is Partition.checkCurrentLeaderEpoch and the demand for a leader, behind the question whether the broker has a
// replica at all (ReplicaManager.getPartitionOrError).
func (b *node) fence(p *partition, epoch int32, leaderOnly bool) (*replica, int16) {
	if p == nil {
		return nil, codeUnknownTopicOrPartition
	}
	r, v := p.at(b.id), p.views[b.id]
	switch {
	case r == nil:
		return nil, codeNotLeader
	case epoch >= 0 && epoch < v.epoch:
		return nil, codeFencedLeaderEpoch
	case epoch >= 0 && epoch > v.epoch:
		return nil, codeUnknownLeaderEpoch
	case leaderOnly && v.leader != b.id:
		return nil, codeNotLeader
	}
	return r, 0
}

// describeProducers tells what this replica knows, leader or not, uncommitted tail included (KIP-664).
func (b *node) describeProducers(r *kmsg.DescribeProducersRequest) kmsg.Response {
	resp := kmsg.NewPtrDescribeProducersResponse()
	resp.Version = r.Version
	for _, t := range r.Topics {
		rt := kmsg.NewDescribeProducersResponseTopic()
		rt.Topic = t.Topic
		for _, number := range t.Partitions {
			out := kmsg.NewDescribeProducersResponseTopicPartition()
			out.Partition = number
			rep, code := b.fence(b.c.topics[t.Topic].partition(number), -1, false)
			if out.ErrorCode = code; code == 0 {
				for _, id := range slices.Sorted(maps.Keys(rep.producers)) {
					p := rep.producers[id]
					a := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
					a.ProducerID, a.ProducerEpoch, a.LastTimestamp = id, int32(p.epoch), p.newest
					a.LastSequence, a.CoordinatorEpoch, a.CurrentTxnStartOffset = p.last[len(p.last)-1].final, -1, -1
					out.ActiveProducers = append(out.ActiveProducers, a)
				}
			}
			rt.Partitions = append(rt.Partitions, out)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// leaderEpoch is OffsetForLeaderEpoch (KIP-320): the leader's alone to answer, from its log and not from what is committed.
func (b *node) leaderEpoch(r *kmsg.OffsetForLeaderEpochRequest) kmsg.Response {
	resp := kmsg.NewPtrOffsetForLeaderEpochResponse()
	resp.Version = r.Version
	for _, t := range r.Topics {
		rt := kmsg.NewOffsetForLeaderEpochResponseTopic()
		rt.Topic = t.Topic
		for _, q := range t.Partitions {
			out := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			out.Partition, out.LeaderEpoch, out.EndOffset = q.Partition, -1, -1
			rep, code := b.fence(b.c.topics[t.Topic].partition(q.Partition), q.CurrentLeaderEpoch, true)
			if out.ErrorCode = code; code == 0 {
				out.LeaderEpoch, out.EndOffset = rep.epochEnd(q.LeaderEpoch)
			}
			rt.Partitions = append(rt.Partitions, out)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// listOffsets answers for the earliest (-2) and the latest (-1) offset. The latest is the high watermark, and refused
// while that has not reached the start of the leader's epoch (Partition.fetchOffsetForTimestamp).
func (b *node) listOffsets(r *kmsg.ListOffsetsRequest) kmsg.Response {
	resp := kmsg.NewPtrListOffsetsResponse()
	resp.Version = r.Version
	for _, t := range r.Topics {
		rt := kmsg.NewListOffsetsResponseTopic()
		rt.Topic = t.Topic
		for _, q := range t.Partitions {
			out := kmsg.NewListOffsetsResponseTopicPartition()
			out.Partition, out.Offset, out.Timestamp, out.LeaderEpoch = q.Partition, -1, -1, -1
			epoch := q.CurrentLeaderEpoch
			if r.Version < 4 {
				epoch = -1
			}
			rep, code := b.fence(b.c.topics[t.Topic].partition(q.Partition), epoch, true)
			if code == 0 {
				switch q.Timestamp {
				case -2:
					out.Offset, out.LeaderEpoch = rep.start, rep.epochAt(rep.start)
				default:
					if n := len(rep.epochs); n > 0 && rep.epochs[n-1].epoch == rep.p.views[b.id].epoch && rep.epochs[n-1].start > rep.hw {
						if code = codeOffsetNotAvailable; r.Version < 5 {
							code = codeLeaderNotAvailable
						}
					} else if q.Timestamp == -1 {
						out.Offset, out.LeaderEpoch = rep.hw, rep.p.views[b.id].epoch
					}
				}
			}
			out.ErrorCode = code
			rt.Partitions = append(rt.Partitions, out)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// epochAt is the epoch that holds an offset.
func (r *replica) epochAt(offset int64) int32 {
	epoch := int32(-1)
	for _, e := range r.epochs {
		if e.start <= offset {
			epoch = e.epoch
		}
	}
	return epoch
}

// fetch reads up to the high watermark; between that and the end of the log there is nothing to see, and no error.
func (b *node) fetch(r *kmsg.FetchRequest) kmsg.Response {
	resp := kmsg.NewPtrFetchResponse()
	resp.Version = r.Version
	left := int(r.MaxBytes)
	for _, t := range r.Topics {
		rt := kmsg.NewFetchResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		topic := b.c.topicLocked(t.Topic, topicID(r.Version >= 13, t.TopicID))
		for _, q := range t.Partitions {
			out := kmsg.NewFetchResponseTopicPartition()
			out.Partition, out.HighWatermark, out.LastStableOffset, out.LogStartOffset, out.PreferredReadReplica = q.Partition, -1, -1, -1, -1
			epoch := q.CurrentLeaderEpoch
			if r.Version < 9 {
				epoch = -1
			}
			// From version 11 on consumers may read from followers (KIP-392).
			rep, code := b.fence(topic.partition(q.Partition), epoch, r.Version < 11)
			if topic == nil && r.Version >= 13 {
				code = codeUnknownTopicID
			}
			if code == 0 && (q.FetchOffset < rep.start || q.FetchOffset > rep.end) {
				code = codeOffsetOutOfRange
			}
			out.ErrorCode = code
			if code == 0 {
				out.HighWatermark, out.LastStableOffset, out.LogStartOffset = rep.hw, rep.hw, rep.start
				out.RecordBatches = rep.read(q.FetchOffset, min(left, int(q.PartitionMaxBytes)))
				left -= len(out.RecordBatches)
			}
			rt.Partitions = append(rt.Partitions, out)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// read returns whole batches from the one that holds the offset, at least one, up to the high watermark.
func (r *replica) read(from int64, most int) (out []byte) {
	i, _ := slices.BinarySearchFunc(r.log, from, func(e entry, from int64) int {
		if e.end <= from {
			return -1
		}
		return 1
	})
	for ; i < len(r.log) && r.log[i].end <= r.hw; i++ {
		if len(out) > 0 && len(out)+len(r.log[i].raw) > most {
			break
		}
		out = append(out, r.log[i].raw...)
	}
	return out
}

func idOf(t *topic) streamdown.ID {
	if t == nil {
		return streamdown.ID{}
	}
	return t.id
}
