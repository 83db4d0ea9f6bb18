package broker

// Error codes of the protocol that are given here.
const (
	codeOffsetOutOfRange         = 1
	codeCorruptMessage           = 2
	codeUnknownTopicOrPartition  = 3
	codeLeaderNotAvailable       = 5
	codeNotLeader                = 6
	codeTimedOut                 = 7
	codeMessageTooLarge          = 10
	codeInvalidTopic             = 17
	codeRecordListTooLarge       = 18
	codeNotEnoughReplicas        = 19
	codeNotEnoughAfterAppend     = 20
	codeInvalidRequiredAcks      = 21
	codeInvalidTimestamp         = 32
	codeUnsupportedVersion       = 35
	codeTopicExists              = 36
	codeInvalidPartitions        = 37
	codeOutOfOrder               = 45
	codeInvalidProducerEpoch     = 47
	codeFencedLeaderEpoch        = 74
	codeUnknownLeaderEpoch       = 75
	codeOffsetNotAvailable       = 78
	codeInvalidRecord            = 87
	codeUnknownTopicID           = 100
	codeUnsupportedForMessage    = 43
	codeTransactionalIDForbidden = 53
)
