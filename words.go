package streamdown

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// Offset is a position in a broker's partition. It is always the broker's, never ours.
type Offset int64

// NoOffset says that a broker's position is not known.
const NoOffset Offset = -1

// LSN is a position in the write-ahead log of one data directory: the number of entry bytes before it.
type LSN uint64

// Ordinal is the dense number, from 0, that a record gets in its topic-partition when its batch enters the log.
// Together with the log's id, topic and partition it is the identity of a record.
type Ordinal int64

// LaneID is the log's own short name of a topic-partition, given once by a control entry and never reused.
type LaneID uint32

// ID is a UUID: of a log or of a topic. The zero value means "not known".
type ID [16]byte

// String returns the lower-case hyphenated form of RFC 9562.
func (id ID) String() string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// ParseID reads what String writes; the hyphens may be missing.
func ParseID(s string) (ID, error) {
	raw, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(raw) != 16 {
		return ID{}, fmt.Errorf("%q is no id", s)
	}
	return ID(raw), nil
}

// IsZero reports whether the id is not known.
func (id ID) IsZero() bool { return id == ID{} }

// TopicPartition names one partition of one topic.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// String returns "topic/partition".
func (tp TopicPartition) String() string { return fmt.Sprintf("%s/%d", tp.Topic, tp.Partition) }
