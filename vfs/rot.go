package vfs

// What follows is no crash: a device that returns other bytes than it was given. No log can prevent it; it must say so.

// Change gives f the bytes of a file to damage in place or to shorten; what it returns is the file's content, and all of
// that is durable.
func (m *Mem) Change(name string, f func([]byte) []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ino := m.lookupLocked(name)
	if ino == nil {
		return
	}
	before := len(ino.data)
	after := f(append([]byte(nil), ino.data...))
	ino.data, ino.disk, ino.shared = after, after, len(after)
	ino.dirty, ino.lost = nil, nil
	if ino.links > 0 {
		m.growLocked(ino, len(after)-before)
	}
}

// Flip turns one bit of a file.
func (m *Mem) Flip(name string, bit int) {
	m.Change(name, func(b []byte) []byte { b[bit/8] ^= 1 << (bit % 8); return b })
}

// Stale puts one sector of a file back to what it was on an earlier disk, zeros where that had none: a write that the
// device lost without a word. It reports whether that changed anything.
func (m *Mem) Stale(earlier *Mem, name string, n int) (changed bool) {
	earlier.mu.Lock()
	var old []byte
	if ino := earlier.lookupLocked(name); ino != nil {
		old = append(old, ino.data...)
	}
	earlier.mu.Unlock()
	m.Change(name, func(b []byte) []byte {
		for i := n * sector; i < min(len(b), (n+1)*sector); i++ {
			was := byte(0)
			if i < len(old) {
				was = old[i]
			}
			changed = changed || b[i] != was
			b[i] = was
		}
		return b
	})
	return changed
}

// Misdirect writes one sector of a file over another one, of the same file or another: a write that went to the wrong
// place. It reports whether that changed anything.
func (m *Mem) Misdirect(from string, n int, to string, at int) (changed bool) {
	m.mu.Lock()
	var lost []byte
	if ino := m.lookupLocked(from); ino != nil && n*sector < len(ino.data) {
		lost = append(lost, ino.data[n*sector:min(len(ino.data), (n+1)*sector)]...)
	}
	m.mu.Unlock()
	m.Change(to, func(b []byte) []byte {
		for i, c := range lost {
			if at := at*sector + i; at < len(b) {
				changed = changed || b[at] != c
				b[at] = c
			}
		}
		return b
	})
	return changed
}

// Distort sets a function that may change the bytes that a read returns, which lie at off of the file: a bad cable, a
// read of the wrong place. It is called with the disk locked. Nil ends that.
func (m *Mem) Distort(f func(name string, off int64, b []byte)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.distort = f
}

// Evict makes the pages that are marked clean be read from the disk anew, as memory pressure does: what a failed Sync
// gave up is gone from sight.
func (m *Mem) Evict() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.names {
		if e.now != nil {
			e.now.evict()
		}
	}
}
