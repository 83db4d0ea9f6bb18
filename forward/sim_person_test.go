package forward

import "iter"

// start lets fn run as if it were a process of its own: where it waits for an event (await), the simulation goes on. One
// thread, one order, whatever the seed says; with the life of the gateway it ends.
func (p *person) start(fn func()) {
	p.next, p.stop = iter.Pull(func(yield func(struct{}) bool) {
		p.yield = yield
		fn()
		if p.g.person == p {
			p.g.person = nil
		}
	})
	p.next()
}

// await begins something and returns when it has called done.
func (p *person) await(begin func(done func())) error {
	over, waiting := false, false
	begin(func() {
		over = true
		if waiting && !p.g.dead {
			p.next()
		}
	})
	if over {
		return nil
	}
	waiting = true
	if !p.yield(struct{}{}) || p.g.dead {
		return errSimEnded
	}
	return nil
}

// end stops what is under way where it is.
func (g *gateway) end() {
	if p := g.person; p != nil {
		g.person = nil
		p.stop()
	}
}
