package httpin

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/streamdown/streamdown"
)

// CloudEvents 1.0.2 (cloudevents/spec: HTTP, JSON and Kafka protocol bindings). An event becomes a Kafka record in
// binary content mode: attributes are headers ce_…, datacontenttype is the header content-type, data is the value, and
// the extension partitionkey is the key.

const (
	maxAttributes = 100
	maxAttribute  = 64 // bytes of a name; the specification asks for 20 and no more than that of nobody
)

// The attributes without which there is no event.
const (
	hasID = 1 << iota
	hasSource
	hasType
	hasVersion
	hasAll = hasID | hasSource | hasType | hasVersion
)

// event gathers one event's attributes.
type event struct {
	r        *request
	rec      int // index of its record: the list may move
	has      int
	count    int
	dataType []byte
}

func (r *request) event() event {
	r.add()
	return event{r: r, rec: len(r.records) - 1}
}

func (e *event) record() *record { return &e.r.records[e.rec] }

// attribute takes one attribute; value is text.
func (e *event) attribute(name, value []byte) *Problem {
	if !attributeName(name) {
		return invalid("%q is not the name of an attribute: those are a-z and 0-9", streamdown.Shorten(string(name), maxAttribute))
	}
	if e.count++; e.count > maxAttributes {
		return invalid("more than %d attributes", maxAttributes)
	}
	if !utf8.Valid(value) || hasControl(value) {
		return invalid("attribute %s holds characters that no attribute may have", name)
	}
	rec := e.record()
	for _, h := range e.r.headersOf(rec) {
		if string(h.Key[len("ce_"):]) == string(name) {
			return invalid("attribute %s is there twice", name)
		}
	}
	required := 0
	switch string(name) {
	case "id":
		required = hasID
	case "source":
		required = hasSource
	case "type":
		required = hasType
	case "specversion":
		required = hasVersion
		if string(value) != "1.0" {
			return invalid("specversion %q is not known: this is 1.0", streamdown.Shorten(string(value), 20))
		}
	case "time":
		if _, err := time.Parse(time.RFC3339, string(value)); err != nil {
			return invalid("time %q is not a time of RFC 3339", streamdown.Shorten(string(value), 60))
		}
	case "datacontenttype":
		if e.dataType != nil {
			return invalid("attribute datacontenttype is there twice")
		}
		e.dataType = value
		return nil
	case "partitionkey":
		rec.key = value
		if rec.key == nil {
			rec.key = []byte{}
		}
	}
	if required != 0 && len(value) == 0 {
		return invalid("attribute %s is empty", name)
	}
	e.has |= required
	from := len(e.r.arena)
	e.r.arena = append(append(e.r.arena, "ce_"...), name...)
	e.r.header(rec, e.r.arena[from:len(e.r.arena):len(e.r.arena)], value)
	return nil
}

// finish checks that nothing is missing and takes the data; nil is none.
func (e *event) finish(data []byte) *Problem {
	for i, name := range []string{"id", "source", "type", "specversion"} {
		if e.has&(1<<i) == 0 {
			return invalid("attribute %s is missing", name)
		}
	}
	rec := e.record()
	rec.value = data
	if e.dataType != nil {
		e.r.header(rec, contentTypeKey, e.dataType)
	}
	return nil
}

var contentTypeKey = []byte("content-type")

// attributeName: lower-case letters and digits (CloudEvents 1.0.2, naming conventions).
func attributeName(name []byte) bool {
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return len(name) > 0 && len(name) <= maxAttribute
}

// isBinaryEvent reports whether headers carry an event.
func isBinaryEvent(h http.Header) bool {
	return len(h["Ce-Specversion"]) > 0 || len(h["Ce-Id"]) > 0 || len(h["Ce-Type"]) > 0
}

// binaryEvent reads an event in binary mode: attributes in headers ce-…, percent-encoded (HTTP binding, 3.1.3), data in
// the body.
func (r *request) binaryEvent(hr *http.Request) *Problem {
	e := r.event()
	names := make([]string, 0, 8)
	for name := range hr.Header {
		if strings.HasPrefix(name, "Ce-") {
			names = append(names, name)
		}
	}
	slices.Sort(names) // the same request makes the same record
	for _, name := range names {
		values := hr.Header[name]
		if len(values) != 1 {
			return invalid("header %s is there %d times", streamdown.Shorten(name, maxAttribute), len(values))
		}
		attribute := strings.ToLower(name[len("Ce-"):])
		if attribute == "datacontenttype" {
			return invalid("the type of the data is the header Content-Type, not ce-datacontenttype")
		}
		value, err := url.PathUnescape(unquoteHeader(values[0]))
		if err != nil {
			return invalid("header %s: %v", streamdown.Shorten(name, maxAttribute), err)
		}
		if p := e.attribute([]byte(attribute), []byte(value)); p != nil {
			return p
		}
	}
	if ct := hr.Header.Get("Content-Type"); ct != "" {
		if p := e.attribute([]byte("datacontenttype"), []byte(ct)); p != nil {
			return p
		}
	}
	var data []byte
	if len(r.body) > 0 || len(e.dataType) > 0 {
		data = r.body
	}
	return e.finish(data)
}

// unquoteHeader takes double quotes off, as the HTTP binding asks of receivers.
func unquoteHeader(v string) string {
	if len(v) < 2 || v[0] != '"' || v[len(v)-1] != '"' {
		return v
	}
	v = v[1 : len(v)-1]
	if !strings.Contains(v, `\`) {
		return v
	}
	var b strings.Builder
	for i := 0; i < len(v); i++ {
		if v[i] == '\\' && i+1 < len(v) {
			i++
		}
		b.WriteByte(v[i])
	}
	return b.String()
}

// structuredEvent reads the body as one event in the JSON format.
func (r *request) structuredEvent(depth int) *Problem {
	s := scanner{b: r.body, depth: depth}
	if p := r.jsonEvent(&s); p != nil {
		return p
	}
	if err := s.end(); err != nil {
		return malformed("event", err)
	}
	return nil
}

// batchedEvents reads the body as a list of events in the JSON format.
func (r *request) batchedEvents(depth, most int) *Problem {
	s := scanner{b: r.body, depth: depth + 1}
	err := s.array(func() error {
		at := len(r.records)
		if at >= most {
			return tooMany(most)
		}
		if p := r.jsonEvent(&s); p != nil {
			return p.of(at)
		}
		return nil
	})
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return asProblem(err)
	}
	return nil
}

func tooMany(most int) *Problem {
	return refuse(http.StatusRequestEntityTooLarge, "too_many_records", "too many records", "send fewer records in one request", "a request has at most %d records", most)
}

// jsonEvent reads one event in the JSON format (1.0.2).
func (r *request) jsonEvent(s *scanner) *Problem {
	e := r.event()
	var data, data64 []byte // as they stand there; nil = not there
	err := s.object(func(name []byte) error {
		name, err := unquote(&r.arena, name)
		if err != nil {
			return err
		}
		kind := s.peek()
		raw, err := s.value()
		if err != nil {
			return err
		}
		switch {
		case string(name) == "data":
			if data != nil || data64 != nil {
				return invalid("there are two of data and data_base64")
			}
			data = raw
			return nil
		case string(name) == "data_base64":
			if data != nil || data64 != nil {
				return invalid("there are two of data and data_base64")
			}
			if kind != '"' {
				return invalid("data_base64 is not a string")
			}
			data64 = raw[1 : len(raw)-1]
			return nil
		case kind == 'n': // null: an attribute that is not there
			return nil
		}
		text, p := r.attributeText(name, kind, raw)
		if p != nil {
			return p
		}
		if p := e.attribute(name, text); p != nil {
			return p
		}
		return nil
	})
	if err != nil {
		return asProblem(err)
	}
	value, p := r.eventData(&e, data, data64)
	if p != nil {
		return p
	}
	return e.finish(value)
}

// attributeText is an attribute's value in its canonical form as text.
func (r *request) attributeText(name []byte, kind byte, raw []byte) ([]byte, *Problem) {
	switch {
	case kind == '"':
		text, err := unquote(&r.arena, raw[1:len(raw)-1])
		if err != nil {
			return nil, invalid("attribute %s: %v", streamdown.Shorten(string(name), maxAttribute), err)
		}
		return text, nil
	case kind == 't' || kind == 'f':
		return raw, nil
	case kind != '{' && kind != '[' && isInt32(raw):
		return raw, nil
	}
	return nil, invalid("attribute %s is neither text nor boolean nor a whole number of 32 bits", streamdown.Shorten(string(name), maxAttribute))
}

func isInt32(raw []byte) bool {
	digits, limit := bytes.TrimPrefix(raw, []byte("-")), uint64(1<<31-1)
	if len(digits) != len(raw) {
		limit++
	}
	if len(digits) == 0 || len(digits) > 10 {
		return false
	}
	n := uint64(0)
	for _, c := range digits {
		if c < '0' || c > '9' {
			return false
		}
		n = n*10 + uint64(c-'0')
	}
	return n <= limit
}

// eventData is what becomes the record's value. JSON stays as it was written; a string whose type is not JSON is its
// text (JSON format, 3.1.1). A null is JSON's null where the type says JSON, and no data otherwise.
func (r *request) eventData(e *event, data, data64 []byte) ([]byte, *Problem) {
	if data64 != nil {
		text, err := unquote(&r.arena, data64)
		if err == nil {
			text, err = unbase64(&r.arena, text)
		}
		if err != nil {
			return nil, invalid("data_base64: %v", err)
		}
		if text == nil {
			text = []byte{}
		}
		return text, nil
	}
	if data == nil {
		return nil, nil
	}
	if e.dataType == nil {
		if string(data) == "null" {
			return nil, nil
		}
		e.dataType = jsonType
		return data, nil
	}
	if data[0] == '"' && !isJSON(string(e.dataType)) {
		text, err := unquote(&r.arena, data[1:len(data)-1])
		if err != nil {
			return nil, invalid("data: %v", err)
		}
		return text, nil
	}
	return data, nil
}

var jsonType = []byte("application/json")

// isJSON reports whether a media type is JSON: its subtype is json or ends with +json (JSON format, 3.1).
func isJSON(mediaType string) bool {
	mediaType, _, _ = strings.Cut(mediaType, ";")
	_, sub, _ := strings.Cut(strings.ToLower(strings.TrimSpace(mediaType)), "/")
	return sub == "json" || strings.HasSuffix(sub, "+json")
}
