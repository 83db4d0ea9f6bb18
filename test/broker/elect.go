package broker

import "slices"

// installLocked makes a decision of the controller known.
func (p *partition) installLocked(l leadership) {
	p.now = l
	p.lossesLocked()
	p.tellLocked()
	p.fillLocked()
}

// tellLocked brings the brokers that listen to what the controller decided last.
func (p *partition) tellLocked() {
	for _, b := range p.c.nodes {
		if b.up && !b.deaf {
			p.learnLocked(b.id)
		}
	}
	for _, b := range p.c.nodes { // followers cut their logs when all know who leads
		if b.up && !b.deaf {
			p.followLocked(b.id)
		}
	}
}

// learnLocked makes a broker believe what the controller decided: who begins to lead notes where its epoch begins, and
// who does not lead any more answers those who wait.
func (p *partition) learnLocked(node int32) {
	was := p.views[node]
	if was.epoch == p.now.epoch && was.leader == p.now.leader {
		p.views[node].isr = slices.Clone(p.now.isr)
		return
	}
	p.views[node] = leadership{p.now.leader, p.now.epoch, slices.Clone(p.now.isr)}
	r := p.at(node)
	if r == nil {
		return
	}
	p.takeLocked(func(w *waiter) (int16, bool) { return codeNotLeader, w.node == node && p.now.leader != node })
	if p.now.leader == node {
		r.assign(p.now.epoch, r.end)
	}
}

// followLocked cuts a follower's log where it differs from its leader's.
func (p *partition) followLocked(node int32) {
	r, l := p.at(node), p.at(p.now.leader)
	if r != nil && l != nil && r != l && p.views[node].epoch == p.now.epoch && p.c.nodes[l.node].up {
		r.follow(l)
	}
}

// electLocked gives the partition a leader, -1 = none, in a new epoch. Unclean: the leader alone is in sync then.
func (p *partition) electLocked(to int32, unclean bool) {
	l := leadership{to, p.now.epoch + 1, p.now.isr}
	if unclean {
		l.isr = []int32{to}
	}
	p.installLocked(l)
}

// goneLocked takes a broker that went away out of the in-sync replicas, and gives what it led to another one of these.
func (p *partition) goneLocked(node int32) {
	r := p.at(node)
	if r == nil {
		return
	}
	isr := slices.DeleteFunc(slices.Clone(p.now.isr), func(id int32) bool { return id == node })
	if len(isr) == 0 { // the last one stays in sync: it has all that is committed
		isr = []int32{node}
	}
	l := leadership{p.now.leader, p.now.epoch, isr}
	if p.now.leader == node {
		l.epoch++
		l.leader = -1
		for _, id := range isr {
			if p.c.nodes[id].up {
				l.leader = id
				break
			}
		}
	}
	p.installLocked(l)
}

// backLocked gives a partition without a leader one of those that are in sync.
func (p *partition) backLocked() {
	if p.now.leader >= 0 {
		p.tellLocked()
		p.fillLocked()
		return
	}
	for _, id := range p.now.isr {
		if p.c.nodes[id].up {
			p.electLocked(id, false)
			return
		}
	}
	p.tellLocked()
}
