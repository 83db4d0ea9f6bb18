package hostile

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// shape is a good request, written so that the place of each length and count is known.
type shape struct {
	name     string
	key      int16
	version  int16
	flexible bool
	door     Door
	body     []byte
	marks    []mark
}

// mark is one length or count in a body.
type mark struct {
	what     string
	at, size int
	kind     byte // '2' and '4' for integers of so many bytes, 'v' for unsigned varints
	value    int
}

func (s *shape) i8(v int8) *shape { s.body = append(s.body, byte(v)); return s }
func (s *shape) i16(v int16) *shape {
	s.body = binary.BigEndian.AppendUint16(s.body, uint16(v))
	return s
}
func (s *shape) i32(v int32) *shape {
	s.body = binary.BigEndian.AppendUint32(s.body, uint32(v))
	return s
}
func (s *shape) i64(v int64) *shape {
	s.body = binary.BigEndian.AppendUint64(s.body, uint64(v))
	return s
}

func (s *shape) length(what string, n int, kind byte) *shape {
	if s.flexible {
		kind = 'v'
	}
	for _, other := range s.marks {
		if other.what == what {
			what += ", the next one"
		}
	}
	m := mark{what: what, at: len(s.body), kind: kind, value: n}
	switch kind {
	case '2':
		s.i16(int16(n))
	case '4':
		s.i32(int32(n))
	default:
		s.body = binary.AppendUvarint(s.body, uint64(n+1))
	}
	m.size = len(s.body) - m.at
	s.marks = append(s.marks, m)
	return s
}

func (s *shape) count(what string, n int) *shape { return s.length("the number of "+what, n, '4') }

func (s *shape) text(what, v string) *shape {
	s.length("the length of "+what, len(v), '2')
	s.body = append(s.body, v...)
	return s
}

func (s *shape) bytes(what string, b []byte) *shape {
	s.length("the length of "+what, len(b), '4')
	s.body = append(s.body, b...)
	return s
}

// tags ends a structure of a flexible version.
func (s *shape) tags(of string) *shape {
	if s.flexible {
		s.length("the number of tags of "+of, 0, 'v')
		s.body[len(s.body)-1] = 0 // tags are counted as they are, other things with one more
	}
	return s
}

func (s *shape) frame(body []byte) []byte {
	return whole(append(head(s.key, s.version, s.flexible), body...))
}

// variants have one length or count each that is not what it should be.
func (s *shape) variants() []Item {
	var items []Item
	for _, m := range s.marks {
		put := func(what string, b []byte) {
			items = append(items, Item{
				Kind: "requests with wrong lengths", Door: s.door, Name: fmt.Sprintf("%s v%d: %s is %s", s.name, s.version, m.what, what),
				Data: s.frame(slices.Replace(slices.Clone(s.body), m.at, m.at+m.size, b...)),
			})
		}
		switch m.kind {
		case '2':
			for _, v := range []int16{-2, math.MinInt16, math.MaxInt16, int16(m.value + 1), int16(m.value + 256)} {
				put(fmt.Sprint(v), binary.BigEndian.AppendUint16(nil, uint16(v)))
			}
		case '4':
			for _, v := range []int32{-2, math.MinInt32, math.MaxInt32, 1 << 24, 65_536, int32(m.value + 1)} {
				put(fmt.Sprint(v), binary.BigEndian.AppendUint32(nil, uint32(v)))
			}
		default:
			for what, b := range varints {
				put(what, b)
			}
			put(fmt.Sprint(m.value+1), binary.AppendUvarint(nil, uint64(m.value+2)))
		}
	}
	items = append(items, Item{Kind: "requests with wrong lengths", Door: s.door, Name: fmt.Sprintf("%s v%d: a byte left over", s.name, s.version), Data: s.frame(append(slices.Clone(s.body), 0))})
	slices.SortFunc(items, func(a, b Item) int { return compare(a.Name, b.Name) })
	return items
}

// cut are the beginnings of the body, each in a frame of the right length.
func (s *shape) cut() []Item {
	var items []Item
	for at := range s.body {
		items = append(items, Item{
			Kind: "requests cut at each byte", Door: s.door, Name: fmt.Sprintf("%s v%d: cut at byte %d", s.name, s.version, at), Data: s.frame(s.body[:at]),
		})
	}
	return items
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
