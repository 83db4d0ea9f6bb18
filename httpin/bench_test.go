package httpin

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/ingest"
)

// nowhere takes everything.
type nowhere struct{}

func (nowhere) Produce(_ ingest.Request, done func(ingest.Result)) { done(ingest.Result{}) }

// blank is an answer that nobody reads.
type blank struct{ h http.Header }

func (b *blank) Header() http.Header         { return b.h }
func (b *blank) Write(p []byte) (int, error) { return len(p), nil }
func (b *blank) WriteHeader(int)             {}

// BenchmarkDoor is what the door itself does with a request: no connection, no log. Figures are per record.
func BenchmarkDoor(b *testing.B) {
	const records = 1000
	value := strings.Repeat("v", 80)
	var values, described, stream strings.Builder
	for i := range records {
		fmt.Fprintf(&values, `{"id":%d,"text":"%s"}`+"\n", i, value)
		fmt.Fprintf(&described, `{"key":"k%d","value":{"id":%d,"text":"%s"}}`+"\n", i%50, i, value)
		fmt.Fprintf(&stream, `{"key":{"type":"STRING","data":"k%d"},"value":{"type":"JSON","data":{"id":%d,"text":"%s"}}}`, i%50, i, value)
	}
	event := []string{"Content-Type", "application/json", "ce-id", "1234", "ce-type", "com.example.order", "ce-source", "/shop", "ce-specversion", "1.0"}
	for _, c := range []struct {
		name, path, body string
		header           []string
		records          int
	}{
		{"ndjson", "/v1/topics/orders", values.String(), []string{"Content-Type", ndjson}, records},
		{"ndjson-records", "/v1/topics/orders?lines=record", described.String(), []string{"Content-Type", ndjson}, records},
		{"rest-v3", "/v3/clusters/kafka-1/topics/orders/records", stream.String(), []string{"Content-Type", "application/json"}, records},
		{"event", "/v1/topics/orders", `{"id":1,"text":"` + value + `"}`, event, 1},
	} {
		b.Run(c.name, func(b *testing.B) {
			h, _ := bare(b)
			h.door.intake = nowhere{}
			h.door.cfg.MaxRecords = 10_000
			h.topics["orders"] = &catalog.Topic{Name: "orders", Partitions: make([]catalog.Partition, 6), Config: catalog.DefaultTopicConfig()}
			body := strings.NewReader(c.body)
			r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1"+c.path, nil)
			for i := 0; i+1 < len(c.header); i += 2 {
				r.Header.Set(c.header[i], c.header[i+1])
			}
			w := &blank{h: http.Header{}}
			run := func() {
				body.Reset(c.body)
				r.Body = io.NopCloser(body)
				clear(w.h)
				h.mux.ServeHTTP(w, r)
			}
			b.SetBytes(int64(len(c.body)))
			b.ReportAllocs()
			for b.Loop() {
				run()
			}
			b.ReportMetric(testing.AllocsPerRun(20, run)/float64(c.records), "allocs/record")
			b.ReportMetric(float64(b.N*c.records)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
