package forward

import "sync"

// openPipes holds every connection from its dialling to its close, so that none is left behind when Run ends while one
// is just being made.
type openPipes struct {
	mu    sync.Mutex // guards the following
	pipes map[Pipe]struct{}
	ended bool
}

// add takes a new connection. After end it closes the connection itself, and says so with false.
func (o *openPipes) add(p Pipe) bool {
	o.mu.Lock()
	ended := o.ended
	if !ended {
		if o.pipes == nil {
			o.pipes = map[Pipe]struct{}{}
		}
		o.pipes[p] = struct{}{}
	}
	o.mu.Unlock()
	if ended {
		_ = p.Close() // nothing was sent on it
	}
	return !ended
}

// close ends one connection; what it left unanswered is in doubt, so its error tells nothing new.
func (o *openPipes) close(p Pipe) {
	_ = p.Close()
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.pipes, p)
}

// end closes all connections, and those that come later.
func (o *openPipes) end() {
	o.mu.Lock()
	o.ended = true
	all := make([]Pipe, 0, len(o.pipes))
	for p := range o.pipes {
		all = append(all, p)
	}
	o.mu.Unlock()
	for _, p := range all {
		o.close(p)
	}
}
