package check

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/streamdown/streamdown"
)

// Example is one record that a verdict was given to. JSON has null for what is not known.
type Example struct {
	Place    streamdown.TopicPartition // no topic = not known
	Offset   streamdown.Offset         // NoOffset = not known
	Stream   *Stream                   // nil = the value could not be read; then Seq means nothing
	Seq      uint64
	Distance uint64 // records behind the highest of its stream
	Note     string
}

// MarshalJSON implements json.Marshaler.
func (e Example) MarshalJSON() ([]byte, error) {
	var j exampleJSON
	if e.Place.Topic != "" {
		j.Topic, j.Partition = &e.Place.Topic, &e.Place.Partition
	}
	if e.Offset != streamdown.NoOffset {
		j.Offset = &e.Offset
	}
	if e.Stream != nil {
		j.Producer, j.Incarnation, j.Seq = &e.Stream.Producer, &e.Stream.Incarnation, &e.Seq
	}
	j.Distance, j.Note = e.Distance, e.Note
	return json.Marshal(j)
}

type exampleJSON struct {
	Topic       *string            `json:"topic"`
	Partition   *int32             `json:"partition"`
	Offset      *streamdown.Offset `json:"offset"`
	Producer    *uint32            `json:"producer"`
	Incarnation *uint32            `json:"incarnation"`
	Seq         *uint64            `json:"seq"`
	Distance    uint64             `json:"distance"`
	Note        string             `json:"note"`
}

// maxExamples bounds how many examples of one verdict are kept.
const maxExamples = 32

// worst keeps the most distant examples; of equals, the first.
type worst struct {
	list []Example
}

func (w *worst) add(e Example) {
	if len(w.list) < maxExamples {
		w.list = append(w.list, e)
		return
	}
	at := 0
	for i := range w.list {
		// Of equals the latest makes room.
		if w.list[i].Distance <= w.list[at].Distance {
			at = i
		}
	}
	if e.Distance > w.list[at].Distance {
		w.list = append(slices.Delete(w.list, at, at+1), e)
	}
}

func (w *worst) sorted() []Example {
	list := slices.Clone(w.list)
	slices.SortStableFunc(list, func(a, b Example) int { return cmp.Compare(b.Distance, a.Distance) })
	return list
}

func example(s Stream, seq uint64, p *partition, offset streamdown.Offset, note string) Example {
	e := Example{Offset: offset, Stream: &s, Seq: seq, Note: note}
	if p != nil {
		e.Place = p.TopicPartition
	}
	return e
}
