package httpin

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/ingest"
)

// sink takes everything and keeps nothing but the number of records.
type sink struct{ records int }

func (s *sink) Produce(r ingest.Request, done func(ingest.Result)) {
	if h, err := batch.ParseHeader(r.Records); err == nil {
		s.records += int(h.Count)
	}
	done(ingest.Result{})
}

// bare is a door without a log behind it, so that what a request costs is the door's alone.
func bare(t testing.TB) (*house, *sink) {
	t.Helper()
	h := &house{t: t, book: delivery.New(), topics: map[string]*catalog.Topic{}}
	for _, name := range []string{"one", "orders"} {
		h.topics[name] = &catalog.Topic{Name: name, Partitions: make([]catalog.Partition, 1), Config: catalog.TopicConfig{MaxMessageBytes: 100_000, AfterMax: time.Hour}}
	}
	s := &sink{}
	cfg := Config{LogID: func() streamdown.ID { return streamdown.ID{1} }, MaxBody: 1 << 20, MaxRecords: 2000}
	var err error
	if h.door, err = New(cfg, s, h, NewReceipts(nil, h.book)); err != nil {
		t.Fatal(err)
	}
	h.mux = http.NewServeMux()
	h.mount()
	return h, s
}

// kinds are the ways in, by number.
var kinds = []struct {
	path   string
	header []string
}{
	{"/v1/topics/orders", []string{"Content-Type", ndjson}},
	{"/v1/topics/orders?lines=record", []string{"Content-Type", ndjson}},
	{"/v1/topics/orders", []string{"Content-Type", "application/cloudevents+json"}},
	{"/v1/topics/orders", []string{"Content-Type", "application/cloudevents-batch+json"}},
	{"/v1/topics/orders", []string{"Content-Type", octets}},
	{"/v3/clusters/kafka-1/topics/orders/records", []string{"Content-Type", "application/json"}},
	{"/v1/topics/orders", []string{"Content-Type", ndjson, "Content-Encoding", "gzip"}},
	{"/v1/topics/orders", []string{"Content-Type", ndjson, "Content-Encoding", "zstd"}},
	{"/v1/topics/orders", []string{"Content-Type", "a/b", "ce-id", "1", "ce-type", "t", "ce-source", "/s", "ce-specversion", "1.0"}},
}

// FuzzBody fails when a body is answered with a fault of ours, or costs more than 10 ms of CPU or 8 times its size.
func FuzzBody(f *testing.F) {
	for _, c := range hostiles(f) {
		if len(c.body) > 10_000 {
			continue
		}
		for i, k := range kinds {
			if k.path == strings.Replace(c.path, "/one", "/orders", 1) && len(c.header) >= len(k.header) && c.header[1] == k.header[1] {
				f.Add(uint8(i), c.body) //nolint:gosec // few
			}
		}
	}
	f.Add(uint8(5), []byte(`{"partition_id":0,"headers":[{"name":"h","value":"AQI="}],"key":{"type":"BINARY","data":"Zm9v"},"value":{"type":"JSON","data":{"foo":1}},"timestamp":"2023-11-14T22:13:20Z"}`))
	f.Add(uint8(1), []byte(`{"key":"k","value":{"a":[1,2.5e3,"\u00e9\ud83d\ude00"]},"headers":{"h":"x"},"partition":2,"timestamp":1700000000123}`))
	h, _ := bare(f)
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		h.t = t
		k := kinds[int(kind)%len(kinds)]
		if len(body) > 1<<20 {
			return
		}
		var w *httptest.ResponseRecorder
		cpu, allocated := cost(t, func() { w = h.send(http.MethodPost, k.path, bytes.NewReader(body), k.header...) })
		if w.Code == 500 || w.Code == 0 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		inflates := len(k.header) > 2 && k.header[2] == "Content-Encoding"
		if limit := uint64(8*len(body) + mostBytes); cpu > mostCPU && !raceEnabled || allocated > limit && !inflates {
			t.Fatalf("%v of CPU and %d bytes for a body of %d by way %d: %.100q", cpu, allocated, len(body), int(kind)%len(kinds), body)
		}
		if open := h.door.room.bytes(); open != 0 {
			t.Fatalf("%d bytes stay open", open)
		}
	})
}

// FuzzHeaders puts text into every place of a head that the door reads.
func FuzzHeaders(f *testing.F) {
	for _, s := range []string{"", "1.0", "%zz", "\"a\\\"b\"", "%e2%82%ac", "\xff", "a;b=c", "key=1&partition=2", "gzip", "application/cloudevents+json; charset=utf-8"} {
		f.Add(s, s, s, s, s)
	}
	h, _ := bare(f)
	f.Fuzz(func(t *testing.T, media, coding, key, attribute, query string) {
		if len(media)+len(coding)+len(key)+len(attribute)+len(query) > 16<<10 {
			return // net/http refuses it
		}
		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1/v1/topics/one", strings.NewReader("{}"))
		r.URL.RawQuery = query
		for name, value := range map[string]string{"Content-Type": media, "Content-Encoding": coding, "Idempotency-Key": key, "Ce-Ext": attribute, "Ce-Id": attribute} {
			if value != "" {
				r.Header[name] = []string{value}
			}
		}
		var w *httptest.ResponseRecorder
		cpu, allocated := cost(t, func() {
			r.Body = io.NopCloser(strings.NewReader("{}"))
			w = httptest.NewRecorder()
			h.mux.ServeHTTP(w, r)
		})
		if w.Code == 500 || cpu > mostCPU && !raceEnabled || allocated > mostBytes {
			t.Fatalf("%d, %v of CPU, %d bytes: %s", w.Code, cpu, allocated, w.Body)
		}
	})
}

// FuzzJSON compares the scanner with encoding/json: it takes nothing that this refuses, and refuses of what this takes
// only text that is not UTF-8, and depth. Strings come out the same.
func FuzzJSON(f *testing.F) {
	for _, text := range jsonEvils() {
		if len(text) < 10_000 {
			f.Add([]byte(text))
		}
	}
	f.Add([]byte(`{"a":[1,-2.5e-3,true,false,null,"\u00e9\ud83d\ude00\n\/"]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s := scanner{b: text, depth: 100}
		err := s.skip()
		if err == nil {
			err = s.end()
		}
		if valid := json.Valid(text); valid != (err == nil) && (err == nil || utf8.Valid(text) && !strings.Contains(err.Error(), errJSONDepth.Error())) {
			t.Fatalf("%q: %v, valid by encoding/json: %v", text, err, valid)
		}
		if err != nil || len(text) == 0 {
			return
		}
		if text = bytes.TrimSpace(text); text[0] != '"' {
			return
		}
		var arena []byte
		got, err := unquote(&arena, text[1:len(text)-1])
		var want string
		if jsonErr := json.Unmarshal(text, &want); jsonErr != nil {
			t.Fatal(jsonErr)
		}
		if err == nil && string(got) != want || err != nil && !strings.Contains(want, "\ufffd") {
			t.Fatalf("%q: %q %v, encoding/json says %q", text, got, err, want)
		}
	})
}
