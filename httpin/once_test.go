package httpin

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/streamdown/streamdown/auth"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/ingest"
)

func TestARepeatedKeyIsAnsweredAsBeforeAndStoredOnce(t *testing.T) {
	h := newHouse(t)
	for i, c := range []struct{ path, body, kind string }{
		{"/v1/topics/orders", "1\n2\n3\n", ndjson},
		{"/v1/topics/orders?lines=record", `{"key":"a","value":1}` + "\n" + `{"key":"b","value":2}` + "\n" + `{"key":"c","value":3}`, ndjson},
		{"/v1/topics/orders?key=k", "raw", octets},
	} {
		key := fmt.Sprintf(`"key-%d"`, i)
		first := h.post(c.path, c.body, "Content-Type", c.kind, "Idempotency-Key", key)
		h.good(first, 200)
		n := len(h.all())
		again := h.post(c.path, c.body, "Content-Type", c.kind, "Idempotency-Key", key)
		h.good(again, 200)
		if again.Body.String() != first.Body.String() || again.Header().Get("Streamdown-Receipt") != first.Header().Get("Streamdown-Receipt") {
			t.Errorf("%s: answered %s, before %s", key, again.Body, first.Body)
		}
		if first.Header().Get("Idempotency-Replayed") != "" || again.Header().Get("Idempotency-Replayed") != "true" {
			t.Errorf("%s: replays are not told apart", key)
		}
		if len(h.all()) != n {
			t.Errorf("%s: stored again: %v", key, h.all())
		}
		// Without quotes it is the same key; with another topic it is another.
		h.good(h.post(c.path, c.body, "Content-Type", c.kind, "Idempotency-Key", strings.Trim(key, `"`)), 200)
		h.problem(h.post(c.path, c.body+"\n", "Content-Type", c.kind, "Idempotency-Key", key), 422, "idempotency_key_reused")
		if len(h.all()) != n {
			t.Errorf("%s: stored again: %v", key, h.all())
		}
	}
	h.good(h.post("/v1/topics/one", "1\n2\n3\n", "Content-Type", ndjson, "Idempotency-Key", "key-0"), 200)
}

// After a restart only what is in the log can tell: also when the batches cannot be equal to the byte, because the door
// gave them their timestamps.
func TestARepeatedKeyIsStoredOnceAcrossRestarts(t *testing.T) {
	h := newHouse(t)
	var lines strings.Builder
	for i := range 30 {
		fmt.Fprintf(&lines, `{"key":"k%d","value":"%s"}`+"\n", i, strings.Repeat("v", 9000)) // several batches a partition
	}
	send := func(key, body string) int {
		w := h.post("/v1/topics/orders?lines=record", body, "Content-Type", ndjson, "Idempotency-Key", key)
		if w.Code >= 300 {
			return w.Code
		}
		if s := h.good(w, w.Code); len(s.Records) != strings.Count(body, "\n") {
			t.Errorf("%d records answered", len(s.Records))
		}
		if (w.Code == http.StatusAccepted) != (w.Header().Get("Idempotency-Replayed") != "") {
			t.Errorf("%d, replayed %q", w.Code, w.Header().Get("Idempotency-Replayed"))
		}
		return w.Code
	}
	timed := `{"value":1,"timestamp":1700000000000}` + "\n"
	if got := send("a", lines.String()); got != 200 {
		t.Fatal(got)
	}
	if got := send("b", timed); got != 200 {
		t.Fatal(got)
	}
	if n := len(h.all()); n != 31 {
		t.Fatalf("%d records", n)
	}
	for range 2 {
		h = h.restart()
		for _, c := range []struct {
			key, body string
			want      int
		}{{"a", lines.String(), 202}, {"b", timed, 202}, {"b", `{"value":2,"timestamp":1700000000000}` + "\n", 422}} {
			if got := send(c.key, c.body); got != c.want {
				t.Errorf("%s %.40s: %d, want %d", c.key, c.body, got, c.want)
			}
		}
		if n := len(h.all()); n != 0 {
			t.Fatalf("%d records were stored again: %v", n, h.all()[0])
		}
	}
	// Another request under the key, whatever its hash: both directions of it are met.
	h = h.restart()
	for i := range 40 {
		if got := send("a", strings.Replace(lines.String(), "vv", fmt.Sprint(i+10), 1)); got != 422 {
			t.Errorf("another request under a used key: %d", got)
		}
	}
	if n := len(h.all()); n != 0 {
		t.Fatalf("%d records of another request were stored", n)
	}
}

// restart closes the log and opens it again with a door that remembers nothing.
func (h *house) restart() *house {
	h.t.Helper()
	if err := h.log.Close(); err != nil {
		h.t.Fatal(err)
	}
	return openHouse(h.t, h.fs)
}

// What a crash or a full log left out of a request, its repeat adds.
func TestARepeatAddsWhatTheFirstTimeLeftOut(t *testing.T) {
	for name, again := range map[string]func(h *house) *house{
		"at once":         func(h *house) *house { return h },
		"after a restart": (*house).restart,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			var lines strings.Builder
			for i := range 40 {
				fmt.Fprintf(&lines, `{"key":"k%d","value":"%d %s"}`+"\n", i%20, i, strings.Repeat("v", 9000))
			}
			cut := &cutIntake{Intake: h.in, left: 2}
			h.door.intake = cut
			p := h.problem(h.post("/v1/topics/orders?lines=record", lines.String(), "Content-Type", ndjson, "Idempotency-Key", "k"), 503, "undecided")
			if p.Stored != "unknown" || len(p.Records) == 0 {
				t.Errorf("%+v", p)
			}
			first := h.all()
			if len(first) == 0 || len(first) == 40 {
				t.Fatalf("%d records were stored", len(first))
			}
			was := h
			if h = again(h); h == was {
				h.door.intake, first = h.in, nil
			}
			w := h.post("/v1/topics/orders?lines=record", lines.String(), "Content-Type", ndjson, "Idempotency-Key", "k")
			if w.Code != 202 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			seen := map[string]int{}
			for _, r := range append(first, h.all()...) {
				seen[r.value[:2]]++
			}
			if len(seen) != 40 {
				t.Errorf("%d of 40 records are there", len(seen))
			}
			for v, n := range seen {
				if n != 1 {
					t.Errorf("record %q is there %d times", v, n)
				}
			}
		})
	}
}

// cutIntake takes some batches and leaves open what became of the next.
type cutIntake struct {
	Intake
	left int
}

func (c *cutIntake) Produce(r ingest.Request, done func(ingest.Result)) {
	if c.left--; c.left < 0 {
		done(ingest.Result{Close: true})
		return
	}
	c.Intake.Produce(r, done)
}

func TestAKeyUnderWayIsAConflict(t *testing.T) {
	h := newHouse(t)
	stuck := &stuckIntake{in: h.in, met: make(chan struct{}), free: make(chan struct{})}
	h.door.intake = stuck
	answered := make(chan int)
	go func() {
		answered <- h.post("/v1/topics/one", "1", "Content-Type", ndjson, "Idempotency-Key", "k").Code
	}()
	<-stuck.met
	if p := h.problem(h.post("/v1/topics/one", "1", "Content-Type", ndjson, "Idempotency-Key", "k"), 409, "idempotency_key_in_use"); p.Stored != "none" {
		t.Error(p)
	}
	close(stuck.free)
	if code := <-answered; code != 200 {
		t.Fatal(code)
	}
	h.good(h.post("/v1/topics/one", "1", "Content-Type", ndjson, "Idempotency-Key", "k"), 200)
	if n := len(h.all()); n != 1 {
		t.Errorf("%d records", n)
	}
}

type stuckIntake struct {
	in        Intake
	met, free chan struct{}
}

func (s *stuckIntake) Produce(r ingest.Request, done func(ingest.Result)) {
	close(s.met)
	<-s.free
	s.in.Produce(r, done)
}

// Keys take places that producers with a Kafka client need too.
func TestTooManyKeysAreToldToWait(t *testing.T) {
	var m onceMemory
	now := time.Now()
	for i := range maxKeys {
		if p := m.charge("t", []int32{1}, now); p != nil {
			t.Fatal(i, p)
		}
	}
	p := m.charge("t", []int32{0, 1}, now)
	if p == nil || p.Status != 429 || p.retry <= 0 || p.retry > keptFor {
		t.Fatal(p)
	}
	if p := m.charge("t", []int32{0}, now); p != nil {
		t.Fatal(p)
	}
	if p := m.charge("t", []int32{1}, now.Add(keptFor+time.Second)); p == nil {
		t.Fatal("forgotten too early: the keys of the half before count")
	}
	if p := m.charge("t", []int32{1}, now.Add(3*keptFor)); p != nil {
		t.Fatal(p)
	}
}

func TestMemoryOfAnswersIsBounded(t *testing.T) {
	var m onceMemory
	now := time.Now()
	body := make([]byte, 1<<20)
	for i := range 100 {
		k := &onceKey{id: [16]byte{byte(i), 1}}
		if a, p := m.begin(k, now); a != nil || p != nil {
			t.Fatal(a, p)
		}
		m.end(k, 200, "", body)
	}
	if m.bytes > keptBytes+2<<20 || m.order.Len() != len(m.keys) || len(m.keys) > 20 {
		t.Fatalf("%d bytes in %d answers", m.bytes, len(m.keys))
	}
	if _, p := m.begin(&onceKey{id: [16]byte{200}}, now.Add(2*keptFor)); p != nil || len(m.keys) != 1 || m.bytes != 0 {
		t.Fatalf("%d answers, %d bytes after their time", len(m.keys), m.bytes)
	}
}

// A key leaves nothing open when partitions are added in between: the request is another then, and says so where the
// first one is met.
func TestAddedPartitionsDoNotPassForTheSameRequest(t *testing.T) {
	h := newHouse(t)
	h.good(h.post("/v1/topics/one?key=k", "v", "Content-Type", octets, "Idempotency-Key", "k"), 200)
	h.door.once = onceMemory{}
	h.topics["one"] = &catalog.Topic{Name: "one", Partitions: make([]catalog.Partition, 1), Config: catalog.TopicConfig{MaxMessageBytes: 50_000}}
	h.problem(h.post("/v1/topics/one?key=k", "v", "Content-Type", octets, "Idempotency-Key", "k"), 422, "idempotency_key_reused")
}

// The id of a key is what it was before there were users, and with users each has keys of its own.
func TestKeysBelongToUsers(t *testing.T) {
	id := func(who *auth.Principal, topic, key string) [16]byte {
		hr := httptest.NewRequest(http.MethodPost, "/v1/topics/"+topic, nil)
		if who != nil {
			hr = hr.WithContext(auth.WithPrincipal(hr.Context(), who))
		}
		r := newRequest(formLines)
		defer r.release()
		return newOnceKey(topic, key, hr, r, 3, 1000).id
	}
	if got := fmt.Sprintf("%x", id(nil, "orders", "k")); got != "94b5021b9d7c2f30dbbf9ccbf7ec4778" {
		t.Errorf("the id without a user is %s: keys from before an upgrade are forgotten", got)
	}
	ana, bob := &auth.Principal{Name: "ana"}, &auth.Principal{Name: "bob"}
	seen := map[[16]byte]string{}
	for name, one := range map[string][16]byte{
		"nobody": id(nil, "orders", "k"), "ana": id(ana, "orders", "k"), "bob": id(bob, "orders", "k"), "ana, another topic": id(ana, "clicks", "k"),
		"a user whose name is a topic": id(&auth.Principal{Name: "orders"}, "k", ""),
	} {
		if other, there := seen[one]; there {
			t.Errorf("%s and %s share a key", name, other)
		}
		seen[one] = name
	}
	if id(ana, "orders", "k") != id(&auth.Principal{Name: "ana", Mechanism: auth.Bearer}, "orders", "k") {
		t.Error("a user's key depends on how the user logged in")
	}
}
