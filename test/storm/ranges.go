package main

import (
	"cmp"
	"fmt"
	"slices"
)

// span holds the ordinals from ≤ n < to.
type span struct{ from, to uint64 }

func (s span) String() string { return fmt.Sprintf("%d-%d", s.from, s.to-1) }

// set is a set of ordinals. Its zero value is empty.
type set struct {
	spans []span
	tidy  bool // sorted, apart from each other
}

// add puts a range in. Neighbours that come in order cost no memory.
func (s *set) add(from, to uint64) {
	if from >= to {
		return
	}
	if n := len(s.spans); n > 0 && s.spans[n-1].to == from {
		s.spans[n-1].to = to
		return
	}
	s.spans = append(s.spans, span{from, to})
	s.tidy = false
}

// list is the ranges in order, none touching another.
func (s *set) list() []span {
	if s.tidy {
		return s.spans
	}
	slices.SortFunc(s.spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	out := s.spans[:0]
	for _, x := range s.spans {
		if n := len(out); n > 0 && x.from <= out[n-1].to {
			out[n-1].to = max(out[n-1].to, x.to)
			continue
		}
		out = append(out, x)
	}
	s.spans, s.tidy = out, true
	return out
}

// without is what is in s and not in o.
func (s *set) without(o *set) *set {
	d := &set{}
	cut := o.list()
	for _, x := range s.list() {
		for _, c := range cut {
			if c.to <= x.from {
				continue
			}
			if c.from >= x.to {
				break
			}
			d.add(x.from, min(c.from, x.to))
			x.from = max(x.from, c.to)
		}
		if x.from < x.to {
			d.add(x.from, x.to)
		}
	}
	return d
}

// size is how many ordinals are in s.
func (s *set) size() (n uint64) {
	for _, x := range s.list() {
		n += x.to - x.from
	}
	return n
}
