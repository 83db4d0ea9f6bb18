package wal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
)

// target is a sealed segment that is to be checked: what does not change as long as it is the log's.
type target struct {
	number       uint64
	first, limit streamdown.LSN
	name, path   string
}

func (l *Log) firstSegment() uint64 {
	l.files.RLock()
	defer l.files.RUnlock()
	return l.segments[0].number
}

// lastSegment is the one that is written to.
func (l *Log) lastSegment() uint64 {
	l.files.RLock()
	defer l.files.RUnlock()
	return l.segments[len(l.segments)-1].number
}

// sealedAfter returns the oldest sealed segment with a higher number.
func (l *Log) sealedAfter(number uint64) (target, bool) {
	l.files.RLock()
	defer l.files.RUnlock()
	for i, s := range l.segments[:len(l.segments)-1] {
		if s.number > number {
			return target{number: s.number, first: s.first, limit: l.segments[i+1].first, name: s.name, path: s.path}, true
		}
	}
	return target{}, false
}

func (l *Log) sealedBytes() int64 {
	l.files.RLock()
	defer l.files.RUnlock()
	return int64(l.segments[len(l.segments)-1].first - l.segments[0].first) //nolint:gosec // positive
}

// lists reports whether a segment is still the log's. A release takes it off the list before anything happens to its
// file: what was read before this was asked is what was written.
func (l *Log) lists(number uint64) bool {
	l.files.RLock()
	defer l.files.RUnlock()
	for _, s := range l.segments {
		if s.number >= number {
			return s.number == number
		}
	}
	return false
}

// distrust notes that a segment's state is not whole.
func (l *Log) distrust(number uint64) {
	l.files.Lock()
	defer l.files.Unlock()
	for _, s := range l.segments {
		if s.number == number {
			s.whole = false
		}
	}
}

// appended is the end of what was handed to Append.
func (l *Log) appended() streamdown.LSN {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next
}

// platter reads a segment's file as the device has it.
type platter struct {
	file   vfs.DirectFile
	before func(n int) error // is asked before a piece of n bytes is read
	after  func(took time.Duration) error
	bad    []badPart // in no order
}

// badPart is a part of a file, [from, to), that the device does not give.
type badPart struct {
	from, to int64
	err      error
}

// cachedFile reads the file of an FS that knows of no other way.
type cachedFile struct{ vfs.File }

func (cachedFile) Way() vfs.Way { return vfs.WayCached }

func openPlatter(fs vfs.FS, path string) (vfs.DirectFile, error) {
	if d, ok := fs.(vfs.DirectOpener); ok {
		return d.OpenDirect(path)
	}
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	return cachedFile{f}, nil
}

func (p *platter) Size() (int64, error) { return p.file.Size() }

// ReadAt reads in pieces. Blocks that cannot be read are filled with what is valid nowhere.
func (p *platter) ReadAt(b []byte, off int64) (n int, err error) {
	for n < len(b) && err == nil {
		at := off + int64(n)
		piece := b[n:min(len(b), n+int(scrubPiece-at%scrubBlock))]
		if err := p.before(len(piece)); err != nil {
			return n, err
		}
		began := time.Now()
		var got int
		if got, err = p.file.ReadAt(piece, at); err != nil && !errors.Is(err, io.EOF) {
			got, err = p.blocks(piece, at)
		}
		if err := p.after(time.Since(began)); err != nil {
			return n, err
		}
		n += got
	}
	return n, err
}

func (p *platter) blocks(piece []byte, at int64) (n int, err error) {
	for n < len(piece) {
		b := piece[n:min(len(piece), n+int(scrubBlock-(at+int64(n))%scrubBlock))]
		got, err := p.file.ReadAt(b, at+int64(n))
		if errors.Is(err, io.EOF) {
			return n + got, io.EOF
		}
		if err != nil {
			p.note(badPart{at + int64(n), at + int64(n+len(b)), err})
			for i := range b {
				b[i] = 0xA5
			}
		}
		n += len(b)
	}
	return n, nil
}

func (p *platter) note(u badPart) {
	if n := len(p.bad); n > 0 && p.bad[n-1].to == u.from {
		p.bad[n-1].to = u.to
		return
	}
	p.bad = append(p.bad, u)
}

// An inspection is one check of one segment.
type inspection struct {
	*target
	platter
	id    streamdown.ID
	seed  uint32
	size  int64 // of the file
	start int64 // file position of first
	found finding
	count func(n int64)
}

// check reads one segment. ErrReleased says that it is the log's no more.
func (s *Scrubber) check(ctx context.Context, at *target) (*finding, error) {
	n := &inspection{target: at, id: s.log.id, seed: s.log.seed, count: s.count}
	f, err := openPlatter(s.log.cfg.FS, at.path)
	if err != nil {
		if !s.log.lists(at.number) {
			return nil, ErrReleased
		}
		if vfs.IsNotExist(err) {
			n.damaged(Damage{Kind: DamageMissing, FromLSN: at.first, ToLSN: at.limit, Detail: "the file is not there"})
			return &n.found, nil
		}
		return nil, err
	}
	defer f.Close()
	n.platter = platter{
		file:   f,
		before: func(n int) error { return s.pace(ctx, n) },
		after: func(took time.Duration) error {
			if rest := time.Now().Add(scrubRest * took); s.cfg.Rate > 0 && rest.After(s.due) {
				s.due = rest
			}
			if !s.log.lists(at.number) {
				return ErrReleased
			}
			return nil
		},
	}
	if n.size, err = f.Size(); err != nil {
		return nil, err
	}
	if err := n.head(); err != nil {
		return nil, err
	}
	s.buf, err = n.entries(s.buf[:0])
	if cap(s.buf) > 4<<20 { // one giant batch must not keep its buffer for ever
		s.buf = nil
	}
	s.mu.Lock()
	s.stats.Way = f.Way()
	s.mu.Unlock()
	return &n.found, err
}

func (n *inspection) damaged(d Damage) {
	d.Segment = n.name
	for i := range n.bad {
		if u := &n.bad[i]; u.from < d.To && u.to > d.From {
			d.Detail = fmt.Sprintf("bytes [%d, %d) of it cannot be read: %v", max(u.from, d.From), min(u.to, d.To), u.err)
			break
		}
	}
	if len(n.found.list) == maxDamage {
		n.found.more++
		return
	}
	n.found.list = append(n.found.list, ScrubDamage{Damage: d})
}

// head checks header and state and finds where the entries begin.
func (n *inspection) head() error {
	var b [segmentHeader]byte
	got, err := n.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	h, size, crc, err := parseHeader(b[:got])
	if err == nil && (h.log != n.id || h.number != n.number || h.first != n.first) {
		err = fmt.Errorf("it says segment %d of log %s at %d: a write went to the wrong place", h.number, h.log, h.first)
	}
	if err == nil && size > maxState {
		err = errHeader
	}
	n.count(int64(got))
	if err != nil {
		n.damaged(Damage{Kind: DamageHeader, To: int64(got), Detail: err.Error()})
		n.start, err = locate(n, n.seed, n.first, n.size)
		return err
	}
	n.start = dataStart(size)
	sum, err := n.checksum(segmentHeader, int64(size))
	if err != nil {
		return err
	}
	if sum != crc {
		n.damaged(Damage{Kind: DamageState, From: segmentHeader, To: segmentHeader + int64(size), Detail: "state does not match its checksum"})
	}
	return nil
}

// checksum is the CRC32C of a part of the file, or of what is there of it.
func (n *inspection) checksum(at, size int64) (sum uint32, err error) {
	b := make([]byte, min(size, scrubPiece))
	for size > 0 {
		got, err := n.ReadAt(b[:min(int64(len(b)), size)], at)
		sum = crc32.Update(sum, castagnoli, b[:got])
		n.count(int64(got))
		if errors.Is(err, io.EOF) {
			return ^sum, nil
		}
		if err != nil {
			return 0, err
		}
		at, size = at+int64(got), size-int64(got)
	}
	return sum, nil
}

// entries checks all entries. Each byte is read once, but for damage.
func (n *inspection) entries(buf []byte) ([]byte, error) {
	sp := span{file: n, seed: n.seed, first: n.first, start: n.start, limit: n.limit}
	rest := buf // what is read and not parsed, from at on
	ended := false
	for at := n.first; at < n.limit; {
		_, size, err := parseEntry(rest, at, n.seed, true)
		switch {
		case errors.Is(err, errShort) && !ended && streamdown.LSN(size) <= n.limit-at: //nolint:gosec // positive
			if buf, rest, err = n.more(&sp, buf, rest, at, size); err != nil {
				return buf, err
			}
			ended = len(rest) < size
			continue
		case errors.Is(err, errNewer): // whole, by its checksum
			size = entrySize(int(binary.LittleEndian.Uint32(rest[4:])))
		case err != nil:
			to, rerr := resync(sp, at)
			if rerr != nil {
				return buf, rerr
			}
			n.rotten(&sp, at, to, err)
			n.count(int64(to - at)) //nolint:gosec // positive
			at, rest, ended = to, nil, false
			continue
		}
		rest, at = rest[size:], at+streamdown.LSN(size) //nolint:gosec // positive
		n.count(int64(size))
	}
	return buf, nil
}

// more reads on, so that size bytes from at on are there if the file has them, and as much of a piece as ends with a block.
func (n *inspection) more(sp *span, buf, rest []byte, at streamdown.LSN, size int) (newBuf, newRest []byte, err error) {
	had := len(rest)
	from := sp.pos(at) + int64(had)
	want := max(size, had+int(scrubPiece-from%scrubBlock))
	want = int(min(int64(want), int64(n.limit-at))) //nolint:gosec // positive
	if want > cap(buf) {
		buf = make([]byte, max(want, scrubPiece+scrubBlock))
	}
	buf = buf[:cap(buf)]
	copy(buf, rest)
	got, err := n.ReadAt(buf[had:want], from)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return buf, buf[:had+got], err
}

// rotten notes a damaged range of entries with the bytes of the file that it has.
func (n *inspection) rotten(sp *span, from, to streamdown.LSN, why error) {
	d := Damage{Kind: DamageEntries, From: sp.pos(from), To: sp.pos(to), FromLSN: from, ToLSN: to, Detail: why.Error()}
	if errors.Is(why, errShort) {
		d.Detail = errEntry.Error()
	}
	if d.To > n.size {
		if d.To = max(d.From, n.size); d.To == d.From {
			d.Kind = DamageMissing
		}
	}
	n.damaged(d)
}

// resync is span's, which reads much at once, first with little: behind most damage the next entry is near.
func resync(sp span, at streamdown.LSN) (streamdown.LSN, error) {
	near := sp
	near.limit = min(sp.limit, at+scrubPiece)
	to, err := near.resync(at)
	if err != nil || to < near.limit {
		return to, err
	}
	return sp.resync(at)
}
