package wal

import (
	"maps"
	"slices"
	"time"

	"github.com/streamdown/streamdown"
)

// seen is how far a lane was followed.
type seen struct {
	next   streamdown.Ordinal
	ranges int // lost when that was learned
	least  streamdown.Ordinal
}

// compare finds records that a state knows and no entry before it had.
func (s *Salvage) compare(i int) {
	if s.cfg.Progress == nil {
		return
	}
	book := s.cfg.Books[0].(*laneBook)
	for id := range book.names {
		lane := streamdown.LaneID(id) //nolint:gosec // few
		end, _ := s.cfg.Progress(lane)
		l := s.survey.lanes[lane]
		switch {
		case l == nil && i == 0 && len(s.plan.Ranges) == 0:
			s.survey.lanes[lane] = &seen{next: end, least: end}
		case l == nil:
			// It was named in what is lost, or before the first whole state.
			l = &seen{next: end, least: end, ranges: len(s.plan.Ranges)}
			if s.survey.full {
				l.least = 0
				if end > 0 {
					s.loseRecords(lane, 0, end, 0)
				}
			}
			s.survey.lanes[lane] = l
		default:
			if end > l.next {
				s.loseRecords(lane, l.next, end, l.ranges)
			}
			l.next, l.ranges = max(l.next, end), len(s.plan.Ranges)
		}
	}
}

// meet takes one whole entry.
func (s *Salvage) meet(e *Entry) {
	v := &s.survey
	s.plan.Entries++
	v.marks.note(e)
	if e.Kind != KindMark {
		v.arrival = e.Arrival
		s.noteArrival(e.Arrival)
	}
	if v.known {
		for _, b := range s.cfg.Books {
			b.Apply(e)
		}
		v.entries++
	}
	switch e.Kind {
	case KindLane:
		v.names[e.Lane] = named{streamdown.TopicPartition{Topic: string(e.Body), Partition: int32(e.Ordinal)}, true} //nolint:gosec // written from an int32
		if v.lanes[e.Lane] == nil {
			v.lanes[e.Lane] = &seen{ranges: len(s.plan.Ranges)}
		}
	case KindBatch:
		s.plan.Batches++
		s.plan.Count += int64(e.Count)
		l := v.lanes[e.Lane]
		if l == nil {
			l = &seen{next: e.Ordinal, least: e.Ordinal}
			if v.full { // it was named in what is lost
				l.next, l.least = 0, 0
			}
			v.lanes[e.Lane] = l
		}
		if e.Ordinal > l.next {
			s.loseRecords(e.Lane, l.next, e.Ordinal, l.ranges)
		}
		l.next, l.ranges = e.Ordinal+streamdown.Ordinal(e.Count), len(s.plan.Ranges)
	}
}

// lose notes a range that is no whole entries.
func (s *Salvage) lose(m *member, from, to streamdown.LSN, why string, doubtful bool) {
	if to <= from {
		return
	}
	r := LostRange{File: m.f.name, FromLSN: from, ToLSN: to, Doubtful: doubtful, Why: why}
	if a, b := m.f.pos(from), min(m.f.pos(to), m.f.size); m.f.start < m.f.size && a < b {
		r.From, r.To = a, b
	}
	if s.survey.arrival > 0 {
		at := time.UnixMilli(s.survey.arrival).UTC()
		r.After = &at
	}
	s.plan.Ranges = append(s.plan.Ranges, r)
	s.progress(int64(to - from)) //nolint:gosec // positive
}

// noteArrival notes the first arrival behind lost ranges.
func (s *Salvage) noteArrival(arrival int64) {
	for i := len(s.plan.Ranges) - 1; i >= 0 && s.plan.Ranges[i].Before == nil; i-- {
		at := time.UnixMilli(arrival).UTC()
		s.plan.Ranges[i].Before = &at
	}
}

// loseRecords notes records that lie in the ranges from the given one on.
func (s *Salvage) loseRecords(lane streamdown.LaneID, from, to streamdown.Ordinal, ranges int) {
	s.plan.Records = append(s.plan.Records, LostRecords{Lane: lane, From: from, To: to, ranges: [2]int{ranges, len(s.plan.Ranges)}})
}

// before finds records that were not confirmed and lie below the beginning of the log.
func (s *Salvage) before() {
	v := &s.survey
	if !v.known || s.cfg.Progress == nil {
		return
	}
	for _, lane := range slices.Sorted(maps.Keys(v.lanes)) {
		if _, confirmed := s.cfg.Progress(lane); confirmed < v.lanes[lane].least {
			s.plan.Records = append(s.plan.Records, LostRecords{Lane: lane, From: confirmed, To: v.lanes[lane].least})
		}
	}
}

// settle fills in what is known at the end only: names, and what is confirmed.
func (s *Salvage) settle() {
	v := &s.survey
	for i := range s.plan.Records {
		r := &s.plan.Records[i]
		if lost := s.plan.Ranges[r.ranges[0]:r.ranges[1]]; len(lost) > 0 {
			a, b := &lost[0], &lost[len(lost)-1]
			r.FromLSN, r.ToLSN, r.After, r.Before = a.FromLSN, b.ToLSN, a.After, b.Before
		}
		if n, ok := v.names[r.Lane]; ok {
			r.Topic, r.Partition = &n.Topic, &n.Partition
		}
		if v.known && s.cfg.Progress != nil {
			_, confirmed := s.cfg.Progress(r.Lane)
			n := int64(min(max(confirmed, r.From), r.To) - r.From)
			r.Confirmed = &n
		}
	}
	firm := 0
	for i := range s.plan.Ranges {
		if !s.plan.Ranges[i].Doubtful {
			firm++
		}
	}
	s.plan.Unsure = firm > 0 && (firm > v.since || !v.known)
}
