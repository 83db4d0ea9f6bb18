package kafka

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/streamdown/streamdown/sink"
)

// classes says what each error code of a broker means for a batch and its lane.
//
// The question behind every row: could this code arise although the batch is in the log? Read in Kafka's sources, 4.0
// branch and 4.1.0: KafkaApis.handleProduceRequest, ReplicaManager.appendRecordsToLeader and getPartitionOrError,
// UnifiedLog.append, LogValidator, ProducerAppendInfo, Partition.checkEnoughReplicasReachOffset, DelayedProduce.
// A request runs through: rights and existence of the topic, append at the leader (minimum of in-sync replicas, size
// and CRC, LogValidator, segment size, sequence, write), then the wait for replicas. Codes of the last two steps are
// doubt. A code that refuses before the append says nothing about an earlier copy of the same batch, because
// validation runs before the duplicate check (rule D5). A code not listed is Doubt.
var classes = map[int16]sink.Class{
	0: sink.OK,

	// UNKNOWN_SERVER_ERROR is any Throwable, the append included.
	-1: sink.Doubt,
	// NETWORK_EXCEPTION and REQUEST_TIMED_OUT: the latter is what DelayedProduce answers after the append.
	13: sink.Doubt,
	7:  sink.Doubt,
	// NOT_ENOUGH_REPLICAS_AFTER_APPEND says itself that the batch is in the leader's log.
	20: sink.Doubt,
	// NOT_ENOUGH_REPLICAS is thrown only by appendRecordsToLeader, before it appends.
	19: sink.Refused,

	// NOT_LEADER_OR_FOLLOWER comes before the append, but also from the wait for replicas when leadership moved away.
	6: sink.Moved,
	// UNKNOWN_TOPIC_OR_PARTITION: a broker whose metadata lags, a deleted topic, or, in the wait for replicas, a topic
	// deleted after the append. Who sees it again after fresh Metadata said the same treats it as Forbidden.
	3: sink.Moved,
	// UNKNOWN_TOPIC_ID (100) and INCONSISTENT_TOPIC_ID (103): the same by id; fresh Metadata shows whether the topic
	// was created anew (rule D6).
	100: sink.Moved,
	103: sink.Moved,
	// KAFKA_STORAGE_ERROR: the log directory is offline; it may have failed in the middle of our append. Another
	// replica will lead.
	56: sink.Moved,
	// LEADER_NOT_AVAILABLE, BROKER_NOT_AVAILABLE, REPLICA_NOT_AVAILABLE, LISTENER_NOT_FOUND, FENCED_LEADER_EPOCH,
	// UNKNOWN_LEADER_EPOCH, OFFSET_NOT_AVAILABLE: not from Produce; from questions whose answer is fresh Metadata.
	5:  sink.Moved,
	8:  sink.Moved,
	9:  sink.Moved,
	72: sink.Moved,
	74: sink.Moved,
	75: sink.Moved,
	78: sink.Moved,
	// OFFSET_OUT_OF_RANGE, from Fetch: the log is shorter than we believed, or its start passed us.
	1: sink.Moved,

	// OUT_OF_ORDER_SEQUENCE_NUMBER; DUPLICATE_SEQUENCE_NUMBER and UNKNOWN_PRODUCER_ID are of older brokers. 46 says
	// that the batch is there, but not that it is committed: ask, as with the others.
	45: sink.OutOfOrder,
	46: sink.OutOfOrder,
	59: sink.OutOfOrder,

	// INVALID_PRODUCER_EPOCH and PRODUCER_FENCED: a higher epoch of our id was seen. INVALID_TXN_STATE for a batch that
	// is not transactional: somebody has a transaction open under our id (ProducerAppendInfo.appendDataBatch).
	47: sink.Fenced,
	90: sink.Fenced,
	48: sink.Fenced,

	// CORRUPT_MESSAGE: length, magic or CRC (UnifiedLog.analyzeAndValidateRecords). Also damage on the way, so it
	// counts only when it comes again for bytes that we verified.
	2: sink.Poison,
	// MESSAGE_TOO_LARGE (max.message.bytes) and RECORD_LIST_TOO_LARGE (segment.bytes), both before the append. When the
	// topic's limit was lowered since admission it is a matter of configuration, not of the batch (rule D5).
	10: sink.Poison,
	18: sink.Poison,
	// INVALID_TIMESTAMP, INVALID_RECORD, UNSUPPORTED_COMPRESSION_TYPE, UNSUPPORTED_FOR_MESSAGE_FORMAT: LogValidator and
	// ProduceRequest.validateRecords. POLICY_VIOLATION and INVALID_REQUEST: interceptors of other brokers than Apache's.
	32: sink.Poison,
	87: sink.Poison,
	76: sink.Poison,
	43: sink.Poison,
	44: sink.Poison,
	42: sink.Poison,

	// TOPIC_AUTHORIZATION_FAILED, CLUSTER_AUTHORIZATION_FAILED, TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
	// INVALID_TOPIC_EXCEPTION (also for internal topics), all before the append.
	29: sink.Forbidden,
	31: sink.Forbidden,
	53: sink.Forbidden,
	17: sink.Forbidden,
	// INVALID_REQUIRED_ACKS, UNSUPPORTED_VERSION, SECURITY_DISABLED, UNSUPPORTED_SASL_MECHANISM, ILLEGAL_SASL_STATE,
	// SASL_AUTHENTICATION_FAILED.
	21: sink.Forbidden,
	35: sink.Forbidden,
	54: sink.Forbidden,
	33: sink.Forbidden,
	34: sink.Forbidden,
	58: sink.Forbidden,
}

// Class returns what an error code of a broker means. A code that nobody classified is Doubt.
func Class(code int16) sink.Class { return classes[code] }

// ReplyError is a broker's refusal of a question.
type ReplyError struct {
	Doing   string // what was asked, of whom
	Code    int16
	Message string // the broker's own words, if any
}

func (e *ReplyError) Error() string {
	name := fmt.Sprintf("error code %d", e.Code)
	if k := kerr.TypedErrorForCode(e.Code); k != nil && k.Code == e.Code { // it calls what it does not know by the name of -1
		name = fmt.Sprintf("%s (%d)", k.Message, e.Code)
	}
	s := e.Doing + ": kafka says " + name
	if e.Message != "" {
		s += ": " + e.Message
	}
	if try, ok := rights[e.Code]; ok {
		return s + ": " + try
	}
	if Class(e.Code) == sink.Forbidden {
		s += ": look at our rights there and at the topic's name"
	}
	return s
}

// rights say what to give the account that streamdown logs in with.
var rights = map[int16]string{
	29: "give our user DESCRIBE, WRITE and READ on the topic, and DESCRIBE_CONFIGS",
	31: "give our user WRITE on the topics or IDEMPOTENT_WRITE on the cluster, and DESCRIBE_CONFIGS on it",
	58: "look at the user name and password",
}

// Class returns what the code means.
func (e *ReplyError) Class() sink.Class { return Class(e.Code) }

// ClassOf returns what an error of this package means: OK for nil, the code's class for a ReplyError, Refused for
// ErrUnsent, Forbidden for an UnsupportedError or a SecurityError, otherwise Doubt.
func ClassOf(err error) sink.Class {
	var reply *ReplyError
	var old *UnsupportedError
	switch {
	case err == nil:
		return sink.OK
	case errors.Is(err, ErrUnsent):
		return sink.Refused
	case CauseOf(err) != 0:
		return sink.Forbidden
	case errors.As(err, &reply):
		return reply.Class()
	case errors.As(err, &old):
		return sink.Forbidden
	}
	return sink.Doubt
}

// replyError returns nil for code 0.
func replyError(code int16, message *string, format string, args ...any) error {
	if code == 0 {
		return nil
	}
	e := &ReplyError{Doing: fmt.Sprintf(format, args...), Code: code}
	if message != nil {
		e.Message = *message
	}
	return e
}
