package httpin

import (
	"net/http"
	"strconv"
	"sync"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
)

// record is one record as a producer wants it. Its bytes lie in the request's body or arena.
type record struct {
	key, value []byte // nil is null
	headers    headerSpan
	timestamp  int64 // ms since 1970; noTime = that of arrival
	partition  int32 // anyPartition = by key
	chunk      int32 // where it was put: index of its chunk, -1 while it has none
	delta      int32 // and its place there
}

const (
	noTime       = -1
	anyPartition = -1
)

// headerSpan is a part of a request's list of headers.
type headerSpan struct{ from, to int32 }

// request is what was understood of one HTTP request. It is scratch that is used again: nothing of it may be kept when
// it is released.
type request struct {
	form    form
	body    []byte
	arena   []byte // text that is not in the body as it stands
	records []record
	headers []batch.RecordHeader // of all records, in order
	chunks  []chunk
	press   press
	charged int64 // bytes of the body that the door's room was charged with
}

var requests = sync.Pool{New: func() any { return new(request) }}

func newRequest(f form) *request {
	r := requests.Get().(*request)
	r.form = f
	return r
}

// release gives the scratch back, without what one request made unusually large.
func (r *request) release() {
	clear(r.records)
	clear(r.headers)
	clear(r.chunks)
	r.records, r.headers, r.chunks, r.body, r.arena = r.records[:0], r.headers[:0], r.chunks[:0], r.body[:0], r.arena[:0]
	if cap(r.body) > smallBody { // the next one is charged with what it gets
		r.body = nil
	}
	if cap(r.arena) > 1<<20 {
		r.arena = nil
	}
	r.charged = 0
	r.press.shrink()
	requests.Put(r)
}

// add returns a new record, whose headers are those appended from now on; done ends them.
func (r *request) add() *record {
	r.records = append(r.records, record{timestamp: noTime, partition: anyPartition, chunk: -1, headers: headerSpan{int32(len(r.headers)), int32(len(r.headers))}})
	return &r.records[len(r.records)-1]
}

func (r *request) header(to *record, key, value []byte) {
	r.headers = append(r.headers, batch.RecordHeader{Key: key, Value: value})
	to.headers.to = int32(len(r.headers)) //nolint:gosec // bounded by the body
}

func (r *request) headersOf(rec *record) []batch.RecordHeader {
	return r.headers[rec.headers.from:rec.headers.to]
}

// form is how records came.
type form uint8

const (
	formBinary form = iota
	formStructured
	formBatched
	formLines
	formRaw
	formREST
	forms
)

// formNames are the label values of metrics.
var formNames = [forms]string{"cloudevent_binary", "cloudevent_structured", "cloudevent_batch", "ndjson", "raw", "rest_v3"}

func (f form) String() string { return formNames[f] }

// query reads what the query may say of the one record of a request: key, partition, timestamp.
func (r *request) query(q queryValues, rec *record) *Problem {
	if key, ok := q["key"]; ok {
		rec.key = []byte(key)
	}
	return place(q, rec)
}

// place reads partition and timestamp.
func place(q queryValues, rec *record) *Problem {
	if v, ok := q["partition"]; ok {
		n, err := strconv.ParseUint(v, 10, 31)
		if err != nil {
			return badQuery("partition", v, "a number from 0 on")
		}
		rec.partition = int32(n) //nolint:gosec // 31 bits
	}
	if v, ok := q["timestamp"]; ok {
		n, err := strconv.ParseUint(v, 10, 63)
		if err != nil {
			return badQuery("timestamp", v, "milliseconds since 1970")
		}
		rec.timestamp = int64(n) //nolint:gosec // 63 bits
	}
	return nil
}

func badQuery(name, value, want string) *Problem {
	return refuse(http.StatusBadRequest, "query", "malformed query", "correct or leave out ?"+name, "%s=%q is not %s", name, streamdown.Shorten(value, 60), want)
}
