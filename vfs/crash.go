package vfs

import (
	"iter"
	"math/rand/v2"
	"sort"
)

// sector is what a device writes as a whole, in bytes.
const sector = 512

// A picker chooses one of n ways a crash can go, 0 to n-1. All it chooses from is legal; 0 keeps least.
type picker func(n int) int

// Crash returns the disk as a power cut leaves it, and leaves this one as it is (see [Mem.Halt]). rng decides, for each
// file and each name apart, what became of that which no sync covered:
//
//   - writes are lost, kept, torn at any byte; kept or lost write by write or sector by sector in any order; garbled;
//     a size is there without its data (zeros). Where a write was lost there is what was there before: of a file that is
//     written over, the old bytes. Of two writes to one place the later one wins, if it was kept.
//   - what a failed Sync gave up is mostly lost, even when a later one worked.
//   - a name points to any of the files it pointed to since its directory was synced, so creations, renames and
//     removals are lost, kept or come back, one without the other. A rename never loses the file under both names.
//
// What was synced is untouched, also in a sector that was written again later, where that write did not change it: a
// device is trusted that far.
// A nil rng drops all that is not durable.
func (m *Mem) Crash(rng *rand.Rand) *Mem {
	if rng == nil {
		return m.crash(func(int) int { return 0 }, false)
	}
	return m.crash(rng.IntN, true)
}

// CrashStates yields the disks that a power cut can leave, by every choice of whole writes and of names, one after the
// other; it stops after limit. The numbers and the order are the same each time. The disk must not change meanwhile.
func (m *Mem) CrashStates(limit int) iter.Seq[*Mem] {
	return func(yield func(*Mem) bool) {
		var chosen, ways []int
		for range limit {
			i := 0
			c := m.crash(func(n int) int {
				if i == len(chosen) {
					chosen, ways = append(chosen, 0), append(ways, n)
				}
				i++
				return chosen[i-1]
			}, false)
			if !yield(c) {
				return
			}
			last := len(chosen) - 1
			for last >= 0 && chosen[last]+1 >= ways[last] {
				last--
			}
			if last < 0 {
				return
			}
			chosen[last]++
			chosen, ways = chosen[:last+1], ways[:last+1]
		}
	}
}

// Kill returns the disk as the death of the process leaves it: all it did is there to be read and no lock is held, but
// what was not durable is not durable yet. Files that it had open are of no use on the new disk. With evict set, pages
// that are marked clean are read from the disk anew: what a failed Sync gave up is gone.
func (m *Mem) Kill(evict bool) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMem()
	c.ops = m.ops
	copies := make(map[*inode]*inode, len(m.names)+1)
	copies[nil] = nil
	for n, e := range m.names {
		d := &entry{stuck: e.stuck, past: make([]pointing, len(e.past), len(e.past)+2)}
		for i, p := range e.past {
			left, ok := copies[p.ino]
			if !ok {
				left = p.ino.clone()
				if evict {
					left.evict()
				}
				copies[p.ino] = left
			}
			d.past[i] = pointing{left, p.op, p.to}
		}
		d.now = d.past[len(d.past)-1].ino
		c.names[n] = d
		c.linkLocked(n, d.now)
	}
	return c
}

// crash makes one of the disks that a power cut can leave. With fine set it goes below whole writes.
func (m *Mem) crash(pick picker, fine bool) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMem()
	names := make([]string, 0, len(m.names))
	for n := range m.names {
		names = append(names, n)
	}
	sort.Strings(names)
	chosen := make(map[string]int, len(names))
	for _, n := range names {
		if past := m.names[n].past; len(past) > 1 {
			chosen[n] = pick(len(past))
		}
	}
	copies := map[*inode]*inode{} // one file may be left with two names
	for _, n := range names {
		ino := m.pointedLocked(n, chosen)
		if ino == nil {
			continue
		}
		left := copies[ino]
		if left == nil {
			left = ino.crash(pick, fine)
			copies[ino] = left
		}
		c.names[n] = &entry{now: left, past: []pointing{{ino: left}}}
		c.linkLocked(n, left)
	}
	return c
}

// pointedLocked is the file that name is left with. A name that a rename took away keeps its file when the other name did
// not get it: a rename is atomic.
func (m *Mem) pointedLocked(name string, chosen map[string]int) *inode {
	past := m.names[name].past
	i := chosen[name]
	for ; i > 0 && past[i].ino == nil && past[i].to != ""; i-- {
		other := m.names[past[i].to]
		if other == nil || other.past[chosen[past[i].to]].op >= past[i].op {
			break // it arrived there, or was replaced or removed there later
		}
	}
	return past[i].ino
}

// crash returns the file as a power cut leaves it: all that is in it is durable then.
func (ino *inode) crash(pick picker, fine bool) *inode {
	if len(ino.dirty)+len(ino.lost) == 0 && len(ino.data) == len(ino.disk) {
		return settled(ino.disk)
	}
	t := &torn{ino: ino, pick: pick, left: make([]byte, len(ino.data)), end: len(ino.disk)}
	copy(t.left, ino.disk)
	if fine {
		t.gaveUp()
		return settled(t.left[:t.sectors()])
	}
	t.writes(ino.lost)
	return settled(t.left[:t.writes(ino.dirty)])
}

// torn is a file that a power cut leaves.
type torn struct {
	ino  *inode
	pick picker
	left []byte // as long as the file was when the power went; begins as what was durable
	end  int    // behind all that was kept
}

func (t *torn) keep(at int, b []byte) {
	copy(t.left[at:], b)
	t.end = max(t.end, at+len(b))
}

// garble puts noise where b was being written and would have changed something.
func (t *torn) garble(at int, b []byte) {
	noise := uint32(t.pick(1<<30)) | 1 //nolint:gosec // 30 bits
	for i, c := range b {
		noise ^= noise << 13
		noise ^= noise >> 17
		noise ^= noise << 5
		if i += at; i >= len(t.ino.disk) || c != t.ino.disk[i] {
			t.left[i] = byte(noise)
		}
	}
	t.end = max(t.end, at+len(b))
}

// each calls f for each sector's part of writes, in order.
func each(writes []write, f func(at int, b []byte)) {
	for _, w := range writes {
		for at, b := w.at, w.b; len(b) > 0; {
			n := min(len(b), sector-at%sector)
			f(at, b[:n])
			at, b = at+n, b[n:]
		}
	}
}

// writes decides for each write whether it is there, and returns the size: that of the last one there, or of all.
func (t *torn) writes(writes []write) int {
	for _, w := range writes {
		if t.pick(2) == 1 {
			t.keep(w.at, w.b)
		}
	}
	if t.end < len(t.left) && t.pick(2) == 1 {
		return len(t.left) // the size was written and not the data
	}
	return t.end
}

// gaveUp decides what is there of what failed syncs gave up. Some of it may have reached the disk before they failed.
func (t *torn) gaveUp() {
	if len(t.ino.lost) == 0 || t.pick(2) == 0 {
		return
	}
	each(t.ino.lost, func(at int, b []byte) {
		if t.pick(2) == 1 {
			t.keep(at, b)
		}
	})
}

// sectors decides for bytes and sectors what is there of what was not synced, and returns the size.
func (t *torn) sectors() int {
	size, dirty := len(t.left), t.ino.dirty
	some := func() int { return len(t.ino.disk) + t.pick(size-len(t.ino.disk)+1) }
	switch t.pick(8) {
	case 0: // nothing
		return t.end
	case 1: // all
		for _, w := range dirty {
			t.keep(w.at, w.b)
		}
		return size
	case 2, 3: // torn at any byte
		total := 0
		for _, w := range dirty {
			total += len(w.b)
		}
		for left, i := t.pick(total+1), 0; left > 0; i++ {
			n := min(left, len(dirty[i].b))
			t.keep(dirty[i].at, dirty[i].b[:n])
			left -= n
		}
		return t.end
	case 4: // a size without data
		return some()
	case 5: // write by write
		return t.writes(dirty)
	case 6: // sector by sector
		each(dirty, func(at int, b []byte) {
			if t.pick(2) == 1 {
				t.keep(at, b)
			}
		})
	case 7: // where a sector was being changed it may hold anything
		each(dirty, func(at int, b []byte) {
			switch t.pick(3) {
			case 1:
				t.garble(at, b)
			case 2:
				t.keep(at, b)
			}
		})
	}
	if t.pick(2) == 0 {
		return some()
	}
	return size
}
