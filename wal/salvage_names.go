package wal

import (
	"github.com/streamdown/streamdown"
)

type named struct {
	streamdown.TopicPartition
	sure bool
}

// laneNames takes the names of lanes from the restored state.
func (s *Salvage) laneNames() {
	for id, tp := range s.cfg.Books[0].(*laneBook).names {
		if tp.Topic != "" {
			s.survey.names[streamdown.LaneID(id)] = named{tp, true} //nolint:gosec // few
		}
	}
}

// guessNames takes what can be had of a damaged state, which begins with the names of lanes: better a name that may be
// wrong, and is said to be, than none.
func (s *Salvage) guessNames(f *found) {
	if f.start <= segmentHeader || f.start-segmentHeader > 64<<20 || f.start > f.size {
		return
	}
	b := make([]byte, f.start-segmentHeader)
	n, err := readFull(f.file, b, segmentHeader)
	if err != nil || n < 5 || b[0] != newLaneBook().BookID() {
		return
	}
	book := newLaneBook()
	_ = book.Restore(b[5:n]) // what was read before the error stays
	for id, tp := range book.names {
		key := streamdown.LaneID(id) //nolint:gosec // few
		if _, ok := s.survey.names[key]; !ok && validTopic(tp) {
			s.survey.names[key] = named{tp, false}
		}
	}
}

// validTopic reports whether Kafka would take the name.
func validTopic(tp streamdown.TopicPartition) bool {
	return tp.Partition >= 0 && streamdown.ValidTopic(tp.Topic)
}
