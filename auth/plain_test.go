package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/streamdown/streamdown"
)

func TestMalformedPlainIsRefusedInWords(t *testing.T) {
	a := authority(t, Config{Users: []User{{Name: "alice", Password: streamdown.NewSecret("pencil")}}})
	for message, want := range map[string]string{
		"": "zero byte between", "alice": "zero byte between", "\x00alice": "zero byte between", "\x00alice\x00pencil\x00": "zero byte between",
		"\x00\x00pencil": "empty", "\x00alice\x00": "empty", "bob\x00alice\x00pencil": "another name", "\x00alice\x00\xff": "zero byte between",
		"\x00alice\x00" + strings.Repeat("x", maxShort): "too long",
	} {
		e, _ := a.Begin(Plain)
		_, who, err := e.Step(t.Context(), []byte(message))
		var r *Refusal
		if who != nil || !errors.As(err, &r) || r.Reason != Malformed || !strings.Contains(r.Detail, want) || strings.Contains(r.Say+r.Detail, "pencil") {
			t.Errorf("%.40q: %v, %v; want %q", message, who, err, want)
		}
		if _, who, err := e.Step(t.Context(), []byte("\x00alice\x00pencil")); who != nil || err == nil {
			t.Error("a second try in the same exchange")
		}
	}
	e, _ := a.Begin(Plain)
	if _, who, err := e.Step(t.Context(), []byte("alice\x00alice\x00pencil")); err != nil || who.Name != "alice" {
		t.Errorf("one's own name as authorization id: %v", err)
	}
}

// cpu is the processor time that f takes on this thread.
func cpu(t *testing.T, f func()) time.Duration {
	t.Helper()
	now := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begin := now()
	f()
	return now() - begin
}

// TestAFailedLoginCostsTheSameWhoeverItNames, also when some users have passwords, some verifiers, and some do not
// exist.
func TestAFailedLoginCostsTheSameWhoeverItNames(t *testing.T) {
	a := authority(t, Config{Users: []User{
		{Name: "password", Password: streamdown.NewSecret("pencil")}, {Name: "light", SCRAM: verifiers(t, "pencil", MinIterations)[:1]},
		{Name: "heavy", SCRAM: verifiers(t, "pencil", 100_000)[:1]}, {Name: "certificate"},
	}})
	cost := map[string]time.Duration{}
	for range 3 { // the least of three: a machine may hiccup
		for _, name := range []string{"password", "light", "heavy", "certificate", "nobody"} {
			e, _ := a.Begin(Plain)
			took := cpu(t, func() {
				if _, _, err := e.Step(t.Context(), []byte("\x00"+name+"\x00wrong")); err == nil {
					t.Fatal("comes in")
				}
			})
			if before, ok := cost[name]; !ok || took < before {
				cost[name] = took
			}
		}
	}
	t.Log(cost)
	for name, took := range cost { // without the making up for it, 25 times and more lie between two of them
		if took < cost["heavy"]/2 || took > cost["heavy"]*2 {
			t.Errorf("%s costs %v, heavy %v", name, took, cost["heavy"])
		}
	}
	// Once seen, the right password costs next to nothing, and only that one.
	login := func(password string) time.Duration {
		e, _ := a.Begin(Plain)
		return cpu(t, func() { _, _, _ = e.Step(t.Context(), []byte("\x00heavy\x00"+password)) })
	}
	login("pencil")
	if again := login("pencil"); again > cost["heavy"]/4 {
		t.Errorf("the second good login costs %v", again)
	}
	if bad := login("pencils"); bad < cost["heavy"]/2 {
		t.Errorf("a bad login after it costs %v", bad)
	}
}

func TestACheckThatFindsNoPlaceEndsInTime(t *testing.T) {
	a := authority(t, Config{Users: []User{{Name: "heavy", SCRAM: verifiers(t, "pencil", MinIterations)}}})
	for range cap(a.heavy) {
		a.heavy <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	e, _ := a.Begin(Plain)
	_, who, err := e.Step(ctx, []byte("\x00heavy\x00pencil"))
	var r *Refusal
	if who != nil || !errors.As(err, &r) || r.Reason != Unavailable {
		t.Errorf("%v, %v", who, err)
	}
}

func TestNoWayOfPrintingShowsASecret(t *testing.T) {
	u := User{Name: "alice", Password: streamdown.NewSecret("hunter2"), SCRAM: verifiers(t, "hunter2", MinIterations)}
	hidden := []string{"hunter2"}
	for _, v := range u.SCRAM {
		_, keys, _ := strings.Cut(v.Reveal(), ":")
		hidden = append(hidden, strings.FieldsFunc(keys, func(r rune) bool { return r == '$' || r == ':' })...)
		hidden = append(hidden, fmt.Sprint(v.storedKey), fmt.Sprintf("%x", v.serverKey))
	}
	c := Config{Users: []User{u}}
	var said strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&said, verb+verb+verb+verb+verb+"\n", c, u, &u, u.Password, u.SCRAM[0])
	}
	b, err := json.Marshal(u)
	if err != nil {
		t.Fatal(err)
	}
	said.Write(b)
	for _, h := range []slog.Handler{slog.NewJSONHandler(&said, nil), slog.NewTextHandler(&said, nil)} {
		slog.New(h).Info("x", "user", u, "password", u.Password, "verifier", u.SCRAM[0], "any", map[string]any{"p": u.Password, "v": u.SCRAM})
	}
	for _, h := range hidden {
		if strings.Contains(said.String(), h) {
			t.Errorf("%q is shown", h)
		}
	}
	if streamdown.NewSecret("").String() != "" {
		t.Error("an empty secret cannot be told from a set one")
	}
}
