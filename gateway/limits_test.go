package gateway

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// clock is moved by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// ends waits, by the bubble's clock, until the client's connection ends, and returns how long that took.
func ends(t *testing.T, client net.Conn) time.Duration {
	t.Helper()
	began := time.Now()
	if _, err := io.Copy(io.Discard, client); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

func TestWhoDoesNotGetOnIsCutOff(t *testing.T) {
	whole := frame(1, produceOf(9, -1, "t", 0))
	for _, c := range []struct {
		name   string
		logins bool
		say    func(client net.Conn)
		after  time.Duration
		cut    string
		log    string
	}{
		{"silent without a login", true, func(net.Conn) {}, 10 * time.Second, cutNoLogin, "did not log in"},
		{"half a frame without a login", true, func(c net.Conn) { _, _ = c.Write([]byte{0, 0, 1, 0, 0}) }, 10 * time.Second, cutNoLogin, "did not log in"},
		{"a byte each second without a login", true, drip(time.Second), 10 * time.Second, cutNoLogin, "did not log in"},
		{"idle", false, func(net.Conn) {}, 10 * time.Minute, cutIdle, "was idle"},
		{"half a frame", false, func(c net.Conn) { _, _ = c.Write(whole[:20]) }, 30 * time.Second, cutSlowWriter, "does not send the rest"},
		{"half a length", false, func(c net.Conn) { _, _ = c.Write([]byte{0, 0}) }, 30 * time.Second, cutSlowWriter, "does not send the rest"},
		{"a byte each second", false, drip(time.Second), 30 * time.Second, cutSlowWriter, "does not send the rest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				in := newHeld()
				cfg := Config{}
				if c.logins {
					cfg = withLogins(t)
				}
				var log text
				cfg.Logger = debugTo(&log)
				client, s, _ := pipe(t, cfg, in, in)
				var saying sync.WaitGroup
				saying.Go(func() { c.say(client) })
				if took := ends(t, client); took < c.after || took > c.after+2*time.Second {
					t.Errorf("cut off after %v, want %v", took, c.after)
				}
				client.Close()
				saying.Wait()
				synctest.Wait()
				if s.Stats().Cut[c.cut] != 1 || !strings.Contains(log.String(), c.log) {
					t.Errorf("cut %v; the log says %s", s.Stats().Cut, log.String())
				}
			})
		})
	}
}

// drip sends a long frame bit by bit.
func drip(pause time.Duration) func(net.Conn) {
	return func(c net.Conn) {
		if _, err := c.Write([]byte{0, 0, 0xff, 0}); err != nil {
			return
		}
		for {
			time.Sleep(pause) // by the bubble's clock
			if _, err := c.Write([]byte{0}); err != nil {
				return
			}
		}
	}
}

// TestASlowClientThatGetsOnIsNotCutOff: 2 KiB/s are enough, and so is waiting for an answer that we hold.
func TestASlowClientThatGetsOnIsNotCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newHeld()
		client, _, _ := pipe(t, Config{IdleTimeout: time.Minute}, in, in)
		heard := listen(t, client)
		over := func() bool {
			heard.mu.Lock()
			defer heard.mu.Unlock()
			return heard.ended
		}
		r := produceOf(9, -1, "t", 0)
		r.Topics[0].Partitions[0].Records = recordBatch(1, make([]byte, 256<<10))
		b := frame(1, r)
		for len(b) > 0 {
			n := min(2<<10, len(b))
			if _, err := client.Write(b[:n]); err != nil {
				t.Fatal(err)
			}
			b = b[n:]
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if in.count() != 1 {
			t.Fatal("the request did not arrive")
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if over() {
			t.Fatal("cut off while it waits for us")
		}
		in.answer(0, 7)
		synctest.Wait()
		if got := heard.heard(); len(got) != 1 || over() {
			t.Errorf("heard %v, ended %t", got, over())
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if !over() {
			t.Error("idle for two minutes and still there")
		}
	})
}

func TestConnectionsAreCapped(t *testing.T) {
	m := newMemory("t")
	var log text
	s := serve(t, Config{MaxConnections: 3, MaxConnectionsPerAddress: 2, Logger: logTo(&log)}, m, m)
	first, second := dial(t, s.addr), dial(t, s.addr)
	for _, p := range []*peer{first, second} {
		p.ask(metadataOf(9, false, "t"), described(9))
	}
	dial(t, s.addr).closed()
	log.says(t, "too many are open")
	if s.Stats().Cut[cutTooMany] != 1 {
		t.Errorf("cut %v", s.Stats().Cut)
	}
	first.ask(metadataOf(9, false, "t"), described(9))
	second.nc.Close()
	eventually(t, "there is room again", func() bool { return s.Stats().Connections == 1 })
	dial(t, s.addr).ask(metadataOf(9, false, "t"), described(9))
}

func TestClientsCannotFillTheLog(t *testing.T) {
	var l loud
	now := time.Now()
	said := 0
	for range 10_000 {
		if _, ok := l.take(now); ok {
			said++
		}
	}
	if said != loudBurst {
		t.Errorf("%d lines at once, want %d", said, loudBurst)
	}
	if unsaid, ok := l.take(now.Add(time.Second)); !ok || unsaid != 10_000-loudBurst {
		t.Errorf("a second later: %t, %d left out", ok, unsaid)
	}
	if unsaid, ok := l.take(now.Add(time.Hour)); !ok || unsaid != 0 {
		t.Errorf("an hour later: %t, %d left out", ok, unsaid)
	}
}

// TestGuessersWaitAndOthersDoNot: after some failures an address hears of the next one late.
func TestGuessersWaitAndOthersDoNot(t *testing.T) {
	m := newMemory("t")
	s := serve(t, withLogins(t), m, m)
	const first = 100 * time.Millisecond // of package auth
	for i := range 4 {
		p := dial(t, s.addr)
		began := time.Now()
		if r := p.authenticate("alice", "wrong"); r.ErrorCode != codeAuthenticationFailed {
			t.Fatalf("%+v", r)
		}
		if took := time.Since(began); took < first<<i {
			t.Errorf("try %d is answered after %v", i+1, took)
		}
	}
	dial(t, s.addr).login("alice", "alices-secret")
}
