package forward

import (
	"slices"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
)

// partition is the model of one Kafka partition: its log as the leader has it, how far it is committed, and what it
// knows of producers (research: forward.md 3.1, from ProducerAppendInfo and ProducerStateManager).
type partition struct {
	s       *sim
	tp      streamdown.TopicPartition
	id      streamdown.ID
	leader  int32 // -1: none
	epoch   int32
	log     []kbatch
	end     streamdown.Offset
	hw      streamdown.Offset // committed: survives every clean election
	shown   streamdown.Offset // the high watermark as the leader knows it: behind hw after an election
	state   []pstate
	floor   map[int64]int // by producer: batches of the log that its expired state came from
	ours    int           // batches of our log that are here, as the oracle counts them
	waiting []*waiter
	zombies int           // requests of dead connections that may still be applied
	landed  time.Duration // when the last of them was
	filling bool          // a replication round is under way

	limit      int // max.message.bytes, until
	limitUntil time.Duration

	views [2]leadership // what the metadata say, which lags: now, and what some broker may still say
	moved time.Duration // when they changed
	ghost ghost
}

// ghost is a leader that does not know yet that it is none: it answers questions from the past.
type ghost struct {
	node  int32
	until time.Duration
	state []pstate
}

type kbatch struct {
	base    streamdown.Offset
	count   int32
	pid     int64
	epoch   int16
	seq     int32
	crc     uint32
	newest  int64
	payload []byte
	index   int // of our log's batch; -1: of nobody of ours; foreignIndex
	late    int // one more than that of the batch that was sent again out of quarantine; 0: it was not
}

func (b *kbatch) end() streamdown.Offset { return b.base + streamdown.Offset(b.count) }

// pstate is what a partition knows of a producer: epoch and last batches, oldest first.
type pstate struct {
	pid    int64
	epoch  int16
	last   []pspan
	newest int64 // timestamp of the last batch: that is what expires (ProducerStateManager.isProducerExpired)
}

type pspan struct {
	first, last int32
	base, end   streamdown.Offset
}

// waiter is an append that waits for its replicas.
type waiter struct {
	upTo streamdown.Offset
	code func(code int16)
}

const (
	codeNotLeader        = 6
	codeTimedOut         = 7
	codeNotEnough        = 19
	codeNotEnoughAfter   = 20
	codeForbidden        = 29
	codeCorrupt          = 2
	kafkaRetainsPerState = 5
)

func (p *partition) find(pid int64) *pstate {
	for i := range p.state {
		if p.state[i].pid == pid {
			return &p.state[i]
		}
	}
	return nil
}

// offer is the leader's append path for one batch of an idempotent producer. It returns a code, the base offset and
// the offset that must be committed before the answer.
func (p *partition) offer(h *batch.Header, payload []byte) (code int16, base, need streamdown.Offset) {
	first, last := h.BaseSequence, h.LastSequence()
	if st := p.find(h.ProducerID); st != nil {
		switch {
		case h.ProducerEpoch < st.epoch:
			return codeStaleEpoch, streamdown.NoOffset, 0
		case h.ProducerEpoch > st.epoch:
			if first != 0 {
				return codeOutOfOrder, streamdown.NoOffset, 0
			}
		default:
			for _, b := range st.last {
				if b.first == first && b.last == last {
					p.s.stats.duplicates++
					return 0, b.base, b.end
				}
			}
			if first != int32((uint32(st.last[len(st.last)-1].last)+1)&seqMask) {
				return codeOutOfOrder, streamdown.NoOffset, 0
			}
		}
	}
	b := kbatch{
		base: p.end, count: h.Count, pid: h.ProducerID, epoch: h.ProducerEpoch, seq: first, crc: h.CRC, newest: h.MaxTimestamp, payload: payload,
	}
	if p.s.knobs.appendTime[p.tp.Topic] {
		b.newest = p.s.now().UnixMilli()
	}
	p.s.oracle.appended(p, &b)
	p.push(b)
	p.note(&b)
	return 0, b.base, b.end()
}

const seqMask = 1<<31 - 1

func (p *partition) push(b kbatch) {
	p.log = append(p.log, b)
	p.end = b.end()
	p.replicate()
}

// note remembers a batch in the state of its producer.
func (p *partition) note(b *kbatch) {
	if b.pid < 0 {
		return
	}
	st := p.find(b.pid)
	if st == nil {
		p.state = append(p.state, pstate{pid: b.pid, epoch: b.epoch})
		st = &p.state[len(p.state)-1]
	}
	if st.epoch != b.epoch {
		st.last = nil
	}
	st.epoch, st.newest = b.epoch, b.newest
	span := pspan{b.seq, int32((uint32(b.seq) + uint32(b.count) - 1) & seqMask), b.base, b.end()}
	st.last = append(st.last, span)
	if n := len(st.last); n > kafkaRetainsPerState {
		st.last = st.last[n-kafkaRetainsPerState:]
	}
}

// other appends records of somebody else.
func (p *partition) other() {
	if p.leader < 0 {
		return
	}
	n := int32(1 + p.s.pick(4))
	p.s.stats.foreign += int(n)
	p.push(kbatch{base: p.end, count: n, pid: -1, epoch: -1, seq: -1, index: -1})
}

// committed is the number of batches of our log that are committed here; those before it that are not here are damaged.
func (p *partition) committed() int {
	for i := len(p.log) - 1; i >= 0; i-- {
		if b := &p.log[i]; b.index >= 0 && b.end() <= p.hw {
			return b.index + 1
		}
	}
	return 0
}

// replicate lets the replicas fetch what is there now, after a while.
func (p *partition) replicate() {
	if p.filling {
		return
	}
	p.filling = true
	took := p.s.between(soonest, 5*time.Millisecond)
	if p.s.chance(0.02) {
		took = p.s.between(0, 200*time.Millisecond)
	}
	upTo, epoch := p.end, p.epoch
	p.s.after(max(took, p.s.kafka.stuckUntil-p.s.at), func() {
		p.filling = false
		if epoch == p.epoch && p.leader >= 0 && p.s.at >= p.s.kafka.stuckUntil {
			p.commit(upTo)
		}
		if p.leader >= 0 && (p.shown < p.end || p.hw < p.end) {
			p.replicate()
		}
	})
}

func (p *partition) commit(upTo streamdown.Offset) {
	p.hw, p.shown = max(p.hw, upTo), max(p.shown, upTo)
	rest := p.waiting[:0]
	var done []*waiter
	for _, w := range p.waiting {
		if w.upTo <= p.shown {
			done = append(done, w)
		} else {
			rest = append(rest, w)
		}
	}
	p.waiting = rest
	for _, w := range done {
		w.code(0)
	}
}

// wait calls done with 0 once all below upTo is committed, or with the code of what came before.
func (p *partition) wait(upTo streamdown.Offset, done func(code int16)) *waiter {
	w := &waiter{upTo, done}
	if upTo <= p.shown {
		done(0)
		return w
	}
	p.waiting = append(p.waiting, w)
	return w
}

func (p *partition) forget(w *waiter) {
	p.waiting = slices.DeleteFunc(p.waiting, func(o *waiter) bool { return o == w })
}

// elect gives the partition another leader, or the same one a new epoch: what is committed stays, of the tail a
// prefix, and the producers' state is what the log says, or only its last batch each where it came from a snapshot.
func (p *partition) elect(to int32, cut, shrink bool) {
	s := p.s
	s.stats.elections++
	if p.leader >= 0 && p.leader != to {
		p.ghost = ghost{node: p.leader, until: s.at + s.between(0, 10*time.Second), state: cloneStates(p.state)}
	}
	p.epoch++
	p.leader = to
	if cut {
		keep := len(p.log)
		for keep > 0 && p.log[keep-1].base >= p.hw && s.chance(0.7) {
			keep--
		}
		p.truncate(keep)
	}
	p.rebuild(shrink)
	p.shown = max(0, p.hw-streamdown.Offset(s.pick(4)))
	if s.chance(0.5) {
		p.shown = p.hw
	}
	s.tracef("kafka: %s led by %d in epoch %d, end %d, committed %d, shown %d", p.tp, to, p.epoch, p.end, p.hw, p.shown)
	waiting := p.waiting
	p.waiting = nil
	for _, w := range waiting {
		w.code(codeNotLeader)
	}
	if to >= 0 {
		p.replicate()
	}
	seen := leadership{p.leader, p.epoch}
	s.after(s.between(0, 800*time.Millisecond), func() {
		if seen.epoch > p.views[0].epoch {
			p.views[0], p.views[1], p.moved = seen, p.views[0], s.at
		}
	})
}

func (p *partition) truncate(keep int) {
	if keep == len(p.log) {
		return
	}
	p.s.stats.truncated += len(p.log) - keep
	p.log = p.log[:keep]
	p.end, p.ours = 0, 0
	if keep > 0 {
		p.end = p.log[keep-1].end()
	}
	for i := keep - 1; i >= 0 && p.ours == 0; i-- {
		if p.log[i].index >= 0 {
			p.ours = p.log[i].index + 1
		}
	}
	for pid, n := range p.floor {
		p.floor[pid] = min(n, keep)
	}
}

// rebuild makes the state from the log, as a follower has it; with shrink, as a restart from a snapshot does.
func (p *partition) rebuild(shrink bool) {
	p.state = nil
	for i := range p.log {
		if b := &p.log[i]; b.pid >= 0 && i >= p.floor[b.pid] {
			p.note(b)
		}
	}
	if !shrink {
		return
	}
	for i := range p.state {
		if st := &p.state[i]; len(st.last) > 1 {
			st.last = st.last[len(st.last)-1:]
			p.s.stats.shrunk++
		}
	}
}

// expire forgets producers whose last batch is old by its own timestamp. Not while a request of a dead connection is
// about to land, or has just landed: that is the limit E of the rules.
func (p *partition) expire() {
	if p.zombies > 0 || p.landed > 0 && p.s.at-p.landed < 5*time.Second {
		return
	}
	now := p.s.now().UnixMilli()
	p.state = slices.DeleteFunc(p.state, func(st pstate) bool {
		if now-st.newest < p.s.knobs.expiry.Milliseconds() {
			return false
		}
		p.s.stats.expired++
		p.s.tracef("kafka: %s forgets producer %d", p.tp, st.pid)
		p.floor[st.pid] = len(p.log)
		return true
	})
}

func cloneStates(in []pstate) []pstate {
	out := slices.Clone(in)
	for i := range out {
		out[i].last = slices.Clone(out[i].last)
	}
	return out
}
