package forward

import (
	"fmt"
	"strings"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/wal"
)

// knobs are what one seed makes of the world: not every fault in every run, so that rare ones meet calm ones.
type knobs struct {
	brokers, partitions, clients int
	length                       time.Duration
	remote, reject, kfake, alone bool
	sickly                       bool // what lands late is refused from then on
	patience, clientPatience     time.Duration
	expiry                       time.Duration
	appendTime                   map[string]bool
	window, ahead, near, request int
	far                          time.Duration // the longest that a message mostly takes
	work                         time.Duration // the longest that a broker takes for a request
	flaky                        float64       // share of parcels refused for want of replicas, at any time
	old                          float64       // share of producers whose timestamps are long past
	pause                        time.Duration // mean time between faults
	faults                       []fault
}

type fault struct {
	weight int
	run    func(s *sim)
}

var allFaults = []fault{
	{4, (*sim).faultCrash},
	{4, (*sim).faultKill},
	{8, (*sim).faultElect},
	{6, (*sim).faultCut},
	{2, (*sim).faultRefuse},
	{2, (*sim).faultSilence},
	{3, (*sim).faultStuck},
	{3, (*sim).faultThin},
	{1, (*sim).faultDeny},
	{2, (*sim).faultHold},
	{2, (*sim).faultFull},
	{2, (*sim).faultDisk},
	{4, (*sim).faultClient},
	{1, (*sim).faultStrange},
	{1, (*sim).faultRot},
	{2, (*sim).faultRollback},
	{1, (*sim).faultClone},
	{4, (*sim).faultIll},
	{2, (*sim).faultLimit},
}

func drawKnobs(s *sim) knobs {
	k := knobs{
		brokers: 1 + s.pick(3), partitions: 1 + s.pick(len(simPartitions)), clients: 1 + s.pick(5),
		length: s.between(5*time.Second, 20*time.Second),
		remote: s.chance(0.7), reject: s.chance(0.15), kfake: s.chance(0.15), alone: s.chance(0.3),
		patience: 1500 * time.Millisecond, clientPatience: s.between(2*time.Second, 8*time.Second),
		expiry:     []time.Duration{6 * time.Second, 20 * time.Second, 24 * time.Hour}[s.pick(3)],
		appendTime: map[string]bool{"orders": s.chance(0.2), "audit": s.chance(0.2)},
		window:     64 << 20, ahead: 16 << 20, near: 32 << 20, request: 1 << 20,
		far:   []time.Duration{2 * time.Millisecond, 5 * time.Millisecond, 60 * time.Millisecond}[s.pick(3)],
		work:  []time.Duration{time.Millisecond, 40 * time.Millisecond}[s.pick(2)],
		old:   []float64{0, 0.1, 0.6}[s.pick(3)],
		pause: s.between(100*time.Millisecond, 2*time.Second),
	}
	if k.kfake {
		k.brokers = 1
	}
	if s.chance(0.4) {
		k.window, k.ahead, k.near = 300+s.pick(4000), 200+s.pick(1500), s.pick(3000)
	}
	if s.chance(0.3) {
		k.request = 150 + s.pick(500)
	}
	for _, f := range allFaults {
		if s.chance(0.6) {
			k.faults = append(k.faults, f)
		}
	}
	if s.chance(0.3) {
		k.flaky = 0.02
	}
	k.sickly = s.chance(0.3)
	return k
}

// startFaults makes something go wrong now and then.
func (s *sim) startFaults() {
	if len(s.knobs.faults) == 0 {
		return
	}
	total := 0
	for _, f := range s.knobs.faults {
		total += f.weight
	}
	var strike func()
	strike = func() {
		if s.healed {
			return
		}
		n := s.pick(total)
		for _, f := range s.knobs.faults {
			if n -= f.weight; n < 0 {
				f.run(s)
				break
			}
		}
		s.after(s.between(0, 2*s.knobs.pause), strike)
	}
	s.after(s.between(0, 2*s.knobs.pause), strike)
}

func (s *sim) faultCrash() {
	if !s.gateway.dead {
		s.crash()
	}
}

func (s *sim) anyBroker() *broker { return s.kafka.brokers[s.pick(len(s.kafka.brokers))] }

// faultKill ends a broker; others take over what it led, or nobody does until it is back.
func (s *sim) faultKill() {
	b := s.anyBroker()
	if !b.up {
		return
	}
	b.kill()
	for _, p := range s.kafka.partitions {
		if p.leader != b.id {
			continue
		}
		p.elect(s.someUp(), true, false)
		if s.knobs.kfake { // it forgets producers when it is killed
			for i := range p.state {
				p.floor[p.state[i].pid] = len(p.log)
			}
			p.state = nil
		}
	}
	s.after(s.between(100*time.Millisecond, 5*time.Second), b.restart)
}

// someUp is a broker that may lead, -1 if there is none.
func (s *sim) someUp() int32 {
	first := s.pick(len(s.kafka.brokers))
	for i := range s.kafka.brokers {
		if b := s.kafka.brokers[(first+i)%len(s.kafka.brokers)]; b.up {
			return b.id
		}
	}
	return -1
}

// restart brings a broker back. A partition without a leader gets it, with the state that a snapshot holds: the last
// batch of each producer.
func (b *broker) restart() {
	if b.up {
		return
	}
	b.up = true
	b.c.s.tracef("kafka: node %d is back", b.id)
	for _, p := range b.c.partitions {
		if p.leader < 0 {
			p.elect(b.id, false, b.c.s.chance(0.7))
		}
	}
}

func (s *sim) faultElect() {
	p := s.kafka.partitions[s.pick(len(s.kafka.partitions))]
	if to := s.someUp(); to >= 0 && p.leader >= 0 {
		p.elect(to, to != p.leader, s.chance(0.3))
	}
}

func (s *sim) faultCut() {
	b := s.anyBroker()
	for len(b.pipes) > 0 {
		b.pipes[0].drop(errSimReset)
	}
}

func (s *sim) faultRefuse() {
	until := s.at + s.between(100*time.Millisecond, 4*time.Second)
	s.tracef("net: all connections refused until %v", until)
	for _, b := range s.kafka.brokers {
		b.refuseUntil = until
		for len(b.pipes) > 0 {
			b.pipes[0].drop(errSimReset)
		}
	}
}

func (s *sim) faultSilence() {
	s.stats.silences++
	until := s.at + s.between(500*time.Millisecond, 12*time.Second)
	one := s.anyBroker()
	all := s.chance(0.6)
	s.tracef("net: silence until %v, all %v", until, all)
	for _, b := range s.kafka.brokers {
		if all || b == one {
			b.silentUntil = until
		}
	}
}

func (s *sim) faultStuck() {
	s.kafka.stuckUntil = s.at + s.between(200*time.Millisecond, 3*time.Second)
}

func (s *sim) faultThin() { s.kafka.thinUntil = s.at + s.between(50*time.Millisecond, 3*time.Second) }

func (s *sim) faultDeny() { s.kafka.denyUntil = s.at + s.between(50*time.Millisecond, 2*time.Second) }

// faultStrange shows another cluster behind the same addresses, for one look: bound lanes must not be taken in.
func (s *sim) faultStrange() {
	if s.gateway.dead {
		return
	}
	lanes := s.gateway.book.Lanes()
	for i := range lanes {
		if !lanes[i].Bound {
			return
		}
	}
	s.kafka.strange = len(lanes) == s.knobs.partitions
}

// faultHold is a person's order to hold lanes, and later its end.
func (s *sim) faultHold() {
	if s.gateway.dead {
		return
	}
	tp := simPartitions[s.pick(s.knobs.partitions)]
	target := []string{"*", tp.Topic, tp.String()}[s.pick(3)]
	s.stats.holds++
	s.hold(target, true)
	s.after(s.between(100*time.Millisecond, 5*time.Second), func() {
		if !s.gateway.dead {
			s.hold(target, false)
		}
	})
}

func (s *sim) hold(target string, held bool) {
	e, err := delivery.HoldEntry(delivery.Hold{Target: target, Held: held, Since: s.now()})
	if err != nil {
		s.violate("model", "hold: %v", err)
		return
	}
	s.tracef("person: hold %s %v", target, held)
	s.gateway.append(e)
	if !held && s.chance(0.5) {
		s.own(s.between(0, 100*time.Millisecond), func() {
			s.resume(streamdown.TopicPartition{Topic: "*", Partition: -1})
		})
	}
}

func (s *sim) faultFull() {
	s.full = true
	s.after(s.between(50*time.Millisecond, 2*time.Second), func() { s.full = false })
}

func (s *sim) faultDisk() {
	s.diskSlow = true
	s.after(s.between(50*time.Millisecond, 4*time.Second), func() { s.diskSlow = false })
}

func (s *sim) faultClient() {
	if c := s.clients[s.pick(len(s.clients))]; c.conn != nil {
		c.conn.broken()
	}
}

// faultRot makes one of the newest batches in the log unreadable. The books keep what they knew of it: rot that is met
// while the log is opened is the log's own matter. A later batch of the lane stays intact, because a gap shows itself
// in what follows it: a damaged last batch is not noticed before the next one comes.
func (s *sim) faultRot() {
	l := s.log
	if l.synced == 0 {
		return
	}
	i := l.synced - 1 - min(s.pick(10), l.synced-1)
	e := &l.entries[i]
	if e.Kind != wal.KindBatch {
		return
	}
	if h, err := batch.ParseHeader(e.Body); err != nil || h.ProducerID == batch.NoProducerID {
		return // a repeat with the same bytes may stand beside it: the oracle could not tell which of them is missing
	}
	for j := i + 1; j < l.synced; j++ {
		if o := &l.entries[j]; o.Kind == wal.KindBatch && o.Lane == e.Lane && !l.damaged[o.LSN] {
			l.damaged[e.LSN] = true
			s.stats.damaged++
			s.oracle.damaged(l.names[e.Lane], e)
			return
		}
	}
}

// heal ends all faults for good.
func (s *sim) heal() {
	s.tracef("HEALED")
	s.healed = true
	k := s.kafka
	s.illNext = [4]int{}
	for _, p := range k.partitions {
		p.limitUntil = 0
	}
	k.stuckUntil, k.thinUntil, k.denyUntil, k.strange, s.full, s.diskSlow, s.knobs.flaky = 0, 0, 0, false, false, false, 0
	for _, b := range k.brokers {
		b.refuseUntil, b.silentUntil = 0, 0
		b.restart()
	}
	s.after(3*time.Second, func() { // our process is back by then
		for _, h := range s.gateway.book.Holds() {
			s.hold(h.Target, false)
		}
	})
	for _, c := range s.clients {
		s.after(4*time.Second, c.send)
	}
}

// drained reports whether all has come to rest.
func (s *sim) drained() bool {
	g := s.gateway
	if g.dead || s.log.shown != len(s.log.entries) || len(g.book.Holds()) > 0 {
		return false
	}
	for _, c := range s.clients {
		if len(c.unacked) > 0 {
			return false
		}
	}
	for _, p := range s.kafka.partitions {
		if p.zombies > 0 || p.shown < p.end {
			return false
		}
	}
	for _, l := range g.book.Lanes() {
		if l.Backlog() > 0 || !g.book.Live(l.ID) {
			return false
		}
	}
	return true
}

// standing tells how things stand when they should have come to rest.
func (s *sim) standing() string {
	var b strings.Builder
	g := s.gateway
	fmt.Fprintf(&b, "holds %d, ", len(g.book.Holds()))
	for _, c := range s.clients {
		if n := len(c.unacked); n > 0 {
			fmt.Fprintf(&b, "client %d waits for %d (%s); ", c.id, n, c.unacked[0].name)
		}
	}
	for _, p := range s.kafka.partitions {
		if p.zombies > 0 || p.shown < p.end {
			fmt.Fprintf(&b, "%s has %d zombies, end %d, shown %d; ", p.tp, p.zombies, p.end, p.shown)
		}
	}
	st := g.core.Status()
	fmt.Fprintf(&b, "breaker %s; ", st.Breaker)
	for _, l := range st.Lanes {
		known := g.book.Lane(l.ID)
		fmt.Fprintf(&b, "%s %s confirmed %d of %d, live %v/%v, queued %d, flying %d", l.TopicPartition, l.State, l.Confirmed, known.End, l.Live, g.book.Live(l.ID), l.Queued, l.Flying)
		if l.Stop != nil {
			fmt.Fprintf(&b, ", stopped: %s", l.Stop.Reason)
		}
		b.WriteString("; ")
	}
	return b.String()
}
