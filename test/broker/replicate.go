package broker

import "slices"

// fillLocked lets the followers fetch until all have all that the leader has and know what is committed, at once or in
// rounds that take the time that Config.Lag says.
func (p *partition) fillLocked() {
	if p.c.cfg.Lag == nil {
		for p.roundLocked() {
		}
		return
	}
	if p.filling {
		return
	}
	p.filling = true
	p.c.afterLocked(max(0, p.c.cfg.Lag()), func() {
		p.filling = false
		if p.roundLocked() {
			p.fillLocked()
		}
	})
}

// roundLocked is one fetch of each follower that follows, at each broker that believes that it leads: what the leader
// has is copied, and the high watermark follows, the followers' one round behind. It returns whether anything changed.
func (p *partition) roundLocked() (changed bool) {
	if p.stuck {
		return false
	}
	for _, l := range p.replicas {
		v := p.views[l.node]
		if v.leader != l.node || !p.c.nodes[l.node].up {
			continue
		}
		committed := l.end
		for _, f := range p.replicas {
			if f == l {
				continue
			}
			if p.c.nodes[f.node].up && p.views[f.node].leader == l.node && p.views[f.node].epoch == v.epoch {
				changed = f.fetch(l) || changed
				if l.node == p.now.leader && v.epoch == p.now.epoch && f.end == l.end && !slices.Contains(p.now.isr, f.node) {
					p.now.isr = append(slices.Clone(p.now.isr), f.node)
					p.tellLocked()
					changed = true
				}
			}
			if slices.Contains(p.views[l.node].isr, f.node) {
				committed = min(committed, f.end)
			}
		}
		if committed > l.hw {
			l.hw, changed = committed, true
			p.keepLocked(l)
			p.wakeLocked(l)
		}
	}
	return changed
}

// fetch copies what the leader has beyond the follower's end.
func (r *replica) fetch(l *replica) (changed bool) {
	if r.end < l.start { // all of it was trimmed: begin anew
		r.log, r.epochs, r.producers = nil, nil, map[int64]*producer{}
		r.start, r.end, r.hw = l.start, l.start, l.start
	}
	hw := min(l.hw, l.end)
	for i := range l.log {
		if l.log[i].base >= r.end {
			r.push(l.log[i])
			changed = true
		}
	}
	if l.start > r.start {
		r.trim(l.start)
		changed = true
	}
	if hw = min(hw, r.end); hw > r.hw {
		r.hw, changed = hw, true
	}
	return changed
}

// follow cuts off what the leader does not have (KIP-101): below it the two logs are the same.
func (r *replica) follow(l *replica) {
	for len(r.epochs) > 0 && r.end > 0 {
		mine := r.epochs[len(r.epochs)-1].epoch
		epoch, end := l.epochEnd(mine)
		if epoch == mine || epoch < 0 {
			if epoch == mine && end < r.end {
				r.cut(end)
			} else if epoch < 0 {
				r.cut(min(r.hw, l.end))
			}
			break
		}
		// The leader has no such epoch: nothing of it can stay, nor what of the epoch below lies beyond the leader's.
		_, here := r.epochEnd(epoch)
		if here < 0 {
			here = r.epochs[len(r.epochs)-1].start
		}
		if to := min(end, here); to < r.end {
			r.cut(to)
			continue
		}
		break
	}
}

// cut removes the batches that end beyond an offset.
func (r *replica) cut(end int64) {
	n := len(r.log)
	for n > 0 && r.log[n-1].end > end {
		n--
	}
	r.log = r.log[:n:n]
	if r.end = r.start; n > 0 {
		r.end = r.log[n-1].end
	}
	r.hw = min(r.hw, r.end)
	r.cutEpochs(r.end)
	for id, at := range r.expired {
		r.expired[id] = min(at, r.end)
	}
	r.rebuild()
}

// trim moves the start of the log. Producers stay known (KAFKA-7190).
func (r *replica) trim(start int64) {
	n := 0
	for n < len(r.log) && r.log[n].end <= start {
		n++
	}
	r.log = slices.Clone(r.log[n:])
	r.start = start
	r.end = max(r.end, start)
	r.hw = max(r.hw, start)
	for len(r.epochs) > 1 && r.epochs[1].start <= start {
		r.epochs = r.epochs[1:]
	}
	if len(r.epochs) > 0 {
		r.epochs[0].start = max(r.epochs[0].start, start)
	}
}
