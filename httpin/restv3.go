package httpin

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/catalog"
)

// The records of Confluent's REST Proxy, API v3 (POST /v3/clusters/{cluster_id}/topics/{topic_name}/records): a stream of
// JSON objects, one after the other, each answered by one object with an error_code, in order. What has come by the time
// the last answers were written is stored as one request, so a fast client gets batches and a slow one gets answers.

// postREST serves one stream. What is wrong before the first record is a problem document; afterwards it is the answer
// to a record.
func (d *Door) postREST(w http.ResponseWriter, hr *http.Request) *Problem {
	topic, t, p := d.topic(hr)
	if p != nil {
		return p
	}
	cluster := d.directory.Cluster().ID
	if id := hr.PathValue("cluster"); id != cluster {
		return refuse(http.StatusNotFound, "unknown_cluster", "unknown cluster", "use its id in the URL", "the records go to cluster %q", cluster)
	}
	if media, _, err := mime.ParseMediaType(hr.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return refuse(http.StatusUnsupportedMediaType, "content_type", "unknown kind of body", "application/json", "Content-Type %q is not taken here", streamdown.Shorten(hr.Header.Get("Content-Type"), 100))
	}
	if c := hr.Header.Get("Content-Encoding"); c != "" && c != "identity" {
		return refuse(http.StatusUnsupportedMediaType, "encoding", "unknown Content-Encoding", "none", "a stream is not inflated")
	}
	if len(hr.Header["Idempotency-Key"]) > 0 {
		return refuse(http.StatusBadRequest, "idempotency_key", "no Idempotency-Key here", "POST /v1/topics/{topic}", "a stream has no end that could be repeated")
	}
	if p := d.hold(hr.Context(), 2*d.cfg.MaxOpenBytes); p != nil {
		return p
	}
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex() // HTTP/2 is so without being asked
	s := &stream{
		door: d, w: w, hr: hr, control: control, topic: topic, of: t, cluster: quoted(cluster), logID: d.cfg.LogID().String(), r: newRequest(formREST),
		in: &pacedBody{door: d, body: hr.Body, control: control, began: time.Now(), left: 1 << 62, grace: d.cfg.BodyGrace},
	}
	defer d.release(s.r)
	return s.run()
}

// stream is one request of records under way.
type stream struct {
	door    *Door
	w       http.ResponseWriter
	hr      *http.Request
	control *http.ResponseController
	topic   string
	of      *catalog.Topic
	cluster []byte // as a JSON string
	logID   string
	in      *pacedBody
	r       *request
	frame   framer
	slots   []slot // one for each record of this round
	out     []byte
	begun   bool // an answer was written
	full    bool // the last read filled the buffer
}

// slot is the answer to one record.
type slot struct {
	record         int // its index among those that are stored, -1 if it is not
	problem        *Problem
	keyIs, valueIs string // types; empty = null
}

func (s *stream) run() *Problem {
	for {
		last, end := s.read()
		p := s.round()
		if p == nil {
			p = end
		}
		switch {
		case p != nil && !s.begun && len(s.slots) == 0:
			return p
		case end != nil:
			s.slots = append(s.slots, slot{record: -1, problem: end})
		}
		s.answer()
		if last || p != nil {
			if !s.begun {
				return refuse(http.StatusBadRequest, "empty", "no records", "send at least one record", "the body holds none")
			}
			return nil
		}
	}
}

// read reads until there is a whole record, or no more comes.
func (s *stream) read() (last bool, p *Problem) {
	d, r := s.door, s.r
	for !s.frame.find(r.body) {
		if s.frame.bad {
			return true, malformed("record", errNoObject)
		}
		if int64(len(r.body)) >= d.cfg.MaxBody {
			return true, d.tooLarge()
		}
		if s.full && cap(r.body) < smallBody {
			r.body = slices.Grow(r.body, cap(r.body)) // it comes fast: larger batches
		}
		if p := d.grow(s.hr.Context(), r, -1); p != nil {
			return true, p
		}
		idle := !s.frame.open()
		if s.in.grace = d.cfg.BodyGrace; idle {
			s.in.began, s.in.read, s.in.grace = time.Now(), 0, idleStream
		}
		n, err := s.in.Read(r.body[len(r.body):min(cap(r.body), int(d.cfg.MaxBody))])
		r.body = r.body[:len(r.body)+n]
		s.full = len(r.body) == cap(r.body)
		if idle {
			s.in.began = time.Now()
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			switch {
			case s.frame.find(r.body):
				return false, nil // the end is met again when these are stored
			case s.frame.bad:
				return true, malformed("record", errNoObject)
			case s.frame.open():
				return true, malformed("record", errJSONEnd)
			}
			return true, nil
		default:
			return true, d.unread(err)
		}
	}
	return false, nil
}

// idleStream is how long a stream may be silent between two records.
const idleStream = time.Minute

var errNoObject = errors.New("a record is a JSON object")

// round stores the whole records that were read, and leaves the rest of the buffer for the next one.
func (s *stream) round() *Problem {
	d, r := s.door, s.r
	clear(r.records)
	clear(r.headers)
	r.records, r.headers, r.arena, r.chunks, s.slots = r.records[:0], r.headers[:0], r.arena[:0], r.chunks[:0], s.slots[:0]
	now, from := d.cfg.Now(), 0
	var broken *Problem
	for _, to := range s.frame.ends {
		if len(s.slots) == d.cfg.MaxRecords {
			break
		}
		one := s.parse(r.body[from:to], now)
		from = to
		s.slots = append(s.slots, one)
		if one.problem != nil && one.problem.Status == http.StatusBadRequest {
			broken = one.problem // what follows cannot be told apart for certain
			break
		}
	}
	if p := d.may(s.hr, s.topic); p != nil && len(r.records) > 0 {
		// The right was taken away while the stream goes on.
		for i := range s.slots {
			s.slots[i].problem, s.slots[i].record = p, -1
		}
		broken, r.records = p, r.records[:0]
	}
	if len(r.records) > 0 {
		limit := time.Now().Add(d.cfg.AnswerWithin)
		_ = s.control.SetWriteDeadline(limit.Add(30 * time.Second))
		at := d.stickies.get(s.topic)
		p := r.place(s.topic, s.of, &at, now)
		if p == nil {
			d.stickies.put(s.topic, at)
			p = d.store(r, s.topic, s.of, nil, now, limit)
		}
		d.stats.acked(formREST, d.outcome(r).stored)
		if broken == nil {
			broken = p
		}
		s.fill(p)
	}
	s.answer()
	s.slots = s.slots[:0]
	s.frame.drop(r, from)
	return broken
}

// fill gives those records their problem that were not stored.
func (s *stream) fill(p *Problem) {
	for i := range s.slots {
		one := &s.slots[i]
		if one.record < 0 {
			continue
		}
		rec := &s.r.records[one.record]
		switch {
		case rec.chunk >= 0 && int(rec.chunk) < len(s.r.chunks) && s.r.chunks[rec.chunk].stored():
		case rec.chunk >= 0 && int(rec.chunk) < len(s.r.chunks) && !s.r.chunks[rec.chunk].answered:
			one.problem = undecided("the log did not say in time whether it has the record")
		case p != nil:
			one.problem = p
		default:
			one.problem = undecided("the log did not say whether it has the record")
		}
	}
}

// answer writes the answers to the round's records.
func (s *stream) answer() {
	if len(s.slots) == 0 {
		return
	}
	if !s.begun {
		s.begun = true
		s.w.Header().Set("Content-Type", "application/json")
		s.w.WriteHeader(http.StatusOK)
	}
	b := s.out[:0]
	for i := range s.slots {
		b = s.appendAnswer(b, &s.slots[i])
	}
	s.out = b
	if cap(b) > 1<<20 {
		s.out = nil
	}
	_, _ = s.w.Write(b) // who went away needs no answer
	_ = s.control.Flush()
}

func (s *stream) appendAnswer(b []byte, one *slot) []byte {
	if p := one.problem; p != nil {
		message, err := json.Marshal(p.Title + ": " + streamdown.Shorten(p.Detail, 500) + "; try: " + p.Try)
		if err != nil {
			message = []byte(`""`)
		}
		b = strconv.AppendInt(append(b, `{"error_code":`...), int64(p.Status), 10)
		return append(append(append(b, `,"message":`...), message...), '}', '\n')
	}
	rec := &s.r.records[one.record]
	c := &s.r.chunks[rec.chunk]
	k := c.part.known()
	offset, ordinal := int64(-1), int64(-1)
	if k.seen {
		ordinal = int64(k.from) + int64(rec.delta)
	}
	if k.base != streamdown.NoOffset {
		offset = int64(k.base) + int64(rec.delta)
	}
	b = append(append(append(b, `{"error_code":200,"cluster_id":`...), s.cluster...), `,"topic_name":"`...)
	b = strconv.AppendInt(append(append(b, s.topic...), `","partition_id":`...), int64(rec.partition), 10)
	b = appendNumber(append(b, `,"offset":`...), offset)
	if rec.timestamp >= 0 {
		b = time.UnixMilli(rec.timestamp).UTC().AppendFormat(append(b, `,"timestamp":"`...), "2006-01-02T15:04:05.000Z")
		b = append(b, '"')
	}
	b = appendSize(append(b, `,"key":`...), one.keyIs, rec.key)
	b = appendSize(append(b, `,"value":`...), one.valueIs, rec.value)
	b = append(append(append(b, `,"streamdown":{"log_id":"`...), s.logID...), `","ordinal":`...)
	b = appendNumber(b, ordinal)
	if k.atTarget {
		return append(b, `,"stored":"target"}}`+"\n"...)
	}
	return append(b, `,"stored":"this_disk"}}`+"\n"...)
}

// appendSize writes {"type":…,"size":…}, or null.
func appendSize(b []byte, kind string, data []byte) []byte {
	if kind == "" {
		return append(b, "null"...)
	}
	b = append(append(append(b, `{"type":"`...), kind...), `","size":`...)
	return append(strconv.AppendInt(b, int64(len(data)), 10), '}')
}

func quoted(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		return []byte(`""`)
	}
	return b
}

// parse reads one record and checks what the topic would refuse.
func (s *stream) parse(object []byte, now time.Time) slot {
	r := s.r
	rec := r.add()
	one := slot{record: len(r.records) - 1}
	headers := len(r.headers)
	if err := r.restRecord(bytes.TrimLeft(object, " \t\r\n"), rec, &one, s.door.cfg.MaxDepth); err != nil {
		one.problem = asProblem(err)
	} else {
		one.problem = r.refuses(rec, s.topic, s.of, now)
	}
	if one.problem != nil {
		r.records, r.headers, one.record = r.records[:one.record], r.headers[:headers], -1
	}
	return one
}

// restRecord reads {"partition_id":…,"headers":[{"name":…,"value":…}],"key":{"type":…,"data":…},"value":…,"timestamp":…}.
func (r *request) restRecord(object []byte, rec *record, one *slot, depth int) error {
	s := scanner{b: object, depth: depth}
	saw := 0
	err := s.object(func(name []byte) (err error) {
		var bit int
		switch string(name) {
		case "key":
			bit = sawKey
			rec.key, one.keyIs, err = r.restData(&s)
		case "value":
			bit = sawValue
			rec.value, one.valueIs, err = r.restData(&s)
		case "headers":
			bit = sawHeaders
			err = r.restHeaders(&s, rec)
		case "partition_id":
			bit = sawPartition
			var n int64
			n, err = whole(&s, "partition_id", 1<<31-1)
			rec.partition = int32(n) //nolint:gosec // 31 bits
		case "timestamp":
			bit = sawTimestamp
			rec.timestamp, err = restTime(&s)
		default:
			return invalid("unknown member %q", streamdown.Shorten(string(name), 60))
		}
		if err == nil && saw&bit != 0 {
			return invalid("%s is there twice", name)
		}
		saw |= bit
		return err
	})
	if err != nil {
		return err
	}
	return s.end()
}

// restTime reads a time of RFC 3339, or null.
func restTime(s *scanner) (int64, error) {
	switch s.peek() {
	case 'n':
		return noTime, s.skip()
	case '"':
		raw, err := s.quoted()
		if err != nil {
			return 0, err
		}
		t, err := time.Parse(time.RFC3339, string(raw))
		if err != nil || t.UnixMilli() < 0 {
			return 0, invalid("timestamp %q is not a time of RFC 3339 since 1970", streamdown.Shorten(string(raw), 60))
		}
		return t.UnixMilli(), nil
	}
	if _, err := s.value(); err != nil {
		return 0, err
	}
	return 0, invalid("timestamp is not a string")
}

// restData reads {"type":"BINARY"|"JSON"|"STRING","data":…}, or null.
func (r *request) restData(s *scanner) (data []byte, kind string, err error) {
	if s.peek() == 'n' {
		return nil, "", s.skip()
	}
	var raw []byte
	if s.peek() != '{' {
		if _, err := s.value(); err != nil {
			return nil, "", err
		}
		return nil, "", invalid("key and value are objects with type and data, or null")
	}
	err = s.object(func(name []byte) error {
		isType := string(name) == "type"
		if !isType && string(name) != "data" {
			return invalid("%q is not known here: type and data are", streamdown.Shorten(string(name), 60))
		}
		if isType && kind != "" || !isType && raw != nil {
			return invalid("%s is there twice", name)
		}
		v, err := s.value()
		if err != nil {
			return err
		}
		if !isType {
			raw = v
			return nil
		}
		for _, known := range []string{"BINARY", "JSON", "STRING"} {
			if string(v[1:max(len(v)-1, 1)]) == known && v[0] == '"' {
				kind = known
			}
		}
		if kind == "" {
			return invalid("type %s is not taken: BINARY, JSON and STRING are", streamdown.Shorten(string(v), 60))
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, "", err
	case kind == "":
		return nil, "", invalid("type is missing: BINARY, JSON or STRING")
	case raw == nil || string(raw) == "null" && kind != "JSON":
		return nil, "", nil
	case kind == "JSON":
		return raw, kind, nil
	case raw[0] != '"':
		return nil, "", invalid("data of type %s is a string", kind)
	}
	data, err = unquote(&r.arena, raw[1:len(raw)-1])
	if err == nil && kind == "BINARY" {
		data, err = unbase64(&r.arena, data)
	}
	if err != nil {
		return nil, "", invalid("data: %v", err)
	}
	if data == nil {
		data = []byte{}
	}
	return data, kind, nil
}

// restHeaders reads [{"name":…,"value":base64 or null}], or null.
func (r *request) restHeaders(s *scanner, rec *record) error {
	if s.peek() == 'n' {
		return s.skip()
	}
	return s.array(func() error {
		var name, value []byte
		named := false
		err := s.object(func(member []byte) error {
			isName := string(member) == "name"
			if !isName && string(member) != "value" {
				return invalid("%q is not known here: name and value are", streamdown.Shorten(string(member), 60))
			}
			if isName && named || !isName && value != nil {
				return invalid("%s is there twice", member)
			}
			if !isName && s.peek() == 'n' {
				return s.skip()
			}
			raw, err := s.quoted()
			if err != nil {
				return err
			}
			text, err := unquote(&r.arena, raw)
			if err != nil {
				return invalid("header: %v", err)
			}
			if isName {
				name, named = text, true
				return nil
			}
			if value, err = unbase64(&r.arena, text); err != nil {
				return invalid("header: %v", err)
			}
			if value == nil {
				value = []byte{}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if !named {
			return invalid("a header has no name")
		}
		r.header(rec, name, value)
		return nil
	})
}
