package httpin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/ingest"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a door with a real intake and a real log on a disk in memory. Its target confirms what becomes durable at
// once while it is up.
type house struct {
	t      testing.TB
	fs     *vfs.Mem
	door   *Door
	in     *ingest.Intake
	book   *delivery.Book
	log    *wal.Log
	mux    *http.ServeMux
	policy ingest.Policy
	topics map[string]*catalog.Topic
	unseen bool // the target was never seen

	mu     sync.Mutex // guards the following
	up     bool
	ends   map[streamdown.LaneID]streamdown.Offset
	stored []storedRecord
}

type storedRecord struct {
	tp         streamdown.TopicPartition
	ordinal    streamdown.Ordinal
	key, value string
	nullKey    bool
	nullValue  bool
	timestamp  int64
	headers    []string // "name=value"
}

func (r storedRecord) String() string {
	return fmt.Sprintf("%s@%d %q=%q %v", r.tp, r.ordinal, r.key, r.value, r.headers)
}

// BookID, Apply, Snapshot and Restore make the house a book: it sees what the log holds, and is the target.
func (h *house) BookID() byte { return 99 }

func (h *house) Apply(e *wal.Entry) {
	if e.Kind != wal.KindBatch || h.log == nil { // while it is opened
		return
	}
	tp, _ := h.log.LaneName(e.Lane)
	h.mu.Lock()
	n := 0
	for rec, err := range batch.Records(e.Body) {
		if err != nil {
			h.t.Error(err)
		}
		s := storedRecord{tp: tp, ordinal: e.Ordinal + streamdown.Ordinal(rec.OffsetDelta), key: string(rec.Key), value: string(rec.Value), nullKey: rec.Key == nil, nullValue: rec.Value == nil, timestamp: rec.Timestamp}
		for _, x := range rec.Headers {
			s.headers = append(s.headers, string(x.Key)+"="+string(x.Value))
		}
		h.stored = append(h.stored, s)
		n++
	}
	confirm := h.up
	h.ends[e.Lane] += streamdown.Offset(n)
	end := h.ends[e.Lane]
	h.mu.Unlock()
	if confirm {
		h.book.Confirm(e.Lane, e.Ordinal+streamdown.Ordinal(e.Count), end)
	}
}

func (h *house) Snapshot(dst []byte) []byte { return dst }
func (h *house) Restore([]byte) error       { return nil }

func newHouse(t testing.TB, edit ...func(*Config, *house)) *house {
	t.Helper()
	return openHouse(t, vfs.NewMem(), edit...)
}

func openHouse(t testing.TB, fs *vfs.Mem, edit ...func(*Config, *house)) *house {
	t.Helper()
	h := &house{t: t, fs: fs, book: delivery.New(), up: true, ends: map[streamdown.LaneID]streamdown.Offset{}, policy: ingest.Policy{Remote: true, Patience: 5 * time.Second}}
	conf := catalog.TopicConfig{MaxMessageBytes: 100_000, AfterMax: time.Hour}
	compacted := conf
	compacted.Compacted = true
	h.topics = map[string]*catalog.Topic{
		"orders":  {Name: "orders", Partitions: make([]catalog.Partition, 3), Config: conf},
		"one":     {Name: "one", Partitions: make([]catalog.Partition, 1), Config: conf},
		"compact": {Name: "compact", Partitions: make([]catalog.Partition, 2), Config: compacted},
		"empty":   {Name: "empty"},
	}
	cfg := Config{LogID: func() streamdown.ID { return h.log.ID() }, MaxBody: 1 << 20, HoldFor: 50 * time.Millisecond, MaxRecords: 2000}
	for _, e := range edit {
		e(&cfg, h)
	}
	h.in = ingest.New(ingest.Config{
		Confirmations: h.book, HoldFor: 20 * time.Millisecond, Cluster: h.Cluster,
		Policy: func(topic string) (ingest.Policy, bool) { return h.policy, h.Takes(topic) },
	})
	receipts := NewReceipts(h.in, h.book)
	var err error
	if h.log, _, err = wal.Open(wal.Config{FS: fs, Dir: "/d", Books: []wal.Book{h.book, receipts, h}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.log.Close() })
	h.in.Attach(h.log)
	h.book.SetUp(h.up)
	if h.door, err = New(cfg, h.in, h, receipts); err != nil {
		t.Fatal(err)
	}
	h.mux = http.NewServeMux()
	h.mount()
	return h
}

func (h *house) mount() {
	for i, serve := range [routeCount]http.HandlerFunc{routeTopic: h.door.PostTopic, routeREST: h.door.PostRecords, routeOpenAPI: h.door.OpenAPI} {
		h.mux.Handle(routes[i].Path, serve)
	}
}

func (h *house) Cluster() *catalog.Cluster {
	if h.unseen {
		return nil
	}
	return &catalog.Cluster{ID: "kafka-1", Topics: h.topics}
}

func (h *house) Takes(topic string) bool { return !strings.HasPrefix(topic, "secret") }

func (h *house) down() {
	h.mu.Lock()
	h.up = false
	h.mu.Unlock()
	h.book.SetUp(false)
}

func (h *house) all() []storedRecord {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]storedRecord(nil), h.stored...)
}

// post sends one request, with header pairs, and returns the answer.
func (h *house) post(path, body string, header ...string) *httptest.ResponseRecorder {
	return h.send(http.MethodPost, path, strings.NewReader(body), header...)
}

func (h *house) send(method, path string, body io.Reader, header ...string) *httptest.ResponseRecorder {
	h.t.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1:8790"+path, body)
	for i := 0; i+1 < len(header); i += 2 {
		switch {
		case header[i] == "Host":
			r.Host = header[i+1]
		case r.Header.Get(header[i]) != "":
			r.Header.Add(header[i], header[i+1])
		default:
			r.Header.Set(header[i], header[i+1])
		}
	}
	w := httptest.NewRecorder()
	h.mux.ServeHTTP(w, r)
	return w
}

// said is a good answer's body.
type said struct {
	Topic   string `json:"topic"`
	LogID   string `json:"log_id"`
	Stored  string `json:"stored"`
	Records []struct {
		Partition int32  `json:"partition"`
		Offset    *int64 `json:"offset"`
		Ordinal   *int64 `json:"ordinal"`
		Stored    *bool  `json:"stored"`
	} `json:"records"`
}

func (h *house) good(w *httptest.ResponseRecorder, status int) (s said) {
	h.t.Helper()
	if w.Code != status || w.Header().Get("Content-Type") != "application/json" {
		h.t.Fatalf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	d := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		h.t.Fatalf("%v in %s", err, w.Body)
	}
	return s
}

// problem wants an answer to be a whole problem of that status and code.
func (h *house) problem(w *httptest.ResponseRecorder, status int, code string) (p Problem) {
	h.t.Helper()
	if w.Code != status || w.Header().Get("Content-Type") != "application/problem+json" {
		h.t.Fatalf("status %d %q, want %d %s: %.500s", w.Code, w.Header().Get("Content-Type"), status, code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		h.t.Fatal(err)
	}
	if p.Status != status || code != "" && p.Code != code || p.Title == "" || p.Detail == "" || p.Try == "" || p.Type != "about:blank" || p.Stored == "" {
		h.t.Fatalf("incomplete or other than %d %s: %s", status, code, w.Body)
	}
	if (status == 503 || status == 429) && w.Header().Get("Retry-After") == "" {
		h.t.Fatalf("no Retry-After: %s", w.Body)
	}
	return p
}

const (
	ndjson = "application/x-ndjson"
	octets = "application/octet-stream"
)
