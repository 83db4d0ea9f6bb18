package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamdown/streamdown/test/daemon"
)

// values reads what is in the topic until every wanted value was seen and nothing came for a moment, and counts each.
func values(t *testing.T, addr string, wanted map[string]bool) map[string]int {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	seen := map[string]int{}
	missing := len(wanted)
	deadline := time.Now().Add(time.Minute)
	for quiet := false; (!quiet || missing > 0) && time.Now().Before(deadline); {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		fs := cl.PollFetches(ctx)
		cancel()
		quiet = fs.NumRecords() == 0
		fs.EachRecord(func(r *kgo.Record) {
			v := string(r.Value)
			if seen[v]++; seen[v] == 1 && wanted[v] {
				missing--
			}
		})
	}
	return seen
}

// TestAckedOverHTTPIsStoredThroughKills has clients post while the gateway is killed -9 again and again. Each goes on
// with a request until it is answered well: with an Idempotency-Key every record is there once, without one at least
// once; and what was only ever refused is not there.
func TestAckedOverHTTPIsStoredThroughKills(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs a process")
	}
	c := cluster(t, t.TempDir())
	defer c.Close()
	httpThroughKills(t, c.ListenAddrs()[0], 3, func(int) {})
}

// httpThroughKills does between after each kill of the gateway.
func httpThroughKills(t *testing.T, broker string, kills int, between func(i int)) {
	t.Helper()
	dir := t.TempDir()
	binary, err := daemon.Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	d, err := daemon.Start(t.Context(), daemon.Options{Binary: binary, Dir: dir, Upstream: broker})
	if err != nil {
		t.Fatal(err)
	}
	waitTopic(t, d.HTTP())
	const clients = 6
	var (
		mu     sync.Mutex
		keyed  = map[string]bool{}
		plain  = map[string]bool{}
		tries  atomic.Int64
		goods  atomic.Int64
		replay atomic.Int64
		stop   = make(chan struct{})
		wg     sync.WaitGroup
	)
	for i := range clients {
		wg.Go(func() {
			for n := 0; ; n++ {
				if i%2 == 0 && n == 300 {
					return // a partition takes 1,500 keys
				}
				select {
				case <-stop:
					return
				default:
				}
				var body strings.Builder
				var sent []string
				for k := range 20 {
					v := fmt.Sprintf(`"%d/%d/%d"`, i, n, k)
					sent = append(sent, v)
					fmt.Fprintf(&body, `{"key":"k%d","value":%s}`+"\n", k%7, `{"v":`+v+`}`)
				}
				key := ""
				if i%2 == 0 {
					key = fmt.Sprintf(`"key-%d-%d"`, i, n)
				}
				for {
					tries.Add(1)
					status, replayed := post(t, d.HTTP(), body.String(), key)
					if status == 200 || status == 202 {
						goods.Add(1)
						if replayed {
							replay.Add(1)
						}
						break
					}
					if status != 0 && status != 503 && status != 409 {
						t.Errorf("status %d", status)
						return
					}
					pause := time.NewTimer(5 * time.Millisecond)
					<-pause.C
				}
				mu.Lock()
				for _, v := range sent {
					if key != "" {
						keyed[`{"v":`+v+`}`] = true
					} else {
						plain[`{"v":`+v+`}`] = true
					}
				}
				mu.Unlock()
			}
		})
	}
	for i := range kills {
		for begin := goods.Load(); goods.Load() < begin+60; {
			<-time.NewTimer(time.Millisecond).C
		}
		if err := d.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := d.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		between(i)
	}
	close(stop)
	wg.Wait()
	drained(t, d.HTTP())
	if err := d.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for v := range keyed {
		all[v] = true
	}
	for v := range plain {
		all[v] = true
	}
	seen := values(t, broker, all)
	twice := 0
	for v := range all {
		switch n := seen[v]; {
		case n == 0:
			t.Errorf("acked and not stored: %s", v)
		case n > 1 && keyed[v]:
			t.Errorf("stored %d times under one key: %s", n, v)
		case n > 1:
			twice++
		}
	}
	for v := range seen {
		if !all[v] {
			t.Errorf("stored and never sent to the end: %s", v)
		}
	}
	t.Logf("%d requests acked in %d tries over %d kills, %d of them known as repeats; %d keyed records once each, %d plain ones, %d of these more than once",
		goods.Load(), tries.Load(), kills, replay.Load(), len(keyed), len(plain), twice)
}

// drained waits until all that the gateway took is at the broker.
func drained(t *testing.T, addr string) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, addr+"/v1/status", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Close = true
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		var s struct {
			Records struct {
				Backlog int64 `json:"backlog_records"`
			} `json:"records"`
		}
		err = json.NewDecoder(resp.Body).Decode(&s)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if s.Records.Backlog == 0 {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-deadline:
			t.Fatalf("%d records are not at the broker", s.Records.Backlog)
		}
	}
}

func waitTopic(t testing.TB, addr string) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		if status, _ := post(t, addr, `{"value":"probe","partition":99}`, ""); status == 422 {
			return // the topic is known, and has no such partition
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-deadline:
			t.Fatal("the topic is not seen")
		}
	}
}

// post sends lines of records; status 0 is no answer.
func post(t testing.TB, addr, body, key string) (status int, replayed bool) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, addr+"/v1/topics/orders?lines=record", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 400, false
	}
	r.Header.Set("Content-Type", "application/x-ndjson")
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	r.Close = true // no connection outlives the gateway
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return 0, false
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, false
	}
	return resp.StatusCode, resp.Header.Get("Idempotency-Replayed") == "true"
}

// The offsets that HTTP answers with are those at which a consumer finds the records; in an outage there are receipts.
func TestOffsetsOverHTTPAreTheBrokers(t *testing.T) {
	c := cluster(t, t.TempDir())
	addr := c.ListenAddrs()[0]
	n := start(t, t.TempDir(), addr)
	defer n.stop(t)
	waitTopic(t, "http://"+n.HTTPAddr())
	produce(t, n.KafkaAddr(), 0, 100) // beside them, through the other door
	type place struct {
		partition int32
		offset    int64
	}
	told := map[place]string{}
	known := 0
	ask := func(value string) (status int) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+n.HTTPAddr()+"/v1/topics/orders", strings.NewReader(value))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/octet-stream")
		r.Close = true
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var a struct {
			Records []struct {
				Partition int32
				Offset    *int64
			}
		}
		if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
			t.Fatal(err)
		}
		if a.Records[0].Offset != nil {
			told[place{a.Records[0].Partition, *a.Records[0].Offset}] = value
			known++
		}
		if (resp.StatusCode == http.StatusAccepted || a.Records[0].Offset == nil) && resp.Header.Get("Streamdown-Receipt") == "" {
			t.Error("no receipt")
		}
		return resp.StatusCode
	}
	for i := range 200 {
		ask(fmt.Sprintf("value %d", 1000+i))
	}
	if known < 150 {
		t.Errorf("only %d of 200 offsets were told", known)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	for read := 0; read < 300; {
		fs := cl.PollFetches(t.Context())
		fs.EachRecord(func(r *kgo.Record) {
			read++
			if want, ok := told[place{r.Partition, r.Offset}]; ok && want != string(r.Value) {
				t.Errorf("%d/%d holds %q, told was %q", r.Partition, r.Offset, r.Value, want)
			}
		})
	}
	cl.Close()
	c.Close()
	waitFor(t, "breaker open", n, func(s statusView) bool { produce(t, n.KafkaAddr(), 5000, 5001); return s.breaker == "open" })
	before := known
	if status := ask("value 2000"); status != 202 || known != before {
		t.Errorf("in an outage: %d, offset told: %v", status, known != before)
	}
}
