package httpin

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/streamdown/streamdown/ingest"
)

func TestWhileTheTargetIsAwayTheAnswerIsAReceipt(t *testing.T) {
	h := newHouse(t)
	h.good(h.post("/v1/topics/one", "1", "Content-Type", ndjson), 200)
	h.down()
	w := h.post("/v1/topics/one", "2\n3", "Content-Type", ndjson)
	s := h.good(w, 202)
	if s.Stored != "this_disk" || s.LogID != h.log.ID().String() {
		t.Errorf("%+v", s)
	}
	for i, r := range s.Records {
		if r.Offset != nil || *r.Ordinal != int64(i+1) || !*r.Stored {
			t.Errorf("record %d: %s", i, w.Body)
		}
	}
	if want := fmt.Sprintf("%s/one/0/1-2", h.log.ID()); w.Header().Get("Streamdown-Receipt") != want {
		t.Errorf("receipt %q, want %q", w.Header().Get("Streamdown-Receipt"), want)
	}
	// acks: wal never waits for the target.
	h = newHouse(t, func(_ *Config, h *house) { h.policy = ingest.Policy{} })
	h.mu.Lock()
	h.up = false // silent, and nobody noticed
	h.mu.Unlock()
	if s := h.good(h.post("/v1/topics/one", "1", "Content-Type", ndjson), 202); s.Records[0].Offset != nil {
		t.Errorf("%+v", s)
	}
	// when_isolated: reject.
	h = newHouse(t, func(_ *Config, h *house) { h.policy.RejectIsolated = true })
	h.down()
	h.problem(h.post("/v1/topics/one", "1", "Content-Type", ndjson), 503, "isolated")
	if n := len(h.all()); n != 0 {
		t.Errorf("%d records of a refused request were stored", n)
	}
}

// An offset is said only when the target's answer for that very batch told it.
func TestAnOffsetIsNeverAGuess(t *testing.T) {
	h := newHouse(t)
	h.down()
	for range 3 {
		h.good(h.post("/v1/topics/one", "1", "Content-Type", ndjson), 202)
	}
	h.mu.Lock()
	h.up = true
	h.ends[0] += 100 // others wrote to the partition
	h.mu.Unlock()
	h.book.SetUp(true)
	h.book.SetLive(0, true)
	s := h.good(h.post("/v1/topics/one", "2\n3", "Content-Type", ndjson), 200)
	// The target confirms the three that waited and these two with one word: where the first of these is, is not known.
	for i, r := range s.Records {
		if want := int64(103 + i); r.Offset != nil && *r.Offset != want {
			t.Errorf("record %d: offset %d, is at %d", i, *r.Offset, want)
		}
	}
	s = h.good(h.post("/v1/topics/one", "4", "Content-Type", ndjson), 200)
	if r := s.Records[0]; r.Offset == nil || *r.Offset != 105 {
		t.Errorf("%+v", r)
	}
}

func TestRefusalsSayWhatToTryAndStoreNothing(t *testing.T) {
	ev := func(extra string) string {
		return `{"specversion":"1.0","type":"t","source":"/s","id":"1"` + extra + `}`
	}
	const one, v3 = "/v1/topics/one", "/v3/clusters/kafka-1/topics/one/records"
	sj := "application/cloudevents+json"
	for _, c := range []struct {
		name, path, body string
		header           []string
		status           int
		code             string
	}{
		{"unknown topic", "/v1/topics/nosuch", "1", []string{"Content-Type", ndjson}, 404, "unknown_topic"},
		{"topic of no stream", "/v1/topics/secret", "1", []string{"Content-Type", ndjson}, 404, "topic_not_taken"},
		{"no topic's name", "/v1/topics/a%20b", "1", []string{"Content-Type", ndjson}, 400, "topic_name"},
		{"a name with a slash", "/v1/topics/a%2Fb", "1", []string{"Content-Type", ndjson}, 400, "topic_name"},
		{"no partitions yet", "/v1/topics/empty", "1", []string{"Content-Type", ndjson}, 503, "topic_unseen"},
		{"no content type", one, "1", nil, 415, "content_type"},
		{"plain JSON", one, "{}", []string{"Content-Type", "application/json"}, 415, "content_type"},
		{"event in XML", one, "<a/>", []string{"Content-Type", "application/cloudevents+xml"}, 415, "content_type"},
		{"two content types", one, "1", []string{"Content-Type", ndjson, "Content-Type", octets}, 400, "content_type"},
		{"latin-1", one, "1", []string{"Content-Type", ndjson + "; charset=iso-8859-1"}, 415, "charset"},
		{"br", one, "1", []string{"Content-Type", ndjson, "Content-Encoding", "br"}, 415, "encoding"},
		{"no gzip", one, "1", []string{"Content-Type", ndjson, "Content-Encoding", "gzip"}, 400, "encoding"},
		{"no zstd", one, "12345678", []string{"Content-Type", ndjson, "Content-Encoding", "zstd"}, 400, "encoding"},
		{"too large", one, strings.Repeat("1\n", 1<<19) + "1", []string{"Content-Type", ndjson}, 413, "body_too_large"},
		{"too many", one, strings.Repeat("1\n", 2001), []string{"Content-Type", ndjson}, 413, "too_many_records"},
		{"record too large", one, strings.Repeat("x", 100_001), []string{"Content-Type", octets}, 413, "record_too_large"},
		{"nothing", one, "\n \n", []string{"Content-Type", ndjson}, 400, "empty"},
		{"no JSON", one, "{\"a\":1}\n{oops\n", []string{"Content-Type", ndjson}, 400, "malformed"},
		{"unknown query", one + "?kye=1", "1", []string{"Content-Type", octets}, 400, "query"},
		{"query twice", one + "?key=1&key=2", "1", []string{"Content-Type", octets}, 400, "query"},
		{"query that does not fit", one + "?key=1", "1", []string{"Content-Type", ndjson}, 400, "query"},
		{"broken query", one + "?key=%zz", "1", []string{"Content-Type", octets}, 400, "query"},
		{"lines of what", one + "?lines=csv", "1", []string{"Content-Type", ndjson}, 400, "query"},
		{"negative partition", one + "?partition=-1", "1", []string{"Content-Type", octets}, 400, "query"},
		{"no such partition", one + "?partition=1", "1", []string{"Content-Type", octets}, 422, "invalid"},
		{"timestamp far ahead", one + "?timestamp=9223372036854775807", "1", []string{"Content-Type", octets}, 422, "invalid"},
		{"no key", "/v1/topics/compact", "1", []string{"Content-Type", ndjson}, 422, "invalid"},
		{"line without value", one + "?lines=record", `{"key":1}`, []string{"Content-Type", ndjson}, 422, "invalid"},
		{"line with a typo", one + "?lines=record", `{"vlaue":1}`, []string{"Content-Type", ndjson}, 422, "invalid"},
		{"line with value twice", one + "?lines=record", `{"value":1,"value":2}`, []string{"Content-Type", ndjson}, 422, "invalid"},
		{"line with a broken partition", one + "?lines=record", `{"value":1,"partition":1.0}`, []string{"Content-Type", ndjson}, 422, "invalid"},
		{"event without id", one, `{"specversion":"1.0","type":"t","source":"/s"}`, []string{"Content-Type", sj}, 422, "invalid"},
		{"event of another version", one, `{"specversion":"0.3","type":"t","source":"/s","id":"1"}`, []string{"Content-Type", sj}, 422, "invalid"},
		{"event with two data", one, ev(`,"data":1,"data_base64":"AA=="`), []string{"Content-Type", sj}, 422, "invalid"},
		{"event with id twice", one, ev(`,"id":"2"`), []string{"Content-Type", sj}, 422, "invalid"},
		{"event with bad base64", one, ev(`,"data_base64":"AA="`), []string{"Content-Type", sj}, 422, "invalid"},
		{"event with an object for an attribute", one, ev(`,"ext":{}`), []string{"Content-Type", sj}, 422, "invalid"},
		{"event with a large number", one, ev(`,"ext":2147483648`), []string{"Content-Type", sj}, 422, "invalid"},
		{"event with a bad name", one, ev(`,"Ext":1`), []string{"Content-Type", sj}, 422, "invalid"},
		{"event with a bad time", one, ev(`,"time":"yesterday"`), []string{"Content-Type", sj}, 422, "invalid"},
		{"event with half a pair", one, ev(`,"ext":"\ud800"`), []string{"Content-Type", sj}, 422, "invalid"},
		{"batch that is an event", one, ev(``), []string{"Content-Type", "application/cloudevents-batch+json"}, 400, "malformed"},
		{"empty batch", one, `[]`, []string{"Content-Type", "application/cloudevents-batch+json"}, 400, "empty"},
		{"binary event without source", one, "", []string{"ce-id", "1", "ce-type", "t", "ce-specversion", "1.0"}, 422, "invalid"},
		{"binary event, bad percent", one, "", []string{"ce-id", "%zz", "ce-type", "t", "ce-specversion", "1.0", "ce-source", "/s"}, 422, "invalid"},
		{"binary event, header twice", one, "", []string{"ce-id", "1", "ce-id", "2", "ce-type", "t", "ce-specversion", "1.0", "ce-source", "/s"}, 422, "invalid"},
		{"long key", one, "1", []string{"Content-Type", ndjson, "Idempotency-Key", strings.Repeat("k", 256)}, 400, "idempotency_key"},
		{"empty key", one, "1", []string{"Content-Type", ndjson, "Idempotency-Key", `""`}, 400, "idempotency_key"},
		{"another host", one, "1", []string{"Content-Type", ndjson, "Host", "rebound.example:8790"}, 421, "host"},
		{"another origin", one, "1", []string{"Content-Type", ndjson, "Origin", "https://evil.example"}, 403, "cross_origin"},
		{"another site", one, "1", []string{"Content-Type", ndjson, "Sec-Fetch-Site", "cross-site"}, 403, "cross_origin"},
		{"another cluster", "/v3/clusters/other/topics/one/records", `{}`, []string{"Content-Type", "application/json"}, 404, "unknown_cluster"},
		{"stream of lines", v3, `{}`, []string{"Content-Type", ndjson}, 415, "content_type"},
		{"stream with a key", v3, `{}`, []string{"Content-Type", "application/json", "Idempotency-Key", "k"}, 400, "idempotency_key"},
		{"compressed stream", v3, `{}`, []string{"Content-Type", "application/json", "Content-Encoding", "gzip"}, 415, "encoding"},
		{"empty stream", v3, " \n", []string{"Content-Type", "application/json"}, 400, "empty"},
		{"stream of a list", v3, "[]", []string{"Content-Type", "application/json"}, 400, "malformed"},
		{"stream that is cut", v3, `{"value":`, []string{"Content-Type", "application/json"}, 400, "malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t)
			if p := h.problem(h.post(c.path, c.body, c.header...), c.status, c.code); p.Stored != "none" {
				t.Errorf("%+v", p)
			}
			if n := len(h.all()); n != 0 {
				t.Errorf("%d records were stored", n)
			}
			if open := h.door.Stats().OpenBytes; open != 0 {
				t.Errorf("%d bytes stay open", open)
			}
		})
	}
	h := newHouse(t, func(_ *Config, h *house) { h.unseen = true })
	h.problem(h.post(one, "1", "Content-Type", ndjson), 503, "target_unseen")
}

func TestAProblemNamesTheRecords(t *testing.T) {
	h := newHouse(t)
	p := h.problem(h.post("/v1/topics/one", "1\nx\n3\n[\n", "Content-Type", ndjson), 400, "malformed")
	if len(p.Errors) != 2 || p.Errors[0].Record != 1 || p.Errors[1].Record != 3 {
		t.Errorf("%+v", p.Errors)
	}
	p = h.problem(h.post("/v1/topics/one", "1\n2\n\""+strings.Repeat("x", 100_000)+"\"\n", "Content-Type", ndjson), 413, "record_too_large")
	if len(p.Errors) != 1 || p.Errors[0].Record != 2 {
		t.Errorf("%+v", p)
	}
	if n := len(h.all()); n != 0 {
		t.Errorf("%d records were stored", n)
	}
}

func TestCompressedBodiesAreInflatedWithinBounds(t *testing.T) {
	h := newHouse(t)
	squeeze := map[string]func([]byte) []byte{
		"gzip": func(b []byte) []byte {
			var out bytes.Buffer
			w := gzip.NewWriter(&out)
			_, _ = w.Write(b) // into memory
			_ = w.Close()
			return out.Bytes()
		},
		"zstd": func(b []byte) []byte {
			w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
			if err != nil {
				t.Fatal(err)
			}
			return w.EncodeAll(b, nil)
		},
	}
	for coding, f := range squeeze {
		for range 2 { // decoders are used again
			n := len(h.all())
			h.good(h.post("/v1/topics/one", string(f([]byte("1\n2\n3\n"))), "Content-Type", ndjson, "Content-Encoding", coding), 200)
			if got := len(h.all()) - n; got != 3 {
				t.Errorf("%s: %d records", coding, got)
			}
			whole := f(bytes.Repeat([]byte("1\n"), 500))
			h.problem(h.post("/v1/topics/one", string(whole[:len(whole)-5]), "Content-Type", ndjson, "Content-Encoding", coding), 400, "encoding")
			bomb := f(make([]byte, 64<<20))
			before := time.Now()
			h.problem(h.post("/v1/topics/one", string(bomb), "Content-Type", octets, "Content-Encoding", coding), 413, "body_too_large")
			if took := time.Since(before); took > time.Second {
				t.Errorf("%s: a bomb of %d bytes took %v", coding, len(bomb), took)
			}
		}
	}
}

// Who is let in is asked before a byte of the body is read.
func TestWhoMayNotIsRefusedBeforeTheBody(t *testing.T) {
	h := newHouse(t, func(c *Config, _ *house) {
		c.Authorizer = rights{"one": nil, "orders": errors.New("ana may not write to orders"), "compact": unknown{}}
	})
	for topic, status := range map[string]int{"one": 200, "orders": 403, "compact": 401} {
		body := &watched{Reader: strings.NewReader("1")}
		w := h.send(http.MethodPost, "/v1/topics/"+topic, body, "Content-Type", ndjson, "Host", "streamdown.internal")
		if w.Code != status || body.read != (status == 200) {
			t.Errorf("%s: %d, body read: %v: %s", topic, w.Code, body.read, w.Body)
		}
		w = h.send(http.MethodPost, "/v3/clusters/kafka-1/topics/"+topic+"/records", strings.NewReader(`{"value":null}`), "Content-Type", "application/json")
		if w.Code != status {
			t.Errorf("%s: %d %s", topic, w.Code, w.Body)
		}
	}
}

type rights map[string]error

func (r rights) Authorize(_ *http.Request, topic string) error { return r[topic] }

type unknown struct{}

func (unknown) Error() string   { return "log in" }
func (unknown) HTTPStatus() int { return 401 }

type watched struct {
	io.Reader
	read bool
}

func (w *watched) Read(b []byte) (int, error) {
	w.read = true
	return w.Reader.Read(b)
}

func TestARequestWithoutRoomIsHeldAndThenToldToComeAgain(t *testing.T) {
	h := newHouse(t)
	h.door.room.add(2 * h.door.cfg.MaxOpenBytes)
	h.problem(h.post("/v1/topics/one", "1", "Content-Type", ndjson), 503, "busy")
	h.door.cfg.HoldFor = time.Minute
	answered := make(chan int)
	go func() { answered <- h.post("/v1/topics/one", "1", "Content-Type", ndjson).Code }()
	for h.door.Stats().Held < 2 {
		select {
		case code := <-answered:
			t.Fatal("not held:", code)
		case <-time.After(time.Millisecond):
		}
	}
	h.door.room.add(-2 * h.door.cfg.MaxOpenBytes)
	if code := <-answered; code != 200 {
		t.Fatal(code)
	}
	// A full log: held by the intake, then refused.
	h.door.intake = fullIntake{}
	if p := h.problem(h.post("/v1/topics/one", "1", "Content-Type", ndjson), 503, "no_room"); p.Stored != "none" {
		t.Errorf("%+v", p)
	}
}

type fullIntake struct{}

func (fullIntake) Produce(_ ingest.Request, done func(ingest.Result)) {
	done(ingest.Result{Code: 56, Message: "the log is full"})
}

func TestAStreamIsAnsweredRecordByRecord(t *testing.T) {
	h := newHouse(t)
	s := httptest.NewServer(h.mux)
	defer s.Close()
	pr, pw := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v3/clusters/kafka-1/topics/one/records", pr)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	send := func(text string) {
		if _, err := io.WriteString(pw, text); err != nil {
			t.Error(err)
		}
	}
	go send(`{"value":{"type":"JSON","data":0}}{"value":{"type":"JSON","da`)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	next := func() (code int, offset *int64, message string) {
		t.Helper()
		if !lines.Scan() {
			t.Fatal("the stream ended:", lines.Err())
		}
		var a struct {
			Code    int    `json:"error_code"`
			Offset  *int64 `json:"offset"`
			Message string `json:"message"`
		}
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		return a.Code, a.Offset, a.Message
	}
	if code, offset, m := next(); code != 200 || offset == nil || *offset != 0 {
		t.Fatal(code, offset, m)
	}
	send(`ta":1}}`) // the rest of the second, only after the first is answered
	if code, offset, m := next(); code != 200 || *offset != 1 {
		t.Fatal(code, offset, m)
	}
	send(`{"partition_id":7,"value":null}{"value":{"type":"STRING","data":"2"}}`)
	if code, _, m := next(); code != 422 || !strings.Contains(m, "partition 7") {
		t.Fatal(code, m)
	}
	if code, offset, m := next(); code != 200 || *offset != 2 {
		t.Fatal(code, offset, m)
	}
	go func() { _, _ = io.WriteString(pw, `{"value" 1}{"value":null}`) }() // the server may be gone
	if code, _, _ := next(); code != 400 {
		t.Fatal(code)
	}
	if lines.Scan() {
		t.Fatal("an answer behind what could not be understood:", lines.Text())
	}
	_ = pw.Close()
	if n := len(h.all()); n != 3 {
		t.Errorf("%d records", n)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// HTTP/2 comes with TLS, as net/http negotiates it.
func TestHTTP2(t *testing.T) {
	h := newHouse(t)
	s := httptest.NewUnstartedServer(h.mux)
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	for range 3 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v1/topics/one", strings.NewReader("1\n"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", ndjson)
		resp, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusOK {
			t.Errorf("%s %d", resp.Proto, resp.StatusCode)
		}
	}
}

func TestSlowBodiesAreCutOff(t *testing.T) {
	h := newHouse(t, func(c *Config, _ *house) { c.BodyGrace = 50 * time.Millisecond })
	s := httptest.NewServer(h.mux)
	defer s.Close()
	for _, path := range []string{"/v1/topics/one", "/v3/clusters/kafka-1/topics/one/records"} {
		pr, pw := io.Pipe()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+path, pr)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", ndjson)
		if strings.HasPrefix(path, "/v3") {
			r.Header.Set("Content-Type", "application/json")
		}
		go func() { _, _ = io.WriteString(pw, `{"value":`) }()
		resp, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusRequestTimeout {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
		_ = resp.Body.Close()
		_ = pw.Close()
	}
}

func TestAKindOfRefusalIsLoggedOnceAMinute(t *testing.T) {
	var out bytes.Buffer
	h := newHouse(t, func(c *Config, _ *house) { c.Logger = slog.New(slog.NewTextHandler(&out, nil)) })
	for range 50 {
		h.post("/v1/topics/nosuch", "1", "Content-Type", ndjson)
		h.post("/v1/topics/one", "x", "Content-Type", ndjson)
	}
	if n := strings.Count(out.String(), "\n"); n != 2 {
		t.Errorf("%d lines:\n%s", n, &out)
	}
}

// A right that is taken away counts for a stream that is under way, too: from its next records on.
func TestARightThatIsTakenAwayEndsAStream(t *testing.T) {
	r := &revocable{}
	h := newHouse(t, func(c *Config, _ *house) { c.Authorizer = r })
	in, out := io.Pipe()
	defer out.Close()
	first := `{"value":{"type":"STRING","data":"before"}}`
	go func() {
		_, _ = io.WriteString(out, first)
		for r.asked.Load() < 2 { // once for the request, once for its first records
			<-time.NewTimer(time.Millisecond).C
		}
		r.revoked.Store(true)
		_, _ = io.WriteString(out, strings.Replace(first, "before", "after", 1))
	}()
	w := h.send(http.MethodPost, "/v3/clusters/kafka-1/topics/one/records", in, "Content-Type", "application/json")
	answers := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
	if len(answers) != 2 || !strings.Contains(answers[0], `"error_code":200`) || !strings.Contains(answers[1], `"error_code":403`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if all := h.all(); len(all) != 1 || all[0].value != "before" {
		t.Errorf("stored: %v", all)
	}
}

type revocable struct {
	asked   atomic.Int64
	revoked atomic.Bool
}

func (r *revocable) Authorize(*http.Request, string) error {
	defer r.asked.Add(1)
	if r.revoked.Load() {
		return errors.New("not any more")
	}
	return nil
}
