package forward

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/vfs"
)

// sim is one run of the path in a world of models: producers (sim_client), the log (sim_log), Kafka (sim_partition,
// sim_broker, sim_question), what goes wrong (sim_faults), and an oracle that knows the truth (sim_oracle). The cores are
// the real ones: Core, ingest.Intake, delivery.Book, catalog.Catalog (sim_gateway, sim_actor).
//
// It is a discrete-event simulation: one thread, a virtual clock, one seeded source of randomness, events in the
// order of (time, insertion). Nothing in it may depend on the wall clock or on the order of a map's keys.
type sim struct {
	seed  uint64
	rng   *rand.Rand
	at    time.Duration // virtual time since the start
	queue []simEvent    // a heap
	order uint64
	out   *strings.Builder // trace; nil = none

	broken string // the first broken promise, with its coordinates

	knobs   knobs
	plant   plant
	kafka   *cluster
	log     *simLog
	gateway *gateway
	clients []*client
	twins   []*twin
	oracle  *oracle
	builder batch.Builder
	stats   simStats

	disk     *vfs.Mem // of the quarantine
	illNext  [4]int   // by partition: so many of the next batches are ill
	illUntil [4]time.Duration

	full     bool // the log takes no batches just now
	diskSlow bool
	healed   bool
}

type simEvent struct {
	at    time.Duration
	order uint64
	run   func()
}

var simStart = time.Unix(1_800_000_000, 0).UTC()

func newSim(seed uint64, p plant, trace bool) *sim {
	s := &sim{seed: seed, rng: rand.New(rand.NewPCG(seed, 0x5eed)), plant: p}
	if trace {
		s.out = &strings.Builder{}
	}
	s.disk = vfs.NewMem()
	s.knobs = drawKnobs(s)
	s.oracle = newOracle(s)
	s.kafka = newCluster(s)
	s.log = newSimLog(s)
	for i := range s.knobs.clients {
		s.clients = append(s.clients, newClient(s, i))
	}
	return s
}

func (s *sim) now() time.Time { return simStart.Add(s.at) }

// after runs fn later; events of the same time run in the order in which they were made.
func (s *sim) after(d time.Duration, fn func()) { s.when(s.at+d, fn) }

func (s *sim) when(at time.Duration, fn func()) {
	s.order++
	q := append(s.queue, simEvent{max(at, s.at), s.order, fn})
	i := len(q) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !q[i].before(&q[up]) {
			break
		}
		q[i], q[up] = q[up], q[i]
		i = up
	}
	s.queue = q
}

func (e *simEvent) before(o *simEvent) bool {
	return e.at < o.at || e.at == o.at && e.order < o.order
}

func (s *sim) next() simEvent {
	q := s.queue
	e := q[0]
	last := len(q) - 1
	q[0] = q[last]
	q[last] = simEvent{}
	q = q[:last]
	for i := 0; ; {
		c := 2*i + 1
		if c >= last {
			break
		}
		if c+1 < last && q[c+1].before(&q[c]) {
			c++
		}
		if !q[c].before(&q[i]) {
			break
		}
		q[i], q[c] = q[c], q[i]
		i = c
	}
	s.queue = q
	return e
}

// until runs events up to a time, or until stop says so, or a promise is broken.
func (s *sim) until(end time.Duration, stop func() bool) {
	for len(s.queue) > 0 && s.broken == "" && s.queue[0].at <= end {
		e := s.next()
		s.at = e.at
		e.run()
		if stop != nil && stop() {
			return
		}
	}
	if s.broken == "" {
		s.at = max(s.at, end)
	}
}

const (
	drainWithin = 240 * time.Second // after the last fault, all must be at the broker
	soonest     = 100 * time.Microsecond
)

// run plays the whole seed: faults, then healing, then all must come to rest, then the last checks.
func (s *sim) run() {
	s.kafka.start()
	s.open()
	defer func() { s.gateway.end() }()
	for _, c := range s.clients {
		c.start()
	}
	s.startFaults()
	s.until(s.knobs.length, nil)
	s.heal()
	healedAt := s.at
	s.until(healedAt+drainWithin, s.drained)
	if s.broken != "" {
		return
	}
	if !s.drained() {
		s.violate("liveness", "not drained %s after the last fault: %s", drainWithin, s.standing())
		return
	}
	s.stats.drain = s.at - healedAt
	s.until(s.at+2*time.Second, nil) // late zombies, and lanes that are to become live again
	s.oracle.final()
}

// violate notes the first broken promise and ends the run.
func (s *sim) violate(promise, format string, args ...any) {
	if s.broken == "" {
		s.broken = promise + ": " + fmt.Sprintf(format, args...)
		s.tracef("BROKEN %s", s.broken)
	}
}

func (s *sim) tracef(format string, args ...any) {
	if s.out == nil {
		return
	}
	fmt.Fprintf(s.out, "%12.6f ", s.at.Seconds())
	fmt.Fprintf(s.out, format, args...)
	s.out.WriteByte('\n')
}

func (s *sim) chance(p float64) bool { return s.rng.Float64() < p }

func (s *sim) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(s.rng.Int64N(int64(hi-lo)+1))
}

func (s *sim) pick(n int) int { return s.rng.IntN(n) }

// net is the time that a message takes: mostly short, now and then long.
func (s *sim) net() time.Duration {
	if s.chance(0.03) {
		return s.between(soonest, 80*time.Millisecond)
	}
	return s.between(soonest, s.knobs.far)
}

// simStats shows that the faults really happened.
type simStats struct {
	seeds, batches, records, acks, crashes, kills, elections, truncated, zombies, expired, shrunk int
	doubts, asks, scans, binds, cuts, breakers, holds, silences, repeats, refusals, remote        int
	parked, cursors, damaged, timeouts, bumps, restores, duplicates, foreign                      int
	rollbacks, clones, lost, strangers, renewals, reported                                        int
	ill, limits, quarantined, rows, late, found, unknown                                          int
	drain                                                                                         time.Duration
}

func (a *simStats) add(b *simStats) {
	a.seeds++
	a.batches += b.batches
	a.records += b.records
	a.acks += b.acks
	a.crashes += b.crashes
	a.kills += b.kills
	a.elections += b.elections
	a.truncated += b.truncated
	a.zombies += b.zombies
	a.expired += b.expired
	a.shrunk += b.shrunk
	a.doubts += b.doubts
	a.asks += b.asks
	a.scans += b.scans
	a.binds += b.binds
	a.cuts += b.cuts
	a.breakers += b.breakers
	a.holds += b.holds
	a.silences += b.silences
	a.repeats += b.repeats
	a.refusals += b.refusals
	a.remote += b.remote
	a.parked += b.parked
	a.cursors += b.cursors
	a.damaged += b.damaged
	a.timeouts += b.timeouts
	a.bumps += b.bumps
	a.restores += b.restores
	a.duplicates += b.duplicates
	a.foreign += b.foreign
	a.rollbacks += b.rollbacks
	a.clones += b.clones
	a.lost += b.lost
	a.strangers += b.strangers
	a.renewals += b.renewals
	a.reported += b.reported
	a.ill += b.ill
	a.limits += b.limits
	a.quarantined += b.quarantined
	a.rows += b.rows
	a.late += b.late
	a.found += b.found
	a.unknown += b.unknown
	a.drain = max(a.drain, b.drain)
}

// partitions are the same in every run; a seed uses the first so many.
var simPartitions = []streamdown.TopicPartition{
	{Topic: "orders", Partition: 0}, {Topic: "orders", Partition: 1}, {Topic: "audit", Partition: 0}, {Topic: "audit", Partition: 1},
}
