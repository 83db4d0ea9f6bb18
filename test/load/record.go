package load

import (
	"time"

	"github.com/streamdown/streamdown/check"
)

// record is what is sent as the record with the given number of a partition.
func (s *Spec) record(partition int32, seq uint64) check.Record {
	return check.Record{
		Producer: s.Producer + uint32(partition), Incarnation: s.Incarnation, Seq: seq,
		Target: s.target(partition), SentMicros: time.Now().UnixMicro(), Size: s.Size,
	}
}
