package kafka

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"net"
	"slices"
	"strings"

	"github.com/streamdown/streamdown/sink"
)

// Produce versions that we speak: 3 brought record batches v2, 9 the compact encoding, 13 topic ids instead of names
// (KIP-516). Nothing else differs in the request.
const (
	apiProduce   = 0
	produceLeast = 3
	produceMost  = 13

	compactFrom = 9
	topicIDFrom = 13
)

// acksAll is the only level ever sent (rule C2).
const acksAll = -1

var (
	errTwice  = errors.New("two batches for one partition in one produce request")
	errTooBig = errors.New("produce request over 1 GiB")
)

// encoder lays Produce requests out for writev: framing and headers in one buffer, payloads where they are. It belongs
// to a pipe's writer and is reused; what frame returns is valid until the next call.
type encoder struct {
	clientID      string
	timeoutMillis int32
	framing       []byte
	parts         [][]byte
	buffers       net.Buffers // the view of parts that a write consumes
}

// versionFor chooses the highest version for these parcels that is not above most: topic ids need an id in every parcel.
func versionFor(parcels []sink.Parcel, most int16) int16 {
	if most >= topicIDFrom {
		for i := range parcels {
			if parcels[i].TopicID.IsZero() {
				return topicIDFrom - 1
			}
		}
	}
	return most
}

// arrange appends to dst the parcels' indices, sorted by topic and partition: requests group partitions by topic, and
// answers, which come in any order, are found by binary search. It refuses what frame cannot lay out.
func arrange(dst []int32, parcels []sink.Parcel, version int16) ([]int32, error) {
	size := 0
	for i := range parcels {
		dst = append(dst, int32(i))
		size += parcels[i].Size()
	}
	if size > math.MaxInt32/2 {
		return dst, errTooBig
	}
	slices.SortFunc(dst, func(i, j int32) int {
		a, b := &parcels[i], &parcels[j]
		if c := compareTopics(a, b, version); c != 0 {
			return c
		}
		return cmp.Compare(a.TopicPartition.Partition, b.TopicPartition.Partition)
	})
	for k := 1; k < len(dst); k++ {
		a, b := &parcels[dst[k-1]], &parcels[dst[k]]
		if a.TopicPartition.Partition == b.TopicPartition.Partition && compareTopics(a, b, version) == 0 {
			return dst, errTwice
		}
	}
	return dst, nil
}

func compareTopics(a, b *sink.Parcel, version int16) int {
	if version >= topicIDFrom {
		return bytes.Compare(a.TopicID[:], b.TopicID[:])
	}
	return strings.Compare(a.TopicPartition.Topic, b.TopicPartition.Topic)
}

// frame lays out one request. Payloads are referred to, not copied; the 61 bytes of each header are copied, which is
// cheaper than one more vector per parcel.
func (e *encoder) frame(parcels []sink.Parcel, order []int32, version int16, id int32) *net.Buffers {
	compact := version >= compactFrom
	room := 64 + len(e.clientID)
	payloads := 0
	for i := range parcels {
		room += len(parcels[i].TopicPartition.Topic) + len(parcels[i].Header) + 48
		payloads += len(parcels[i].Payload)
	}
	// The vectors point into framing, so it must not move while it grows.
	b := slices.Grow(e.framing[:0], room)
	e.parts = e.parts[:0]
	from := 0

	b = append(b, 0, 0, 0, 0) // length of the frame, known at the end
	b = binary.BigEndian.AppendUint16(b, apiProduce)
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, uint32(id))
	b = binary.BigEndian.AppendUint16(b, uint16(len(e.clientID))) // never compact, also in the flexible header
	b = append(b, e.clientID...)
	if compact {
		b = append(b, 0) // tags of the header
		b = append(b, 0) // no transactional id
	} else {
		b = append(b, 0xff, 0xff)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(acksAll&0xffff))
	b = binary.BigEndian.AppendUint32(b, uint32(e.timeoutMillis))

	b = appendCount(b, runs(parcels, order, version), compact)
	for k := 0; k < len(order); {
		first := &parcels[order[k]]
		n := run(parcels, order[k:], version)
		switch {
		case version >= topicIDFrom:
			b = append(b, first.TopicID[:]...)
		case compact:
			b = binary.AppendUvarint(b, uint64(len(first.TopicPartition.Topic))+1)
			b = append(b, first.TopicPartition.Topic...)
		default:
			b = binary.BigEndian.AppendUint16(b, uint16(len(first.TopicPartition.Topic)))
			b = append(b, first.TopicPartition.Topic...)
		}
		b = appendCount(b, n, compact)
		for _, i := range order[k : k+n] {
			p := &parcels[i]
			b = binary.BigEndian.AppendUint32(b, uint32(p.TopicPartition.Partition))
			b = appendCount(b, p.Size(), compact)
			b = append(b, p.Header[:]...)
			e.parts = append(e.parts, b[from:len(b):len(b)], p.Payload)
			from = len(b)
			if compact {
				b = append(b, 0) // tags of the partition
			}
		}
		if compact {
			b = append(b, 0) // tags of the topic
		}
		k += n
	}
	if compact {
		b = append(b, 0) // tags of the body
	}
	if from < len(b) {
		e.parts = append(e.parts, b[from:])
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4+payloads))
	e.framing = b
	e.buffers = e.parts
	return &e.buffers
}

// appendCount writes the length of an array or of bytes; compact ones stand one higher.
func appendCount(b []byte, n int, compact bool) []byte {
	if compact {
		return binary.AppendUvarint(b, uint64(n)+1)
	}
	return binary.BigEndian.AppendUint32(b, uint32(n))
}

// run counts the parcels at the head of order that share a topic.
func run(parcels []sink.Parcel, order []int32, version int16) int {
	n := 1
	for n < len(order) && compareTopics(&parcels[order[0]], &parcels[order[n]], version) == 0 {
		n++
	}
	return n
}

// runs counts the topics.
func runs(parcels []sink.Parcel, order []int32, version int16) int {
	topics := 0
	for k := 0; k < len(order); topics++ {
		k += run(parcels, order[k:], version)
	}
	return topics
}
