package httpin

import (
	"math/bits"
	"net/http"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/ingest"
)

// press makes batches of records, partition by partition.
type press struct {
	builder batch.Builder
	ends    []ends  // by partition
	order   []int32 // partitions that have records, in the order of their first
	next    []int32 // by record: the next one of its partition, -1 = none
	header  [batch.HeaderSize]byte
	bytes   int64 // that the builder has held at most
}

// ends are the first and last record of a partition, as index + 1: 0 = none.
type ends struct{ first, last int32 }

func (p *press) shrink() {
	if p.bytes > 2<<20 || cap(p.ends) > 4096 || cap(p.next) > 64<<10 {
		*p = press{}
	}
}

// chunk is one batch of a request.
type chunk struct {
	partition int32
	records   int32
	part      *part
	result    ingest.Result
	answered  bool
	replayed  bool // it was stored before, under the same Idempotency-Key
}

// maxChunk bounds a batch of several records, in bytes. A larger record has a batch of its own.
const maxChunk = 1 << 20

// chunkLimit is what a batch for the topic may have.
func chunkLimit(c *catalog.TopicConfig) int {
	if c.MaxMessageBytes > 0 {
		return min(maxChunk, int(c.MaxMessageBytes))
	}
	return maxChunk
}

// place gives each record its partition, and refuses what the topic would refuse, with the record's number: once a
// record is handed to the log it is too late.
func (r *request) place(topic string, t *catalog.Topic, at *sticky, now time.Time) *Problem {
	n := len(t.Partitions)
	p := &r.press
	if cap(p.ends) < n {
		p.ends = make([]ends, n)
	}
	p.ends, p.order, p.next = p.ends[:n], p.order[:0], p.next[:0]
	clear(p.ends)
	for i := range r.records {
		rec := &r.records[i]
		if wrong := r.refuses(rec, topic, t, now); wrong != nil {
			if len(r.records) > 1 {
				return wrong.of(i)
			}
			return wrong
		}
		to := rec.partition
		switch {
		case to >= 0:
		case rec.key != nil:
			to = byKey(rec.key, n)
		default:
			to = at.take(r.size(rec), n)
		}
		rec.partition = to
		p.next = append(p.next, -1)
		e := &p.ends[to]
		if e.first == 0 {
			p.order = append(p.order, to)
			e.first = int32(i) + 1 //nolint:gosec // bounded
		} else {
			p.next[e.last-1] = int32(i) //nolint:gosec // bounded
		}
		e.last = int32(i) + 1 //nolint:gosec // bounded
	}
	return nil
}

// refuses says why the topic would not take the record (batch.Admit has the rules; here they name the record).
func (r *request) refuses(rec *record, topic string, t *catalog.Topic, now time.Time) *Problem {
	c := &t.Config
	if int(rec.partition) >= len(t.Partitions) {
		return invalid("partition %d does not exist: topic %s has %d, from 0 on", rec.partition, topic, len(t.Partitions))
	}
	if c.Compacted && rec.key == nil {
		return invalid("there is no key, and topic %s is compacted: each record needs one", topic)
	}
	if size := batch.HeaderSize + r.size(rec); c.MaxMessageBytes > 0 && size > int(c.MaxMessageBytes) {
		return refuse(http.StatusRequestEntityTooLarge, "record_too_large", "too large for the topic", "send smaller records or raise the topic's max.message.bytes",
			"as a batch it has %d bytes, topic %s takes up to %d", size, topic, c.MaxMessageBytes)
	}
	if rec.timestamp >= 0 && !c.LogAppendTime {
		age := now.UnixMilli() - rec.timestamp
		if c.BeforeMax > 0 && age > c.BeforeMax.Milliseconds() || c.AfterMax > 0 && -age > c.AfterMax.Milliseconds() {
			return invalid("timestamp %d is %d ms before now; topic %s takes from %s before to %s after (0s = any)", rec.timestamp, age, topic, c.BeforeMax, c.AfterMax)
		}
	}
	return nil
}

// size is what the record takes in a batch, as its first: it does not depend on the time, so that the same request is
// cut into the same batches again.
func (r *request) size(rec *record) int {
	headers := r.headersOf(rec)
	n := 3 + sizeField(rec.key) + sizeField(rec.value) + sizeVarint(len(headers))
	for _, h := range headers {
		n += sizeVarint(len(h.Key)) + len(h.Key) + sizeField(h.Value)
	}
	return n + sizeVarint(n)
}

// spread is what a record may take beyond size when it is not the first: its offset's and time's deltas.
const spread = 12

func sizeField(b []byte) int { return sizeVarint(len(b)) + len(b) }

func sizeVarint(n int) int { return (bits.Len(uint(n))+1+6)/7 + bits.Len(uint(n))/64 } //nolint:gosec // not negative

// handed is what the intake answers for one request's batches. It outlives the request when that gives up waiting.
type handed struct {
	mu      sync.Mutex // guards the following
	answers []ingest.Result
	filled  []bool
	left    int
	sealed  bool          // no more batches come
	done    chan struct{} // closed when sealed and nothing is left
}

// add returns the function that takes the answer for one more batch.
func (h *handed) add() (i int, take func(ingest.Result)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i = len(h.answers)
	h.answers, h.filled = append(h.answers, ingest.Result{}), append(h.filled, false)
	h.left++
	return i, func(r ingest.Result) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.filled[i] {
			return
		}
		h.answers[i], h.filled[i] = r, true
		h.left--
		h.settleLocked()
	}
}

func (h *handed) settleLocked() {
	if h.sealed && h.left == 0 {
		close(h.done)
	}
}

// seal says that no more come, and waits for the answers until the limit has passed. A client that closed its side may
// still read: its context has ended, and it is answered all the same.
func (h *handed) seal(limit time.Duration) {
	h.mu.Lock()
	h.sealed = true
	h.settleLocked()
	h.mu.Unlock()
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case <-h.done:
	case <-late.C:
	}
}

func (h *handed) get(i int) (ingest.Result, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.answers[i], h.filled[i]
}

// store hands the placed records to the intake and waits for its answers, at most until limit. Records behind one that
// is refused, in whatever partition, are not sent: r.chunks tells what became of those that were.
func (d *Door) store(r *request, topic string, t *catalog.Topic, key *onceKey, now, limit time.Time) *Problem {
	h := &handed{done: make(chan struct{})}
	var problem *Problem
	for _, partition := range r.press.order {
		if problem = d.storePartition(r, h, streamdown.TopicPartition{Topic: topic, Partition: partition}, &t.Config, key, now, limit); problem != nil {
			break
		}
	}
	h.seal(max(time.Until(limit), 0))
	for i := range r.chunks {
		c := &r.chunks[i]
		if !c.answered {
			c.result, c.answered = h.get(i)
		}
		if key != nil && c.stored() && !c.part.known().seen {
			key.replayed = true // the intake knew the batch to the byte
		}
		d.receipts.forget(c.part) // a batch that was refused, or is a repeat, never comes
	}
	return problem
}

// storePartition cuts the records of one partition into batches and hands them over in order.
func (d *Door) storePartition(r *request, h *handed, tp streamdown.TopicPartition, c *catalog.TopicConfig, key *onceKey, now, limit time.Time) *Problem {
	p, most, arrival := &r.press, chunkLimit(c), now.UnixMilli()
	stamp := batch.NoStamp
	if key != nil {
		stamp = key.stamp()
	}
	size := batch.HeaderSize
	for i := p.ends[tp.Partition].first - 1; i >= 0; i = p.next[i] {
		rec := &r.records[i]
		n := r.size(rec) + spread
		if p.builder.Len() > 0 && size+n > most {
			if problem := d.hand(r, h, tp, &stamp, key, limit); problem != nil {
				return problem
			}
			size = batch.HeaderSize
		}
		size += n
		p.bytes = max(p.bytes, int64(size))
		ts := rec.timestamp
		if ts < 0 {
			ts = arrival
		}
		rec.chunk, rec.delta = int32(len(r.chunks)), int32(p.builder.Len()) //nolint:gosec // bounded
		p.builder.Append(ts, rec.key, rec.value, r.headersOf(rec)...)
	}
	return d.hand(r, h, tp, &stamp, key, limit)
}

// hand gives what the builder holds to the intake as one batch.
func (d *Door) hand(r *request, h *handed, tp streamdown.TopicPartition, stamp *batch.Stamp, key *onceKey, limit time.Time) *Problem {
	records := r.press.builder.Len()
	b, err := r.press.builder.Build(batch.None, *stamp)
	if err != nil {
		return refuse(http.StatusRequestEntityTooLarge, "record_too_large", "too large", "send smaller records", "%v", err)
	}
	if !time.Now().Before(limit) {
		r.chunks = append(r.chunks, chunk{partition: tp.Partition, records: int32(records), part: d.receipts.expect(b), answered: true, //nolint:gosec // bounded
			result: ingest.Result{Code: kerr.KafkaStorageError.Code, Message: "the log did not take all of the request in time"}})
		return ofResult(tp.Topic, &r.chunks[len(r.chunks)-1].result)
	}
	i, take := h.add()
	r.chunks = append(r.chunks, chunk{partition: tp.Partition, records: int32(records), part: d.receipts.expect(b)}) //nolint:gosec // bounded
	c := &r.chunks[i]
	d.intake.Produce(ingest.Request{TopicPartition: tp, Records: b, Acks: -1}, take)
	if key != nil {
		stamp.BaseSequence += int32(records) //nolint:gosec // bounded
	}
	// What is refused is refused before Produce returns.
	if c.result, c.answered = h.get(i); !c.answered || c.result.Code == 0 && !c.result.Close {
		return nil
	}
	if key != nil && (c.result.Code == kerr.OutOfOrderSequenceNumber.Code || c.result.Code == kerr.InvalidProducerEpoch.Code) {
		return d.replay(r, c, tp, b, key)
	}
	return ofResult(tp.Topic, &c.result)
}
