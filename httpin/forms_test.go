package httpin

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// Each form, as a client sends it, and the record that Kafka gets: the CloudEvents ones are those of the specification's
// HTTP and Kafka bindings.
func TestEachFormBecomesTheRecordItStandsFor(t *testing.T) {
	v3 := "/v3/clusters/kafka-1/topics/one/records"
	ce := []string{"ce-specversion", "1.0", "ce-type", "com.example.someevent", "ce-source", "/mycontext/subcontext", "ce-id", "1234-1234-1234"}
	ceHeaders := []string{"ce_id=1234-1234-1234", "ce_source=/mycontext/subcontext", "ce_specversion=1.0", "ce_type=com.example.someevent"}
	with := func(list []string, more ...string) []string { return append(append([]string(nil), list...), more...) }
	for _, c := range []struct {
		name, path, body string
		header           []string
		want             []storedRecord
	}{
		{"octets", "/v1/topics/one", "\x00\xffraw", []string{"Content-Type", octets}, []storedRecord{{nullKey: true, value: "\x00\xffraw"}}},
		{"octets with key and time", "/v1/topics/one?key=k%201&timestamp=1700000000000&partition=0", "v", []string{"Content-Type", octets},
			[]storedRecord{{key: "k 1", value: "v", timestamp: 1700000000000}}},
		{"octets, empty", "/v1/topics/one?key=k", "", []string{"Content-Type", octets}, []storedRecord{{key: "k"}}},
		{"lines", "/v1/topics/one", "{\"a\": 1}\r\n\n  [2]\n\"x\\u00e9\"\n3e400", []string{"Content-Type", ndjson},
			[]storedRecord{{nullKey: true, value: `{"a": 1}`}, {nullKey: true, value: "[2]"}, {nullKey: true, value: `"x\u00e9"`}, {nullKey: true, value: "3e400"}}},
		{"lines of records", "/v1/topics/one?lines=record", `{"key":"k\n1","value":{"a":[1]},"headers":{"h":"x","n":null,"j":{"y":1}},"partition":0,"timestamp":1700000000123}` + "\n" +
			`{"value":"text \ud83d\ude00","key":null}` + "\n" + `{"key":7,"value":null}`, []string{"Content-Type", ndjson},
			[]storedRecord{{key: "k\n1", value: `{"a":[1]}`, headers: []string{"h=x", "n=", `j={"y":1}`}, timestamp: 1700000000123}, {nullKey: true, value: "text 😀"}, {key: "7", nullValue: true}}},
		{"event, binary", "/v1/topics/one", `{"x":1}`, with(ce, "Content-Type", "application/json; charset=utf-8", "ce-partitionkey", "p1", "ce-comexampleextension1", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
			[]storedRecord{{key: "p1", value: `{"x":1}`, headers: with([]string{"ce_comexampleextension1=Euro € 😀"}, "ce_id=1234-1234-1234", "ce_partitionkey=p1", "ce_source=/mycontext/subcontext", "ce_specversion=1.0", "ce_type=com.example.someevent", "content-type=application/json; charset=utf-8")}}},
		{"event, binary, no data", "/v1/topics/one", "", ce, []storedRecord{{nullKey: true, nullValue: true, headers: ceHeaders}}},
		{"event, structured", "/v1/topics/one", `{"specversion":"1.0","type":"com.example.someevent","source":"/mycontext","id":"C234-1234-1234","time":"2018-04-05T17:31:00Z",` +
			`"comexampleextension1":"value","comexampleothervalue":5,"datacontenttype":"application/json","data":{"appinfoA":"abc","appinfoB":123,"appinfoC":true}}`,
			[]string{"Content-Type", "application/cloudevents+json; charset=UTF-8"},
			[]storedRecord{{nullKey: true, value: `{"appinfoA":"abc","appinfoB":123,"appinfoC":true}`, headers: []string{"ce_specversion=1.0", "ce_type=com.example.someevent", "ce_source=/mycontext", "ce_id=C234-1234-1234",
				"ce_time=2018-04-05T17:31:00Z", "ce_comexampleextension1=value", "ce_comexampleothervalue=5", "content-type=application/json"}}}},
		{"events, batch", "/v1/topics/one", `[{"specversion":"1.0","type":"t","source":"/s","id":"1","datacontenttype":"text/xml","data":"<much wow=\"xml\"/>","unset":null,"yes":true},` +
			`{"specversion":"1.0","type":"t","source":"/s","id":"2","partitionkey":"k","data_base64":"AAH/"},{"specversion":"1.0","type":"t","source":"/s","id":"3","data":"text"}]`,
			[]string{"Content-Type", "application/cloudevents-batch+json"},
			[]storedRecord{
				{nullKey: true, value: `<much wow="xml"/>`, headers: []string{"ce_specversion=1.0", "ce_type=t", "ce_source=/s", "ce_id=1", "ce_yes=true", "content-type=text/xml"}},
				{key: "k", value: "\x00\x01\xff", headers: []string{"ce_specversion=1.0", "ce_type=t", "ce_source=/s", "ce_id=2", "ce_partitionkey=k"}},
				{nullKey: true, value: `"text"`, headers: []string{"ce_specversion=1.0", "ce_type=t", "ce_source=/s", "ce_id=3", "content-type=application/json"}},
			}},
		{"REST v3", v3, `{"partition_id":0,"headers":[{"name":"h","value":"AQI="},{"name":"n","value":null}],"key":{"type":"BINARY","data":"Zm9v"},"value":{"type":"JSON","data":{"foo": "bar"}},"timestamp":"2023-11-14T22:13:20.5Z"}` +
			"{\"value\":{\"type\":\"STRING\",\"data\":\"a\\tb\"}}\n\n" + `{"key":{"data":[1],"type":"JSON"},"value":null}`, []string{"Content-Type", "application/json"},
			[]storedRecord{{key: "foo", value: `{"foo": "bar"}`, headers: []string{"h=\x01\x02", "n="}, timestamp: 1700000000500}, {nullKey: true, value: "a\tb"}, {key: "[1]", nullValue: true}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t)
			w := h.post(c.path, c.body, c.header...)
			if w.Code != http.StatusOK {
				t.Fatalf("%d: %s", w.Code, w.Body)
			}
			got := h.all()
			if len(got) != len(c.want) {
				t.Fatalf("%d records, want %d: %v", len(got), len(c.want), got)
			}
			for i := range got {
				g, want := got[i], c.want[i]
				want.tp, want.ordinal = g.tp, g.ordinal
				if want.timestamp == 0 {
					want.timestamp = g.timestamp
				}
				if !reflect.DeepEqual(g, want) {
					t.Errorf("record %d:\n got %+v\nwant %+v", i, g, want)
				}
			}
			if c.path != v3 {
				s := h.good(w, 200)
				for i, r := range s.Records {
					if r.Offset == nil || *r.Offset != int64(i) || r.Ordinal == nil || *r.Ordinal != int64(i) || !*r.Stored {
						t.Errorf("record %d: %s", i, w.Body)
					}
				}
				if want := fmt.Sprintf("%s/one/0/0-%d", h.log.ID(), len(got)-1); w.Header().Get("Streamdown-Receipt") != want {
					t.Errorf("receipt %q, want %q", w.Header().Get("Streamdown-Receipt"), want)
				}
			}
		})
	}
}

func TestRecordsGoWhereKafkasDefaultPartitionerWouldPutThem(t *testing.T) {
	// org.apache.kafka.common.utils.UtilsTest.testMurmur2.
	for key, want := range map[string]int32{"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107} {
		if got := int32(murmur2([]byte(key))); got != want { //nolint:gosec // as Java shows it
			t.Errorf("murmur2(%q) = %d, want %d", key, got, want)
		}
	}
	h := newHouse(t)
	var lines strings.Builder
	for i := range 60 {
		fmt.Fprintf(&lines, `{"key":"k%d","value":%d}`+"\n", i%7, i)
	}
	s := h.good(h.post("/v1/topics/orders?lines=record", lines.String(), "Content-Type", ndjson), 200)
	used := map[int32]bool{}
	for i, r := range s.Records {
		if want := byKey(fmt.Appendf(nil, "k%d", i%7), 3); r.Partition != want {
			t.Errorf("record %d is in %d, want %d", i, r.Partition, want)
		}
		used[r.Partition] = true
	}
	if len(used) != 3 {
		t.Errorf("only %d partitions were used", len(used))
	}
	last := map[string]int{}
	for _, r := range h.all() {
		at := 0
		if _, err := fmt.Sscan(r.value, &at); err != nil {
			t.Fatal(err)
		}
		if was, ok := last[r.key]; ok && was > at {
			t.Errorf("key %s: %d behind %d", r.key, at, was)
		}
		last[r.key] = at
	}
	// Without keys a partition is kept for 16 KiB.
	body := strings.Repeat(`"`+strings.Repeat("x", 1000)+`"`+"\n", 100)
	s = h.good(h.post("/v1/topics/orders", body, "Content-Type", ndjson), 200)
	changes := 0
	for i := 1; i < len(s.Records); i++ {
		if s.Records[i].Partition != s.Records[i-1].Partition {
			changes++
		}
	}
	if changes < 5 || changes > 7 {
		t.Errorf("the partition changed %d times in 100 KB, want about 6", changes)
	}
}

func TestLargeRequestsAreCutAsTheTopicDemands(t *testing.T) {
	h := newHouse(t)
	body := strings.Repeat(`"`+strings.Repeat("x", 9000)+`"`+"\n", 50) // 450 KB, batches of at most 100 KB
	s := h.good(h.post("/v1/topics/one", body, "Content-Type", ndjson), 200)
	if len(s.Records) != 50 {
		t.Fatalf("%d records", len(s.Records))
	}
	for i, r := range s.Records {
		if r.Offset == nil || *r.Offset != int64(i) {
			t.Errorf("record %d: %+v", i, r)
		}
	}
	// One byte below and above what a topic takes in one batch.
	for size, status := range map[int]int{100_000 - 61 - 3 - 1 - 3 - 1 - 3: 200, 100_000 - 61 - 3 - 1 - 3 - 1 - 3 + 1: 413} {
		if w := h.post("/v1/topics/one", strings.Repeat("x", size), "Content-Type", octets); w.Code != status {
			t.Errorf("%d bytes: %d %s", size, w.Code, w.Body)
		}
	}
}
