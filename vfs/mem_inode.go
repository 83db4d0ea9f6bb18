package vfs

import "slices"

// An inode is a file: what a running process reads of it, what is durable, and what lies between the two. Bytes below
// shared, and those of disk, dirty and lost, are never changed in place, so that copies of a disk cost little.
type inode struct {
	data   []byte  // what a running process reads
	shared int     // below this data is copied before it is changed
	disk   []byte  // what is durable, but for lost
	dirty  []write // since the last sync, in order
	lost   []write // in order; a sync of them failed and marked them clean: the disk has them or what was there before
	room   *room   // that it takes, once it has a name
	links  int     // names that it has
}

// A write put bytes at a place of the file.
type write struct {
	at int
	b  []byte
}

func (w write) end() int { return w.at + len(w.b) }

// settled is a file of which all is durable.
func settled(b []byte) *inode {
	b = b[:len(b):len(b)]
	return &inode{data: b, shared: len(b), disk: b}
}

// write changes what a process reads. b is copied.
func (ino *inode) write(at int, b []byte) {
	end := at + len(b)
	if at < ino.shared {
		data := make([]byte, len(ino.data), max(end, len(ino.data))+len(b)) // the next write makes it longer, perhaps
		copy(data, ino.data)
		ino.data, ino.shared = data, 0
	}
	if over := min(len(ino.data)-at, len(b)); over > 0 {
		copy(ino.data[at:], b[:over])
		b = b[over:]
	} else if over < 0 {
		ino.data = append(ino.data, make([]byte, -over)...)
	}
	ino.data = append(ino.data, b...)
	ino.dirty = append(ino.dirty, write{at, ino.data[at:end:end]})
	ino.shared = max(ino.shared, end)
}

// sync makes all durable that no failed sync gave up.
func (ino *inode) sync() {
	for _, w := range ino.dirty {
		ino.lost = without(ino.lost, w)
	}
	if len(ino.lost) == 0 {
		n := len(ino.data)
		ino.disk, ino.shared = ino.data[:n:n], n
	} else {
		ino.disk = ino.without()
	}
	ino.dirty = ino.dirty[:0]
}

// giveUp is a sync that failed.
func (ino *inode) giveUp() {
	ino.lost = append(ino.lost, ino.dirty...)
	ino.dirty = ino.dirty[:0]
}

// evict reads anew what a failed sync gave up: what was on the disk before is there, which also says that it was never
// written.
func (ino *inode) evict() {
	if len(ino.lost) == 0 {
		return
	}
	ino.data, ino.shared, ino.lost = ino.without(), 0, nil
}

// without is the file without what failed syncs gave up.
func (ino *inode) without() []byte {
	b := make([]byte, len(ino.data))
	copy(b, ino.disk)
	for _, w := range ino.dirty {
		copy(b[w.at:], w.b)
	}
	return b
}

// without returns what is left of writes where another one does not write over them.
func without(writes []write, over write) []write {
	var left []write
	for i, w := range writes {
		if w.end() <= over.at || w.at >= over.end() {
			if left != nil {
				left = append(left, w)
			}
			continue
		}
		if left == nil {
			left = append(make([]write, 0, len(writes)+1), writes[:i]...)
		}
		if n := over.at - w.at; n > 0 {
			left = append(left, write{w.at, w.b[:n:n]})
		}
		if n := over.end() - w.at; n < len(w.b) {
			left = append(left, write{over.end(), w.b[n:]})
		}
	}
	if left == nil {
		return writes
	}
	return left
}

// clone copies a file as the death of its process leaves it.
func (ino *inode) clone() *inode {
	n := len(ino.data)
	ino.shared = n
	return &inode{data: ino.data[:n:n], shared: n, disk: ino.disk, dirty: slices.Clone(ino.dirty), lost: slices.Clone(ino.lost)}
}
