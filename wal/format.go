package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
)

// Kind says what an entry holds. All kinds of all Books are listed here so that none is used twice.
type Kind uint8

// Kinds of entries.
const (
	KindMark       Kind = 1  // body: LSN below which all was durable when the group was written
	KindLane       Kind = 2  // body: the topic of a new lane; ordinal: its partition
	KindBatch      Kind = 3  // body: one RecordBatch v2 as the client sent it
	KindBinding    Kind = 4  // delivery: a lane's identity at a target
	KindProgress   Kind = 5  // delivery: what is confirmed at a target
	KindHold       Kind = 6  // delivery: lanes held or resumed by a person
	KindCluster    Kind = 7  // catalog: a cluster's id and settings
	KindTopic      Kind = 8  // catalog: one topic
	KindOpened     Kind = 9  // a process goes on with the log from here (rule A2)
	KindIdentity   Kind = 10 // body: the log's new id, and the one before
	KindQuarantine Kind = 11 // delivery: what became of a batch that the target refuses for good
	KindProof      Kind = 13 // body: JSON, the SHA-256 of a proof that was made of this log (12: delivery, to come)
	KindRepair     Kind = 14 // body: JSON, an identity under which absent records are sent once more, and whether that is done
	maxKind        Kind = 15 // first that this version does not know
)

// Entry is one entry of the log.
type Entry struct {
	LSN     streamdown.LSN
	Kind    Kind
	Lane    streamdown.LaneID
	Ordinal streamdown.Ordinal
	Count   int32
	Arrival int64 // unix milliseconds
	Body    []byte
}

// Size is the number of log bytes the entry takes.
func (e *Entry) Size() int { return entrySize(len(e.Body)) }

// End is the LSN behind the entry.
func (e *Entry) End() streamdown.LSN { return e.LSN + streamdown.LSN(e.Size()) } //nolint:gosec // sizes are positive

const (
	entryHeader = 48
	// MaxBody is the largest body of an entry in bytes: larger than any frame that Kafka accepts by default.
	MaxBody      = 128 << 20
	batchCovered = 21
)

func entrySize(body int) int { return (entryHeader + body + 7) &^ 7 }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func covered(k Kind, body []byte) []byte {
	if k == KindBatch && len(body) > batchCovered {
		return body[:batchCovered]
	}
	return body
}

func entryCRC(seed uint32, head []byte, k Kind, body []byte) uint32 {
	c := crc32.Update(seed, castagnoli, head[4:entryHeader])
	return crc32.Update(c, castagnoli, covered(k, body))
}

// put writes e at the start of dst, which has e.Size() bytes.
func (e *Entry) put(dst []byte, seed uint32) {
	h := dst[:entryHeader]
	binary.LittleEndian.PutUint32(h[4:], uint32(len(e.Body))) //nolint:gosec // bounded by MaxBody
	binary.LittleEndian.PutUint64(h[8:], uint64(e.LSN))
	h[16], h[17], h[18], h[19] = byte(e.Kind), 0, 0, 0
	binary.LittleEndian.PutUint32(h[20:], uint32(e.Lane))
	binary.LittleEndian.PutUint64(h[24:], uint64(e.Ordinal)) //nolint:gosec // round trip
	binary.LittleEndian.PutUint64(h[32:], uint64(e.Arrival)) //nolint:gosec // round trip
	binary.LittleEndian.PutUint32(h[40:], uint32(e.Count))   //nolint:gosec // round trip
	binary.LittleEndian.PutUint32(h[44:], 0)
	n := entryHeader + copy(dst[entryHeader:], e.Body)
	clear(dst[n:])
	binary.LittleEndian.PutUint32(h, entryCRC(seed, h, e.Kind, e.Body))
}

var (
	errShort = errors.New("ends in the middle of an entry")
	errEntry = errors.New("no valid entry")
	errNewer = errors.New("written by a newer version of streamdown")
)

// parseEntry reads the entry at the start of b, which must carry lsn. The body aliases b. An entry that does not fit
// into b gives errShort and, when its header can be believed so far, the size that is needed. With deep set the batch's
// own CRC is checked too.
func parseEntry(b []byte, lsn streamdown.LSN, seed uint32, deep bool) (Entry, int, error) {
	if len(b) < entryHeader {
		return Entry{}, entryHeader, errShort
	}
	size := binary.LittleEndian.Uint32(b[4:])
	if size > MaxBody || binary.LittleEndian.Uint64(b[8:]) != uint64(lsn) || b[16] == 0 {
		return Entry{}, 0, errEntry
	}
	need := entrySize(int(size))
	if len(b) < need {
		return Entry{}, need, errShort
	}
	e := Entry{
		LSN:     lsn,
		Kind:    Kind(b[16]),
		Lane:    streamdown.LaneID(binary.LittleEndian.Uint32(b[20:])),
		Ordinal: streamdown.Ordinal(binary.LittleEndian.Uint64(b[24:])), //nolint:gosec // round trip
		Arrival: int64(binary.LittleEndian.Uint64(b[32:])),              //nolint:gosec // round trip
		Count:   int32(binary.LittleEndian.Uint32(b[40:])),              //nolint:gosec // round trip
		Body:    b[entryHeader : entryHeader+int(size) : entryHeader+int(size)],
	}
	if binary.LittleEndian.Uint32(b) != entryCRC(seed, b, e.Kind, e.Body) {
		return Entry{}, 0, errEntry
	}
	if deep && e.Kind == KindBatch {
		if err := batch.Verify(e.Body); err != nil {
			return Entry{}, 0, fmt.Errorf("%w: %w", errEntry, err)
		}
	}
	if e.Kind >= maxKind {
		return Entry{}, 0, fmt.Errorf("entry of kind %d: %w", e.Kind, errNewer)
	}
	return e, need, nil
}

const segmentHeader = 64

var magic = [8]byte{'S', 'D', 'W', 'A', 'L', 0, 0, 1}

type header struct {
	log     streamdown.ID
	number  uint64
	first   streamdown.LSN
	created int64
	pages   uint32 // that the file had when it was written over; 0 for a file that was new
	state   []byte
}

// dataStart is where the first entry lies in the file.
func dataStart(state int) int64 { return int64(segmentHeader + (state+7)&^7) }

func (h *header) encode() []byte {
	b := make([]byte, dataStart(len(h.state)))
	copy(b, magic[:])
	copy(b[8:], h.log[:])
	binary.LittleEndian.PutUint64(b[24:], h.number)
	binary.LittleEndian.PutUint64(b[32:], uint64(h.first))
	binary.LittleEndian.PutUint64(b[40:], uint64(h.created))    //nolint:gosec // round trip
	binary.LittleEndian.PutUint32(b[48:], uint32(len(h.state))) //nolint:gosec // bounded by memory
	binary.LittleEndian.PutUint32(b[52:], crc32.Checksum(h.state, castagnoli))
	binary.LittleEndian.PutUint32(b[56:], h.pages)
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	copy(b[segmentHeader:], h.state)
	return b
}

var errHeader = errors.New("damaged segment header")

// parseHeader reads the fixed part of a segment header; the state is not looked at.
func parseHeader(b []byte) (h header, stateSize int, stateCRC uint32, err error) {
	if len(b) < segmentHeader || [7]byte(b[:7]) != [7]byte(magic[:7]) {
		return h, 0, 0, errHeader
	}
	if binary.LittleEndian.Uint32(b[60:]) != crc32.Checksum(b[:60], castagnoli) {
		return h, 0, 0, errHeader // before the version is believed; later formats keep this checksum where it is
	}
	if b[7] != magic[7] {
		return h, 0, 0, fmt.Errorf("segment format %d: %w", b[7], errNewer)
	}
	copy(h.log[:], b[8:24])
	h.number = binary.LittleEndian.Uint64(b[24:])
	h.first = streamdown.LSN(binary.LittleEndian.Uint64(b[32:]))
	h.created = int64(binary.LittleEndian.Uint64(b[40:])) //nolint:gosec // round trip
	h.pages = binary.LittleEndian.Uint32(b[56:])
	return h, int(binary.LittleEndian.Uint32(b[48:])), binary.LittleEndian.Uint32(b[52:]), nil
}

func segmentName(number uint64, first streamdown.LSN) string {
	return fmt.Sprintf("%010d-%020d.wal", number, uint64(first))
}

func parseSegmentName(name string) (number uint64, first streamdown.LSN, ok bool) {
	var lsn uint64
	if n, err := fmt.Sscanf(name, "%d-%d.wal", &number, &lsn); n != 2 || err != nil {
		return 0, 0, false
	}
	first = streamdown.LSN(lsn)
	return number, first, segmentName(number, first) == name
}
