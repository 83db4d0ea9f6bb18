package ingest

import (
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/wal"
)

// lane is the admission state of one topic-partition.
type lane struct {
	id    streamdown.LaneID
	total *atomic.Int64 // rows of all lanes; nil = not counted

	// mu guards the following. It is held while an entry is appended, so that ordinals and the dedup window are
	// reserved in log order (rule A3); the log never waits for it while it holds anything an appender needs.
	mu      sync.Mutex
	next    streamdown.Ordinal // of the next batch
	durable streamdown.Ordinal // behind the last durable record
	rows    map[int64]*row     // by producer id
	pending []pending          // in the log and not durable yet, in order
	entry   wal.Entry          // of the batch being appended, so that none is allocated for each
	sweepAt int                // number of rows at which old ones are looked for
}

// pending is a batch in the log that is not durable yet, and who waits for that.
type pending struct {
	ordinal streamdown.Ordinal
	count   int32
	pid     int64
	first   waiting
	repeats []waiting // a client's repeats of the batch, which wait for what it waits for
}

// waiting is one request that is answered once its batch is durable.
type waiting struct {
	answer
	since time.Time
}

const (
	rowsPerLane  = 5000           // producers that one partition remembers
	rowsInAll    = 2_000_000      // of all lanes: a state, which every segment begins with, has less than 1 GiB
	freshMillis  = 15 * 60_000    // no row is forgotten within this time after its last batch (rule B2)
	staleMillis  = 24 * 3_600_000 // rows are forgotten after this time when they are in the way
	firstSweepAt = 64
)

// roomFor reports whether the lane may remember one more producer, forgetting old ones when it must.
func (l *lane) roomFor(pid, now int64) bool {
	if l.rows[pid] != nil {
		return true
	}
	if l.total != nil && l.total.Load() >= rowsInAll {
		l.forget(now - freshMillis)
		return l.total.Load() < rowsInAll
	}
	if len(l.rows) < max(l.sweepAt, firstSweepAt) {
		return true
	}
	l.forget(now - staleMillis)
	if len(l.rows) >= rowsPerLane {
		l.forget(now - freshMillis)
	}
	l.sweepAt = min(max(2*len(l.rows), firstSweepAt), rowsPerLane)
	return len(l.rows) < rowsPerLane
}

func (l *lane) forget(before int64) {
	for pid, r := range l.rows {
		if r.arrival < before && r.batches[len(r.batches)-1].durable {
			delete(l.rows, pid)
			l.count(-1)
		}
	}
}

func (l *lane) count(n int64) {
	if l.total != nil {
		l.total.Add(n)
	}
}

func (l *lane) row(pid int64) *row {
	r := l.rows[pid]
	if r == nil {
		if l.rows == nil {
			l.rows = map[int64]*row{}
		}
		r = &row{}
		l.rows[pid] = r
		l.count(1)
	}
	return r
}

// reserve takes the ordinals of a batch that the log took.
func (l *lane) reserve(h *batch.Header, w waiting) {
	l.pending = append(l.pending, pending{ordinal: l.next, count: h.Count, pid: h.ProducerID, first: w})
	if h.ProducerID != batch.NoProducerID {
		l.row(h.ProducerID).add(sentOf(h, l.next), w.since.UnixMilli())
	}
	l.next += streamdown.Ordinal(h.Count)
}

func sentOf(h *batch.Header, o streamdown.Ordinal) sent {
	return sent{epoch: h.ProducerEpoch, first: h.BaseSequence, last: h.LastSequence(), crc: h.CRC, count: h.Count, ordinal: o}
}

// settle takes a batch that became durable and returns who waited for it. While the log is opened nothing is pending,
// and the batch itself says what the lane has to remember.
func (l *lane) settle(o streamdown.Ordinal, count int32, arrival int64, body []byte) (p pending, waited bool) {
	l.durable = o + streamdown.Ordinal(count)
	if n := len(l.pending); n > 0 {
		p = l.pending[0]
		copy(l.pending, l.pending[1:]) // few are pending: moving them up keeps the slice's room
		l.pending[n-1] = pending{}
		l.pending = l.pending[:n-1]
		if r := l.rows[p.pid]; r != nil {
			r.settle(o)
		}
		return p, true
	}
	l.next = l.durable
	h, err := batch.ParseHeader(body)
	if err != nil || h.ProducerID == batch.NoProducerID {
		return p, false
	}
	s := sentOf(&h, o)
	s.durable = true
	l.row(h.ProducerID).add(s, arrival)
	return p, false
}

// append writes what is durable of the lane.
func (l *lane) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(l.id))
	dst = binary.AppendVarint(dst, int64(l.durable))
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	n := uint32(0)
	pids := make([]int64, 0, len(l.rows))
	for pid := range l.rows {
		pids = append(pids, pid)
	}
	slices.Sort(pids)
	for _, pid := range pids {
		r := l.rows[pid]
		kept := r.batches[:r.durable()]
		if len(kept) == 0 {
			continue
		}
		n++
		dst = binary.AppendVarint(dst, pid)
		dst = binary.AppendVarint(dst, int64(kept[0].epoch))
		dst = binary.AppendVarint(dst, r.arrival)
		dst = append(dst, byte(len(kept)))
		for _, s := range kept {
			dst = binary.AppendVarint(dst, int64(s.first))
			dst = binary.AppendVarint(dst, int64(s.last))
			dst = binary.AppendUvarint(dst, uint64(s.crc))
			dst = binary.AppendVarint(dst, int64(s.count))
			dst = binary.AppendVarint(dst, int64(s.ordinal))
		}
	}
	binary.LittleEndian.PutUint32(dst[at:], n)
	return dst
}

var errSnapshot = errors.New("ingest book: malformed snapshot")

// restore reads what append wrote and returns the rest.
func (l *lane) restore(b []byte) (rest []byte, err error) {
	var bad bool
	varint := func() int64 {
		v, n := binary.Varint(b)
		if n <= 0 {
			b, bad = nil, true
			return 0
		}
		b = b[n:]
		return v
	}
	id, n := binary.Uvarint(b)
	if n <= 0 {
		return nil, errSnapshot
	}
	b = b[n:]
	l.id = streamdown.LaneID(id)
	l.durable = streamdown.Ordinal(varint())
	l.next = l.durable
	if len(b) < 4 {
		return nil, errSnapshot
	}
	rows := binary.LittleEndian.Uint32(b)
	b = b[4:]
	for range rows {
		pid := varint()
		epoch := int16(varint())
		r := &row{arrival: varint()}
		if len(b) == 0 {
			return nil, errSnapshot
		}
		k := int(b[0])
		b = b[1:]
		r.batches = make([]sent, 0, k) // most of them will see no other
		for range k {
			s := sent{epoch: epoch, first: int32(varint()), last: int32(varint()), durable: true}
			crc, n := binary.Uvarint(b)
			if n <= 0 {
				return nil, errSnapshot
			}
			b = b[n:]
			s.crc = uint32(crc)
			s.count, s.ordinal = int32(varint()), streamdown.Ordinal(varint())
			r.batches = append(r.batches, s)
		}
		if bad || k == 0 {
			return nil, errSnapshot
		}
		if l.rows == nil {
			l.rows = map[int64]*row{}
		}
		l.rows[pid] = r
	}
	if bad {
		return nil, errSnapshot
	}
	l.count(int64(len(l.rows)))
	return b, nil
}
