package main

import (
	"context"
	"log/slog"
	"time"
)

// play plays one seed and returns the world as it was left.
func play(seed uint64, p *seamPlant) *world {
	w := newWorld(seed)
	if *tracing {
		w.level = slog.LevelDebug
	}
	w.plant = p
	defer w.cluster.Close()
	if !w.live(newDisk()) {
		return w
	}
	ctx, cancel := context.WithCancel(context.Background())
	parts := w.cluster.Partitions()
	var running int
	ended := make(chan struct{}, 16)
	for i := range 2 + w.rng.IntN(5) {
		p := w.produce(uint32(i+1), parts[w.rng.IntN(len(parts))], 40+w.rng.Uint64N(200))
		w.clients = append(w.clients, p)
		running++
		w.wg.Go(func() { p.run(ctx); ended <- struct{}{} })
	}
	w.story()
	w.calm()
	limit := time.After(3 * time.Minute)
	for running > 0 && !w.failed() {
		select {
		case <-ended:
			running--
		case <-limit:
			w.fail("liveness", "%d producers are not done three minutes after everything was calm", running)
		}
	}
	cancel()
	if !w.failed() {
		w.drained()
		w.stop()
	}
	if !w.failed() {
		w.judge()
	}
	w.gateway.disk.Halt()
	w.host(w.gateway.life).Die()
	w.gateway.cancel()
	w.wg.Wait()
	return w
}

// story lets things go wrong, one after the other and over each other, for some ten seconds.
func (w *world) story() {
	sum := 0
	for i := range faults {
		sum += faults[i].often
	}
	type end struct {
		at   time.Time
		name string
		f    func()
	}
	var open []end
	for n := 2 + w.rng.IntN(10); (n > 0 || len(open) > 0) && !w.failed(); {
		sleep(time.Duration(w.rng.Int64N(int64(1200*time.Millisecond))) + 123*time.Nanosecond)
		if w.rng.IntN(3) == 0 && w.hold == 0 && !time.Now().Before(w.landing) {
			if gone := w.cluster.Expire(); gone > 0 {
				w.say("%d producers expired", gone)
				w.did["expired"]++
			}
		}
		for len(open) > 0 && !time.Now().Before(open[0].at) {
			w.say("%s is over", open[0].name)
			open[0].f()
			open = open[1:]
		}
		if n == 0 {
			continue
		}
		n--
		pick := w.rng.IntN(sum)
		for i := range faults {
			f := &faults[i]
			if pick -= f.often; pick >= 0 {
				continue
			}
			w.say("%s", f.name)
			w.did[f.name]++
			if over := f.do(w); over != nil {
				open = append(open, end{time.Now().Add(time.Duration(w.rng.Int64N(int64(5 * time.Second)))), f.name, over})
			}
			break
		}
	}
}

// underway says that a request may be under way for so long although nobody waits for it. Until it has landed no producer
// expires: that is limit E of the rules, which no sender can do anything about.
func (w *world) underway(d time.Duration) {
	if by := time.Now().Add(d); by.After(w.landing) {
		w.landing = by
	}
}

// calm ends what is still wrong.
func (w *world) calm() {
	w.say("calm")
	w.cluster.Calm()
	for _, addr := range w.brokers {
		w.net.Silence(addr, false)
		w.net.Refuse(addr, false)
	}
	w.gateway.disk.Inject(nil)
}

// drained waits until the cluster holds all that the log has, a minute at most.
func (w *world) drained() {
	limit := time.Now().Add(time.Minute)
	for time.Now().Before(limit) && !w.settled() {
		sleep(100 * time.Millisecond)
	}
}

// settled says whether no lane has anything left.
func (w *world) settled() bool {
	for _, l := range w.gateway.node.Status(context.Background()).Lanes {
		if l.Backlog > 0 {
			return false
		}
	}
	return true
}
