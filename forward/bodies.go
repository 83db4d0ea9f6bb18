package forward

import "math/bits"

// bodies lends the buffers that batches wait in, and takes them back: once it has as many as it needs, forwarding
// allocates nothing. It belongs to a Core.
//
// Who owns the bytes of a batch, from the log to the target:
//
//   - What Chunk is given belongs to the reader, and is valid until Chunk returns. A reader has one buffer for all that it
//     reads.
//   - A batch that a lane takes is copied into a buffer that is lent. A chunk of 1 MiB can hold batches of 300 lanes, and
//     is kept whole by the one that is stuck: lending parts of it made 64 MiB of batches hold 1.7 GB. Copying costs less
//     than the checksum that was looked at just before, and what a cursor passes over costs nothing.
//   - While the batch is in flight its payload is the pipe's to read as well, until it is answered or the pipe has ended.
//     Only then is the Core told (Answered, Lost).
//   - When the batch leaves its lane's queue, its buffer is given back. One that is still in flight then is left to the
//     garbage collector instead: nobody knows when the pipe is through with it.
type bodies struct {
	most  int // bytes lent and kept that are too many: then what is kept gives way
	lent  int
	kept  int
	idle  int // the least that was kept since the last trim: nobody needed it
	free  [bodyClasses][][]byte
	spoil bool // for the simulation: what is given back is overwritten, so that a later use shows
}

const (
	bodySteps   = 4 // sizes per doubling: at most a quarter of a buffer is not used
	bodyLeast   = 256
	bodyClasses = 28 * bodySteps // up to 128 MiB, the largest entry
)

// bodyClass returns the class of buffers for n bytes, and their size.
func bodyClass(n int) (class, size int) {
	n = max(n, bodyLeast)
	k := bits.Len(uint(n - 1)) // 2^(k-1) < n ≤ 2^k
	step := 1 << (k - 3)
	size = (n + step - 1) &^ (step - 1)
	return (k-9)*bodySteps + size>>(k-3) - bodySteps, size
}

// lend returns a buffer of n bytes whose content is not defined; its capacity is what it counts for.
func (b *bodies) lend(n int) []byte {
	class, size := bodyClass(n)
	b.lent += size
	if free := b.free[class]; len(free) > 0 {
		last := len(free) - 1
		body := free[last]
		free[last] = nil
		b.free[class] = free[:last]
		b.kept -= size
		b.idle = min(b.idle, b.kept)
		return body[:n]
	}
	if over := b.lent + b.kept - b.most; over > 0 && b.kept > 0 {
		b.discard(over)
	}
	return make([]byte, n, size)
}

// back takes a buffer that lend gave out.
func (b *bodies) back(body []byte) {
	body = body[:cap(body)]
	b.lent -= len(body)
	if b.spoil {
		for i := range body {
			body[i] = 0xdb
		}
	}
	if b.lent+b.kept+len(body) > b.most {
		return
	}
	class, _ := bodyClass(len(body))
	b.free[class] = append(b.free[class], body)
	b.kept += len(body)
}

// leave gives up a buffer that may still be read by others.
func (b *bodies) leave(body []byte) { b.lent -= cap(body) }

// trim lets go of what nobody needed since the last trim.
func (b *bodies) trim() {
	b.discard(b.idle)
	b.idle = b.kept
}

// discard lets go of at least n bytes that are kept, or of all, large ones first.
func (b *bodies) discard(n int) {
	for class := len(b.free) - 1; class >= 0 && n > 0; class-- {
		free := b.free[class]
		for len(free) > 0 && n > 0 {
			last := len(free) - 1
			n -= cap(free[last])
			b.kept -= cap(free[last])
			free[last] = nil
			free = free[:last]
		}
		b.free[class] = free
	}
	b.idle = min(b.idle, b.kept)
}
