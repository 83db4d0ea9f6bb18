package gateway

import (
	"encoding/binary"

	"github.com/streamdown/streamdown"
)

// maxMessage bounds the words that go with an error code, in bytes.
const maxMessage = 1024

// appendTo appends the whole response, with its length, to dst.
func (a *produceAnswer) appendTo(dst []byte) []byte {
	v, flex := a.header.Version, a.header.Version >= produceFlexible
	begin := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(a.header.CorrelationID))
	dst = appendTags(dst, flex)
	dst = appendCount(dst, len(a.topics), flex)
	i := 0
	for _, t := range a.topics {
		if v >= produceTopicID {
			dst = append(dst, t.id[:]...)
		} else {
			dst = appendString(dst, t.name, flex)
		}
		dst = appendCount(dst, t.parts, flex)
		for _, s := range a.slots[i : i+t.parts] {
			dst = s.appendTo(dst, v, flex)
		}
		dst = appendTags(dst, flex)
		i += t.parts
	}
	if v >= 1 {
		dst = binary.BigEndian.AppendUint32(dst, 0) // throttle time: we hold instead
	}
	dst = appendTags(dst, flex)
	binary.BigEndian.PutUint32(dst[begin:], uint32(len(dst)-begin-4))
	return dst
}

func (s *slot) appendTo(dst []byte, v int16, flex bool) []byte {
	r := &s.result
	base := r.Base
	if r.Code != 0 {
		base = streamdown.NoOffset
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(s.partition))
	dst = binary.BigEndian.AppendUint16(dst, uint16(r.Code))
	dst = binary.BigEndian.AppendUint64(dst, uint64(base))
	if v >= 2 {
		dst = binary.BigEndian.AppendUint64(dst, 1<<64-1) // append time: -1, the broker gives one later if at all
	}
	if v >= 5 {
		dst = binary.BigEndian.AppendUint64(dst, uint64(r.LogStart))
	}
	if v >= 8 {
		dst = appendCount(dst, 0, flex) // errors of single records
		dst = appendMessage(dst, r.Message, flex)
	}
	return appendTags(dst, flex)
}

func appendTags(dst []byte, flex bool) []byte {
	if flex {
		return append(dst, 0)
	}
	return dst
}

func appendCount(dst []byte, n int, flex bool) []byte {
	if flex {
		return binary.AppendUvarint(dst, uint64(n)+1)
	}
	return binary.BigEndian.AppendUint32(dst, uint32(n))
}

func appendString(dst []byte, s string, flex bool) []byte {
	if flex {
		dst = binary.AppendUvarint(dst, uint64(len(s))+1)
	} else {
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
	}
	return append(dst, s...)
}

// appendMessage appends an error's words, null when there are none.
func appendMessage(dst []byte, s string, flex bool) []byte {
	switch {
	case s != "":
		return appendString(dst, streamdown.Shorten(s, maxMessage), flex)
	case flex:
		return append(dst, 0)
	}
	return append(dst, 0xff, 0xff)
}
