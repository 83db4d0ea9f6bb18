package wal

import (
	"cmp"
	"context"
	"slices"

	"github.com/streamdown/streamdown"
)

// member is one segment of the log: the file that has it, and others that have it too.
type member struct {
	slot
	f      *found   // the one to go on with
	copies []*found // others with the same slot, and what an earlier salvage replaced: they may be whole where f is not
}

func (s *Salvage) at(p slot) *member {
	for _, m := range s.chain {
		if m.slot == p {
			return m
		}
	}
	return nil
}

// chainUp makes the chain of segments: numbers rise, and none begins before its predecessor. Where files contradict each
// other, those with the most whole entries stay.
func (s *Salvage) chainUp(ctx context.Context) error {
	slots := map[slot]*member{}
	for _, f := range append(slices.Clone(s.files), s.views...) {
		if !f.candidate() || !f.placed || f.nowhere {
			continue
		}
		m := slots[f.slot]
		if m == nil {
			slots[f.slot] = &member{slot: f.slot, f: f}
			continue
		}
		for _, one := range []*found{m.f, f} {
			if err := s.weigh(one); err != nil {
				return err
			}
		}
		if better(f, m.f) {
			f, m.f = m.f, f
		}
		m.copies = append(m.copies, f)
	}
	var all []*member
	for _, m := range slots {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *member) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.first, b.first))
	})
	follows := func(b, a *member) bool { return b.number > a.number && b.first >= a.first }
	sound := true
	for i := 1; i < len(all); i++ {
		sound = sound && follows(all[i], all[i-1])
	}
	if sound {
		s.chain = all
		return s.trim()
	}
	// The heaviest chain. There are few segments, and this is seldom.
	weight, before := make([]int64, len(all)), make([]int, len(all))
	best := -1
	for i, m := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.weigh(m.f); err != nil {
			return err
		}
		before[i] = -1
		for j := range i {
			if follows(m, all[j]) && (before[i] < 0 || weight[j] > weight[before[i]]) {
				before[i] = j
			}
		}
		weight[i] = m.f.weight*4 + 1
		if m.f.mine && m.f.name == m.name() {
			weight[i] += 2
		}
		if before[i] >= 0 {
			weight[i] += weight[before[i]]
		}
		if best < 0 || weight[i] > weight[best] {
			best = i
		}
	}
	for i := best; i >= 0; i = before[i] {
		s.chain = append(s.chain, all[i])
		all[i] = nil
	}
	slices.Reverse(s.chain)
	for _, m := range all {
		if m != nil {
			s.losers = append(append(s.losers, m.f), m.copies...)
		}
	}
	return s.trim()
}

// trim takes files off the end in which nothing is whole and whose names no other file or mark makes likely: their first
// LSN would be believed, and the log go on there.
func (s *Salvage) trim() error {
	for n := len(s.chain); n > 0; n-- {
		m := s.chain[n-1]
		if m.f.mine || m.f.holds {
			return nil
		}
		reach := firstLSN
		if s.man != nil && s.man.Log == s.id {
			reach = min(s.man.Durable, maxLSN)
		}
		if n > 1 {
			f := s.chain[n-2].f
			reach = max(reach, f.slot.first+streamdown.LSN(max(0, f.size-f.start))) //nolint:gosec // not negative
		}
		if m.first <= reach {
			return nil
		}
		s.losers = append(append(s.losers, m.f), m.copies...)
		s.chain = s.chain[:n-1]
	}
	return nil
}

// better reports whether a is the file to go on with, of two with the same slot.
func better(a, b *found) bool {
	rank := func(f *found) int {
		n := 0
		if f.mine {
			n += 2
		}
		if f.name == f.slot.name() {
			n++
		}
		return n
	}
	if a.weight != b.weight {
		return a.weight > b.weight
	}
	return rank(a) > rank(b)
}

// squeeze puts files that lost header and number where exactly one segment is missing.
func (s *Salvage) squeeze(ctx context.Context) error {
	for _, f := range s.files {
		if !f.candidate() || !f.nowhere {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.weigh(f); err != nil {
			return err
		}
		ok, err := s.fit(f)
		if err != nil {
			return err
		}
		if !ok {
			s.losers = append(s.losers, f)
		}
	}
	return nil
}

func (s *Salvage) fit(f *found) (bool, error) {
	if len(s.chain) == 0 {
		if f.slot.first != firstLSN {
			return false, nil
		}
		f.slot.number = 1
		s.chain = []*member{{slot: f.slot, f: f}}
		return true, nil
	}
	for i := 0; i <= len(s.chain); i++ {
		number := uint64(0)
		if i > 0 {
			a := s.chain[i-1]
			if err := s.weigh(a.f); err != nil {
				return false, err
			}
			end := a.f.end
			if i < len(s.chain) {
				end = min(end, s.chain[i].first)
			}
			if f.slot.first < end {
				return false, nil
			}
			number = a.number + 1
		}
		if i < len(s.chain) {
			b := s.chain[i]
			if b.first < f.end || i == 0 && b.number < 2 {
				continue
			}
			if i == 0 {
				number = b.number - 1
			}
			if number+1 != b.number {
				continue
			}
		}
		f.slot.number = number
		s.chain = slices.Insert(s.chain, i, &member{slot: f.slot, f: f})
		return true, nil
	}
	return false, nil
}
