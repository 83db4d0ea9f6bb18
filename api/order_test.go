package api

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestHoldAndResume(t *testing.T) {
	d := &desk{}
	for _, c := range []struct {
		path, body string
		status     int
		want       Ordered
	}{
		{"/v1/hold", `{"target": "orders", "reason": " deploy "}`, 200, Ordered{Held: true, Target: "orders", Reason: "deploy", Lanes: 2}},
		{"/v1/hold", `{"target": "orders/1", "reason": "bad data"}`, 200, Ordered{Held: true, Target: "orders/1", Reason: "bad data", Lanes: 1}},
		{"/v1/hold", `{"target": "*", "reason": "all"}`, 200, Ordered{Held: true, Target: "*", Reason: "all", Lanes: 3}},
		{"/v1/hold", `{"target": "later", "reason": "not yet there"}`, 200, Ordered{Held: true, Target: "later", Reason: "not yet there"}},
		{"/v1/resume", `{"target": "*"}`, 200, Ordered{Target: "*", Lanes: 3, StillHeldBy: []string{"later", "orders", "orders/1"}}},
		{"/v1/resume", `{"target": "orders/1", "reason": "fixed"}`, 200, Ordered{Target: "orders/1", Reason: "fixed", Lanes: 1, StillHeldBy: []string{"orders"}}},
		{"/v1/resume", `{"target": "later"}`, 200, Ordered{Target: "later"}},
		{"/v1/resume", `{"target": "later"}`, 404, Ordered{}},
		{"/v1/resume", `{"target": "clicks"}`, 404, Ordered{}},
		{"/v1/resume", `{"target": "orders/0"}`, 404, Ordered{}},
		{"/v1/resume", `{"target": "orders"}`, 200, Ordered{Target: "orders", Lanes: 2}},
		{"/v1/resume", `{"target": "orders/1"}`, 200, Ordered{Target: "orders/1", Lanes: 1}}, // stopped by an error
	} {
		if c.status != 200 {
			if status, _ := askProblem(t, d, "POST", c.path, c.body); status != c.status {
				t.Errorf("%s %s: %d", c.path, c.body, status)
			}
			continue
		}
		status, _, body := ask(t, d, "POST", c.path, c.body, "Content-Type", "application/json; charset=utf-8")
		var got Ordered
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 {
			t.Fatalf("%s %s: %d %s", c.path, c.body, status, body)
		}
		c.want.SchemaVersion = 1
		if c.want.StillHeldBy == nil {
			c.want.StillHeldBy = []string{}
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s %s:\n got %+v\nwant %+v", c.path, c.body, got, c.want)
		}
	}
	if len(d.holds) != 0 {
		t.Errorf("left: %v", d.holds)
	}
}

func TestHostileOrdersChangeNothing(t *testing.T) {
	long := strings.Repeat("x", 300)
	for body, want := range map[string]int{
		``: 400, `null`: 400, `[]`: 400, `"*"`: 400, `{`: 400, `{}`: 400, `{"target":5,"reason":"r"}`: 400,
		`{"target":"*"}`: 400, `{"target":"*","reason":""}`: 400, `{"target":"*","reason":" \t"}`: 400,
		`{"target":"*","reason":"r"} {}`: 400, `{"target":"*","reason":"r"}x`: 400, `{"target":"*","reason":"r","force":true}`: 400,
		`{"target":"*","reason":"a\nb"}`: 400, `{"target":"*","reason":"\u001b[2J"}`: 400, `{"target":"*","reason":"\u202egnp"}`: 400,
		`{"target":"*","reason":"` + strings.Repeat("r", 1001) + `"}`: 400,
		`{"target":"` + long + `","reason":"r"}`:                      400,
		`{"target":"*","reason":"` + strings.Repeat("r", 20<<10):      413,
		`{"target":"*","reason":"r"}` + strings.Repeat(" ", 20<<10):   413,
		strings.Repeat("[", 15<<10):                                   400,
	} {
		d := &desk{}
		if status, _ := askProblem(t, d, "POST", "/v1/hold", body); status != want || len(d.holds) > 0 {
			t.Errorf("%.60q: %d, want %d; holds %v", body, status, want, d.holds)
		}
	}
	for _, target := range []string{"", ".", "..", "a b", "orders/", "orders/-1", "orders/01", "orders/2147483648", "orders/1/2", "/1", "*/1", "o*", "ü", "a\x00"} {
		body, err := json.Marshal(Order{target, "r"})
		if err != nil {
			t.Fatal(err)
		}
		d := &desk{}
		if status, _ := askProblem(t, d, "POST", "/v1/hold", string(body)); status != 400 || len(d.holds) > 0 {
			t.Errorf("%q: %d, holds %v", target, status, d.holds)
		}
	}
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx", ";"} {
		d := &desk{}
		if status, _ := askProblem(t, d, "POST", "/v1/hold", `{"target":"*","reason":"r"}`, "Content-Type", contentType); status != 415 || len(d.holds) > 0 {
			t.Errorf("%q: %d, holds %v", contentType, status, d.holds)
		}
	}
}

func TestOrderThatIsNotDurableIsNotConfirmed(t *testing.T) {
	d := &desk{fail: fmt.Errorf("wait: %w", errStuck)}
	status, p := askProblem(t, d, "POST", "/v1/hold", `{"target":"*","reason":"r"}`)
	if status != 503 || !strings.Contains(p.Detail, "no space left") {
		t.Errorf("%d %+v", status, p)
	}
	d.fail = context.DeadlineExceeded
	if status, _ := askProblem(t, d, "POST", "/v1/resume", `{"target":"orders/1"}`); status != 503 {
		t.Errorf("%d", status)
	}
}

func FuzzOrder(f *testing.F) {
	for _, s := range []string{`{"target":"orders/1","reason":"r"}`, `{"target":"*","reason":"r"}`, `{`, `{"target":"a"}{}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		d := &desk{}
		status, _, _ := ask(t, d, "POST", "/v1/hold", body)
		if (status == 200) != (len(d.holds) == 1) {
			t.Errorf("%d with holds %v", status, d.holds)
		}
		for target, h := range d.holds {
			if CheckTarget(target) != nil || checkReason(h.Reason) != nil {
				t.Errorf("held %+v", h)
			}
		}
	})
}
