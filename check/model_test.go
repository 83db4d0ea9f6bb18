package check

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/streamdown/streamdown"
)

// model is the Checker as one would explain it: it keeps everything and searches all of it for each question.
type model struct {
	promise map[Stream]Promise
	sent    map[key]bool
	acked   map[key]bool
	failed  map[key]bool
	found   []sighting // first sightings and repeats that were judged to be in place
	offsets []sighting // everything read
	counts  map[string]uint64
}

type key struct {
	stream Stream
	seq    uint64
}

type sighting struct {
	key
	tp     streamdown.TopicPartition
	offset streamdown.Offset
}

func newModel() *model {
	return &model{
		promise: map[Stream]Promise{}, sent: map[key]bool{}, acked: map[key]bool{}, failed: map[key]bool{},
		counts: map[string]uint64{},
	}
}

func (m *model) ack(k key) {
	m.acked[k] = true
	delete(m.failed, k)
}

func (m *model) fail(k key) {
	if m.acked[k] || m.failed[k] {
		return
	}
	m.failed[k] = true
	var rest []sighting
	was := false
	for _, s := range m.found {
		if s.key == k {
			was = true
		}
	}
	for _, s := range m.found {
		if s.key != k {
			rest = append(rest, s)
		}
	}
	if was {
		m.counts["phantom"]++
	}
	// The order that the sightings had set stays: keep it as a record of its own.
	for _, s := range m.found {
		if s.key == k {
			s.key.seq |= ghost
			rest = append(rest, s)
		}
	}
	m.found = rest
}

// ghost marks sightings that only count for order any more.
const ghost = 1 << 60

func (m *model) see(tp streamdown.TopicPartition, offset streamdown.Offset, value []byte) {
	for _, s := range m.offsets {
		if s.tp == tp && s.offset >= offset {
			m.counts["reread"]++
			return
		}
	}
	m.offsets = append(m.offsets, sighting{tp: tp, offset: offset})
	m.counts["read"]++
	r, err := ParseRecord(value)
	if err != nil {
		m.counts["corrupt"]++
		return
	}
	k := key{r.Stream(), r.Seq}
	if !m.sent[k] || m.failed[k] {
		m.counts["phantom"]++
		return
	}
	if r.Target != 0 && r.Target != TargetOf(tp) && r.Target != TargetTopic(tp.Topic) {
		m.counts["misrouted"]++
		return
	}
	repeat, highest := false, uint64(0)
	for _, s := range m.found {
		if s.key == k {
			repeat = true
		}
		if s.stream == k.stream && s.tp == tp {
			highest = max(highest, s.seq&^ghost)
		}
	}
	if repeat {
		if m.promise[k.stream] == ExactlyOnce {
			m.counts["duplicate"]++
		} else {
			m.counts["client_retry"]++
		}
		return
	}
	m.found = append(m.found, sighting{key: k, tp: tp, offset: offset})
	if k.seq < highest {
		if m.promise[k.stream] == Unordered {
			m.counts["client_reorder"]++
			return
		}
		m.counts["reordered"]++
		m.counts["distance"] = max(m.counts["distance"], highest-k.seq)
	}
}

func (m *model) final() map[string]uint64 {
	seen := map[key]bool{}
	for _, s := range m.found {
		if s.seq&ghost == 0 {
			seen[s.key] = true
		}
	}
	for k := range m.acked {
		if !seen[k] {
			m.counts["lost"]++
		} else {
			m.counts["delivered"]++
		}
	}
	for k := range seen {
		if !m.acked[k] {
			m.counts["recovered"]++
		}
	}
	return m.counts
}

func TestCheckerAgreesWithTheObviousModel(t *testing.T) {
	histories := 1500
	if testing.Short() {
		histories = 200
	}
	totals := map[string]uint64{}
	for seed := range histories {
		rng := rand.New(rand.NewPCG(uint64(seed), 4))
		c, m := New(Config{}), newModel()
		randomHistory(rng, c, m)
		r, want := c.Final(), m.final()
		got := map[string]uint64{
			"lost": r.Lost, "phantom": r.Phantom, "duplicate": r.Duplicate, "client_retry": r.ClientRetry,
			"client_reorder": r.ClientReorder, "reordered": r.Reordered, "distance": r.MaxDistance,
			"misrouted": r.Misrouted, "corrupt": r.Corrupt, "read": r.Read, "reread": r.Reread,
			"delivered": r.Delivered, "recovered": r.Recovered,
		}
		for name, n := range got {
			if n != want[name] {
				t.Fatalf("seed %d: %s: checker %d, model %d", seed, name, n, want[name])
			}
			totals[name] += n
		}
		if unseen := c.Unseen(); unseen != r.Lost || c.Now().Unseen != r.Lost {
			t.Fatalf("seed %d: unseen %d, lost %d", seed, unseen, r.Lost)
		}
		if r.Acked != uint64(len(m.acked)) || r.Failed != uint64(len(m.failed)) || r.Sent != uint64(len(m.sent)) {
			t.Fatalf("seed %d: %d sent, %d acked, %d failed; model %d, %d, %d",
				seed, r.Sent, r.Acked, r.Failed, len(m.sent), len(m.acked), len(m.failed))
		}
	}
	for name, n := range totals {
		if n == 0 {
			t.Errorf("no history showed %s: the test proves nothing about it", name)
		}
	}
}

// randomHistory plays producers, a faulty store and a consumer, in any order that a real run could show.
func randomHistory(rng *rand.Rand, c *Checker, m *model) {
	var tps []streamdown.TopicPartition
	for i := range 1 + rng.IntN(3) {
		tps = append(tps, streamdown.TopicPartition{Topic: fmt.Sprintf("t%d", i%2), Partition: int32(i)})
	}
	next := map[streamdown.TopicPartition]streamdown.Offset{}
	streams := 1 + rng.IntN(3)
	seqs := make([]uint64, streams)
	for i := range streams {
		id := Stream{Producer: uint32(i)}
		m.promise[id] = Promise(rng.IntN(3))
		c.Expect(id, m.promise[id])
	}
	for range rng.IntN(400) {
		i := rng.IntN(streams)
		id := Stream{Producer: uint32(i)}
		seq := seqs[i]
		seqs[i]++
		k := key{id, seq}
		c.Sent(id, seq)
		m.sent[k] = true
		home := tps[i%len(tps)]
		r := Record{Producer: id.Producer, Seq: seq, Size: 40}
		switch rng.IntN(3) {
		case 0:
			r.Target = TargetOf(home)
		case 1:
			r.Target = TargetTopic(home.Topic)
		}
		see := func(r Record, tp streamdown.TopicPartition) {
			value := AppendRecord(nil, r)
			if rng.IntN(100) == 0 {
				value[rng.IntN(len(value))] ^= 1 << rng.IntN(7)
			}
			offset := next[tp]
			if rng.IntN(50) == 0 {
				offset = max(0, offset-streamdown.Offset(rng.IntN(3)))
			}
			next[tp] = max(next[tp], offset+1+streamdown.Offset(rng.IntN(2)))
			c.Seen(tp, offset, value)
			m.see(tp, offset, value)
		}
		ack := func(k key) { c.Acked(k.stream, k.seq); m.ack(k) }
		fail := func(k key) { c.Failed(k.stream, k.seq); m.fail(k) }
		old := k
		if seq > 0 {
			old.seq = rng.Uint64N(seq)
		}
		oldRecord := r
		oldRecord.Seq = old.seq
		if rng.IntN(2) == 0 {
			ack(k)
		}
		if rng.IntN(10) > 0 {
			see(r, home)
		}
		switch rng.IntN(12) {
		case 0:
			see(r, home)
		case 1:
			see(oldRecord, home)
		case 2:
			see(r, tps[rng.IntN(len(tps))])
		case 3:
			fail(k)
		case 4:
			fail(old)
		case 5:
			ack(old)
		case 6:
			see(Record{Producer: id.Producer, Seq: seq + 1 + rng.Uint64N(5)}, home)
		case 7:
			see(Record{Producer: id.Producer, Incarnation: 9}, home)
		default:
			ack(k)
		}
	}
}
