package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/auth"
)

const guarded = "a-password-that-nobody-guesses"

// guardOf stands before routes that do nothing.
func guardOf(t testing.TB, users ...auth.User) http.Handler {
	t.Helper()
	a, err := auth.New(auth.Config{Basic: true, Users: append(users, auth.User{Name: "ops", Password: streamdown.NewSecret(guarded), Role: auth.Operator})})
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{}
	return Handler(Options{Status: d.status, Control: d, Records: noRecords{}, Guard: NewGuard(GuardConfig{Authority: a})})
}

func knock(h http.Handler, from string, edit func(r *http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8790/v1/status", nil)
	r.RemoteAddr = from
	edit(r)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// Wrong passwords are told later each time, and while sixteen wait nothing else of that address is looked at; another
// address comes in all the same.
func TestWrongPasswordsAreToldLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := guardOf(t)
		wrong := func(r *http.Request) { r.SetBasicAuth("ops", "wrong") }
		right := func(r *http.Request) { r.SetBasicAuth("ops", guarded) }
		began := time.Now()
		for range 5 {
			if w := knock(h, "192.0.2.1:1", wrong); w.Code != http.StatusUnauthorized {
				t.Fatal(w.Code)
			}
		}
		if took := time.Since(began); took < 3*time.Second || took > 4*time.Second {
			t.Errorf("five wrong passwords took %s", took)
		}
		done := make(chan int)
		for range 16 {
			go func() { done <- knock(h, "192.0.2.1:1", wrong).Code }()
		}
		synctest.Wait()
		if w := knock(h, "192.0.2.1:1", right); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
			t.Errorf("while sixteen wait: %d", w.Code)
		}
		if w := knock(h, "192.0.2.2:1", right); w.Code != http.StatusOK {
			t.Errorf("from elsewhere: %d", w.Code)
		}
		for range 16 {
			<-done
		}
		if w := knock(h, "192.0.2.1:1", right); w.Code != http.StatusOK {
			t.Errorf("when they were told: %d", w.Code)
		}
	})
}

// Whatever the header, nobody comes in, and the answer says what to do.
func TestHostileAuthorizationHeaders(t *testing.T) {
	h := guardOf(t)
	headers := []string{"", " ", "Basic", "Basic ", "Bearer", "Bearer \x00", "Basic !!!!", "Basic " + strings.Repeat("A", 15<<10), "Negotiate x", "\x7f", "Basic Og==", strings.Repeat("Bearer ", 1000)}
	for _, user := range []string{"ops", "", "nobody", "ops\x00", strings.Repeat("o", 600), "(local)"} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.SetBasicAuth(user, "x")
		headers = append(headers, r.Header.Get("Authorization"))
	}
	for i, header := range headers {
		w := knock(h, fmt.Sprintf("192.0.2.%d:1", i), func(r *http.Request) { r.Header["Authorization"] = []string{header} })
		if w.Code != http.StatusUnauthorized || w.Header().Get("WWW-Authenticate") == "" || !strings.Contains(w.Body.String(), `"try"`) {
			t.Errorf("%.40q: %d %s", header, w.Code, w.Body)
		}
	}
	good := httptest.NewRequest(http.MethodGet, "/", nil)
	good.SetBasicAuth("ops", guarded)
	w := knock(h, "198.51.100.1:1", func(r *http.Request) {
		r.Header["Authorization"] = []string{good.Header.Get("Authorization"), "Basic x"}
	})
	if w.Code != http.StatusUnauthorized {
		t.Errorf("two headers: %d", w.Code)
	}
	if w := knock(h, "no address", func(r *http.Request) { r.SetBasicAuth("ops", guarded) }); w.Code != http.StatusOK {
		t.Errorf("a good login: %d", w.Code)
	}
}

// The names in labels are those of the config, and bounded.
func TestLabelsAreNamesOfTheConfig(t *testing.T) {
	var users []auth.User
	for i := range 3 * maxUsers {
		users = append(users, auth.User{Name: fmt.Sprintf("user%d", i), Password: streamdown.NewSecret(guarded), Role: auth.Viewer})
	}
	a, err := auth.New(auth.Config{Basic: true, Users: users})
	if err != nil {
		t.Fatal(err)
	}
	g := NewGuard(GuardConfig{Authority: a})
	h := Handler(Options{Status: (&desk{}).status, Control: &desk{}, Records: noRecords{}, Guard: g})
	for i := range users {
		knock(h, "192.0.2.1:1", func(r *http.Request) { r.SetBasicAuth(fmt.Sprintf("user%d", i), guarded) })
	}
	var s HTTP
	g.Fill(&s)
	if len(s.Users) != maxUsers+1 || s.Users[otherTopics] != 2*maxUsers {
		t.Errorf("%d users have a label, %d are others", len(s.Users), s.Users[otherTopics])
	}
}

func TestStrangersFillNoLog(t *testing.T) {
	var q quiet
	now := time.Now()
	lines, unsaid := 0, 0
	for range 10_000 {
		if n, ok := q.take(now); ok {
			lines++
			unsaid += n
		}
		now = now.Add(time.Millisecond)
	}
	if lines < quietBurst || lines > quietBurst+10*quietRate+1 {
		t.Errorf("%d lines in 10 s", lines)
	}
	if n, ok := q.take(now.Add(time.Hour)); !ok || lines+unsaid+n != 10_000 {
		t.Errorf("%d lines, %d+%d unsaid", lines, unsaid, n)
	}
}

func BenchmarkGuard(b *testing.B) {
	h := guardOf(b)
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/v1/topics/orders", nil)
		r.SetBasicAuth("ops", guarded)
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}
