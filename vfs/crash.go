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
//   - bytes are lost, kept, torn at any byte; kept or lost write by write or sector by sector in any order; garbled;
//     a size is there without its data (zeros). What a failed Sync gave up is mostly lost, even when a later one worked.
//   - a name points to any of the files it pointed to since its directory was synced, so creations, renames and
//     removals are lost, kept or come back, one without the other. A rename never loses the file under both names.
//
// What was synced is untouched, also in a sector that was written again later: a device is trusted that far.
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
	copies := map[*inode]*inode{nil: nil}
	for n, e := range m.names {
		d := &entry{stuck: e.stuck, past: make([]pointing, len(e.past), len(e.past)+2)}
		for i, p := range e.past {
			if copies[p.ino] == nil && p.ino != nil {
				copies[p.ino] = p.ino.clone(evict)
			}
			d.past[i] = pointing{copies[p.ino], p.op, p.to}
		}
		d.now = d.past[len(d.past)-1].ino
		c.names[n] = d
		c.used += int64(size(d.now))
	}
	return c
}

func (ino *inode) clone(evict bool) *inode {
	c := &inode{
		data: append([]byte(nil), ino.data...), synced: ino.synced, clean: ino.clean,
		writes: append([]int(nil), ino.writes...), lost: append([]extent(nil), ino.lost...),
	}
	if evict {
		for _, x := range c.lost {
			clear(c.data[x.from:x.to])
		}
		if c.clean > c.synced {
			clear(c.data[c.synced:c.clean])
		}
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
		ino := m.leftLocked(n, chosen)
		if ino == nil {
			continue
		}
		left := copies[ino]
		if left == nil {
			left = ino.crash(pick, fine)
			copies[ino] = left
		}
		c.names[n] = &entry{now: left, past: []pointing{{ino: left}}}
		c.used += int64(len(left.data))
	}
	return c
}

// leftLocked is the file that name is left with. A name that a rename took away keeps its file when the other name did
// not get it: a rename is atomic.
func (m *Mem) leftLocked(name string, chosen map[string]int) *inode {
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
	left := &inode{data: append([]byte(nil), ino.data...)}
	for _, x := range ino.lost {
		left.drop(x, pick, fine)
	}
	if len(ino.data) > ino.synced {
		if fine {
			left.data = left.data[:ino.tearFine(left, pick)]
		} else {
			left.data = left.data[:ino.tearWrites(left, pick)]
		}
	}
	left.synced, left.clean = len(left.data), len(left.data)
	return left
}

// drop takes away bytes that a failed sync gave up. Some of them may have reached the disk before it failed.
func (ino *inode) drop(x extent, pick picker, fine bool) {
	switch {
	case !fine:
		if pick(2) == 0 {
			clear(ino.data[x.from:x.to])
		}
	case pick(2) == 0:
		clear(ino.data[x.from:x.to])
	default:
		sectors(x.from, x.to, func(from, to int) {
			if pick(2) == 0 {
				clear(ino.data[from:to])
			}
		})
	}
}

// sectors calls f for each sector's part of [from, to).
func sectors(from, to int, f func(from, to int)) {
	for from < to {
		end := min(to, from-from%sector+sector)
		f(from, end)
		from = end
	}
}

// tearWrites decides for each write whether it is there, and returns the size: that of the last one there, or of all.
func (ino *inode) tearWrites(left *inode, pick picker) int {
	at, end := ino.synced, ino.synced
	for _, to := range ino.writes {
		if to <= at {
			continue
		}
		if pick(2) == 0 {
			clear(left.data[at:to])
		} else {
			end = to
		}
		at = to
	}
	if end < len(ino.data) && pick(2) == 1 {
		end = len(ino.data) // the size was written and not the data
	}
	return end
}

// tearFine decides for bytes and sectors what is there, and returns the size.
func (ino *inode) tearFine(left *inode, pick picker) int {
	at, size := ino.synced, len(ino.data)
	if ino.clean > at {
		left.drop(extent{at, ino.clean}, pick, true)
	}
	some := func() int { return at + pick(size-at+1) }
	switch pick(8) {
	case 0: // nothing
		return at
	case 1: // all
		return size
	case 2, 3: // torn at any byte
		return some()
	case 4: // a size without data
		clear(left.data[at:])
		return some()
	case 5: // write by write
		return ino.tearWrites(left, pick)
	case 6: // sector by sector
		sectors(at, size, func(from, to int) {
			if pick(2) == 0 {
				clear(left.data[from:to])
			}
		})
	case 7: // a sector that was being written may hold anything
		sectors(at, size, func(from, to int) {
			switch pick(3) {
			case 0:
				clear(left.data[from:to])
			case 1:
				for i := from; i < to; i++ {
					left.data[i] = byte(pick(256))
				}
			}
		})
	}
	if pick(2) == 0 {
		return some()
	}
	return size
}
