package gateway

// The error codes of the protocol that the gateway gives itself.
const (
	codeUnknownTopic           int16 = 3
	codeLeaderNotAvailable     int16 = 5
	codeNotLeader              int16 = 6
	codeInvalidTopic           int16 = 17
	codeInvalidAcks            int16 = 21
	codeTopicNotAllowed        int16 = 29
	codeClusterNotAllowed      int16 = 31
	codeUnsupportedMechanism   int16 = 33
	codeIllegalSASLState       int16 = 34
	codeUnsupportedVersion     int16 = 35
	codeInvalidRequest         int16 = 42
	codeLoadInProgress         int16 = 14
	codeTransactionalID        int16 = 53
	codeAuthenticationFailed   int16 = 58
	codeUnsupportedCompression int16 = 76
	codeUnknownTopicID         int16 = 100
	codeWrongEndpoint          int16 = 114
)
