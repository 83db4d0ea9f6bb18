package httpin

import (
	"net/http"
	"strconv"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/catalog"
)

// take stores a request that was understood, and answers it.
func (d *Door) take(w http.ResponseWriter, hr *http.Request, r *request, topic string, t *catalog.Topic, name string) *Problem {
	now := time.Now()
	limit := now.Add(d.cfg.AnswerWithin)
	_ = http.NewResponseController(w).SetWriteDeadline(limit.Add(30 * time.Second)) // a test's recorder has no connection
	at := d.stickies.get(topic)
	var key *onceKey
	if name != "" {
		key = newOnceKey(topic, name, hr, r, len(t.Partitions), chunkLimit(&t.Config))
		at = sticky{at: -1, next: following(key.spreadBy())}
	}
	if p := r.place(topic, t, &at, d.cfg.Now()); p != nil {
		return p
	}
	if key == nil {
		d.stickies.put(topic, at)
	} else {
		first, p := d.once.begin(key, now)
		if p != nil {
			return p
		}
		if first != nil {
			d.stats.replays.Add(1)
			first.write(w)
			return nil
		}
		if p := d.once.charge(topic, r.press.order, now); p != nil {
			d.once.end(key, 0, "", nil)
			return p
		}
		defer d.once.end(key, 0, "", nil) // if nothing better is said before
	}
	problem := d.store(r, topic, t, key, d.cfg.Now(), limit)
	a := d.outcome(r)
	a.receipt = d.receipt(r, topic)
	d.stats.acked(r.form, a.stored)
	if problem == nil && a.unknown > 0 {
		problem = undecided("the log did not say in time whether it has the records")
	}
	if problem != nil {
		if a.stored > 0 || a.unknown > 0 {
			if problem.Stored != "unknown" {
				problem.Stored = "some"
			}
			if a.unknown > 0 {
				problem.Stored = "unknown"
			}
			problem.Records = d.appendRecords(nil, r)
		}
		if a.receipt != "" {
			w.Header().Set("Streamdown-Receipt", a.receipt)
		}
		return problem
	}
	a.body = d.appendAnswer(nil, r, topic, a.status)
	if key != nil {
		d.once.end(key, a.status, a.receipt, a.body)
		if key.replayed {
			d.stats.replays.Add(1)
			w.Header().Set("Idempotency-Replayed", "true")
		}
	}
	a.write(w)
	return nil
}

// answer is what a good request gets.
type answer struct {
	status          int // 200: all at the target; 202: acked, some on this disk only as far as is known
	stored, unknown int // records
	receipt         string
	body            []byte
}

func (a *answer) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	if a.receipt != "" {
		h.Set("Streamdown-Receipt", a.receipt)
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // who went away needs no answer
}

// write repeats an answer.
func (o *onceAnswer) write(w http.ResponseWriter) {
	w.Header().Set("Idempotency-Replayed", "true")
	(&answer{status: o.status, receipt: o.receipt, body: o.body}).write(w)
}

func (c *chunk) stored() bool { return c.answered && c.result.Code == 0 && !c.result.Close }

// outcome counts what became of the records.
func (d *Door) outcome(r *request) (a answer) {
	a.status = http.StatusOK
	for i := range r.chunks {
		c := &r.chunks[i]
		switch {
		case c.stored():
			a.stored += int(c.records)
			if !c.part.known().atTarget {
				a.status = http.StatusAccepted
			}
		case !c.answered || c.result.Close:
			a.unknown += int(c.records)
		}
	}
	return a
}

// maxReceipts bounds the batches that the receipt's header names; the body has them all.
const maxReceipts = 50

// receipt names the stored records: log id/topic/partition/first ordinal-last ordinal, for each batch.
func (d *Door) receipt(r *request, topic string) string {
	var b []byte
	n := 0
	id := d.cfg.LogID().String()
	for i := range r.chunks {
		c := &r.chunks[i]
		k := c.part.known()
		if !c.stored() || !k.seen || n == maxReceipts {
			continue
		}
		if n++; n > 1 {
			b = append(b, ", "...)
		}
		b = append(append(append(b, id...), '/'), topic...)
		b = strconv.AppendInt(append(b, '/'), int64(c.partition), 10)
		b = strconv.AppendInt(append(b, '/'), int64(k.from), 10)
		b = strconv.AppendInt(append(b, '-'), int64(k.from)+int64(c.records)-1, 10)
	}
	return string(b)
}

// appendAnswer writes the body of a good answer.
func (d *Door) appendAnswer(b []byte, r *request, topic string, status int) []byte {
	if b == nil {
		b = make([]byte, 0, 160+48*len(r.records))
	}
	b = append(append(append(b, `{"topic":"`...), topic...), `","log_id":"`...) // a topic needs no escapes
	b = append(append(b, d.cfg.LogID().String()...), `","stored":"`...)
	if status == http.StatusOK {
		b = append(b, "target"...)
	} else {
		b = append(b, "this_disk"...)
	}
	b = append(b, `","records":`...)
	b = d.appendRecords(b, r)
	return append(b, '}', '\n')
}

// appendRecords writes what became of each record, in the order of the request.
func (d *Door) appendRecords(b []byte, r *request) []byte {
	knowns := make([]known, len(r.chunks))
	for i := range r.chunks {
		knowns[i] = r.chunks[i].part.known()
	}
	b = append(b, '[')
	for i := range r.records {
		rec := &r.records[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, `{"partition":`...), int64(rec.partition), 10)
		offset, ordinal, stored := int64(-1), int64(-1), "false"
		if rec.chunk >= 0 && int(rec.chunk) < len(r.chunks) {
			c, k := &r.chunks[rec.chunk], &knowns[rec.chunk]
			switch {
			case c.stored():
				stored = "true"
				if k.seen {
					ordinal = int64(k.from) + int64(rec.delta)
				}
				if k.base != streamdown.NoOffset {
					offset = int64(k.base) + int64(rec.delta)
				}
			case !c.answered || c.result.Close:
				stored = "null"
			}
		}
		b = appendNumber(append(b, `,"offset":`...), offset)
		b = appendNumber(append(b, `,"ordinal":`...), ordinal)
		b = append(append(append(b, `,"stored":`...), stored...), '}')
	}
	return append(b, ']')
}

// appendNumber writes null for what is not known.
func appendNumber(b []byte, n int64) []byte {
	if n < 0 {
		return append(b, "null"...)
	}
	return strconv.AppendInt(b, n, 10)
}
