package httpin

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/streamdown/streamdown"
)

// read reads the whole body into r.body, inflated, within the door's limits: what it costs is bounded by the bytes that
// came, not by those that were announced.
func (d *Door) read(w http.ResponseWriter, hr *http.Request, r *request) *Problem {
	if hr.ContentLength > d.cfg.MaxBody {
		return d.tooLarge()
	}
	in := &pacedBody{door: d, body: hr.Body, control: http.NewResponseController(w), began: time.Now(), left: d.cfg.MaxBody, grace: d.cfg.BodyGrace}
	src, done, p := inflate(hr, in)
	if p != nil {
		return p
	}
	defer done()
	for {
		if p := d.grow(hr.Context(), r, hr.ContentLength); p != nil {
			return p
		}
		b := r.body
		n, err := src.Read(b[len(b):min(cap(b), int(d.cfg.MaxBody)+1)])
		r.body = b[:len(b)+n]
		switch {
		case int64(len(r.body)) > d.cfg.MaxBody:
			return d.tooLarge()
		case errors.Is(err, io.EOF):
			if in.err == nil || errors.Is(in.err, io.EOF) {
				return nil
			}
			return d.unread(in.err)
		case err != nil && in.err != nil && !errors.Is(in.err, io.EOF):
			return d.unread(in.err)
		case err != nil:
			return d.notInflated(err)
		}
	}
}

// smallBody is what a request may read while there is no room for large ones: those must not shut small ones out.
const smallBody = 64 << 10

// grow makes room for more of the body, of which so many bytes are announced (-1 = not), and charges it.
func (d *Door) grow(ctx context.Context, r *request, announced int64) *Problem {
	if len(r.body) < cap(r.body) && r.charged == int64(cap(r.body)) {
		return nil
	}
	if cap(r.body) >= smallBody {
		if p := d.hold(ctx, d.cfg.MaxOpenBytes); p != nil {
			return p
		}
	}
	if r.body == nil {
		r.body = make([]byte, 0, min(max(announced+1, 4<<10), smallBody)) // one more, to see the end
	}
	if len(r.body) == cap(r.body) {
		r.body = slices.Grow(r.body, len(r.body))
	}
	d.room.add(int64(cap(r.body)) - r.charged)
	r.charged = int64(cap(r.body))
	return nil
}

func (d *Door) tooLarge() *Problem {
	return refuse(http.StatusRequestEntityTooLarge, "body_too_large", "body too large", "send fewer records in one request",
		"a body has at most %d bytes, before and after it is inflated", d.cfg.MaxBody).closing()
}

// unread is why a body did not come whole.
func (d *Door) unread(err error) *Problem {
	switch {
	case errors.Is(err, errTooMuch):
		return d.tooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refuse(http.StatusRequestTimeout, "slow_body", "the body came too slowly", "send it faster, or in smaller requests",
			"a body has to begin within %s, to pause no longer, and to come with %d bytes per second", d.cfg.BodyGrace, d.cfg.MinRate).closing()
	}
	return refuse(http.StatusBadRequest, "body", "the body is not whole", "look at the client and what is between", "read body: %v", err).closing()
}

func (d *Door) notInflated(err error) *Problem {
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return d.tooLarge()
	}
	return refuse(http.StatusBadRequest, "encoding", "the body cannot be inflated", "compress it again, or send it plain", "Content-Encoding: %v", err).closing()
}

// pacedBody bounds how many bytes are read and how slowly they may come.
type pacedBody struct {
	door    *Door
	body    io.Reader
	control *http.ResponseController
	began   time.Time
	grace   time.Duration // that a pause may take
	read    int64
	left    int64
	err     error // the first one met
}

var errTooMuch = errors.New("more bytes than a body may have")

// Read implements io.Reader.
func (p *pacedBody) Read(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	if p.left <= 0 {
		b = b[:min(len(b), 1)] // is there more?
	}
	if int64(len(b)) > p.left+1 {
		b = b[:p.left+1]
	}
	limit := p.began.Add(p.grace + time.Duration(p.read)*time.Second/time.Duration(p.door.cfg.MinRate))
	if pause := time.Now().Add(p.grace); pause.Before(limit) {
		limit = pause
	}
	_ = p.control.SetReadDeadline(limit) // a test's recorder has no connection
	n, err := p.body.Read(b)
	p.read += int64(n)
	p.left -= int64(n)
	p.door.stats.bytesIn.Add(int64(n))
	if p.left < 0 {
		err = errTooMuch
	}
	p.err = err
	return n, err
}

// inflate returns the body behind its Content-Encoding; done has to be called in the end.
func inflate(hr *http.Request, in io.Reader) (src io.Reader, done func(), p *Problem) {
	switch coding := strings.Join(hr.Header.Values("Content-Encoding"), ","); strings.ToLower(strings.TrimSpace(coding)) {
	case "", "identity":
		return in, func() {}, nil
	case "gzip", "x-gzip":
		g, _ := gzips.Get().(*gzip.Reader)
		if g == nil {
			g = new(gzip.Reader)
		}
		return &lazyGzip{g: g, in: in}, func() { gzips.Put(g) }, nil
	case "zstd":
		z, _ := zstds.Get().(*zstd.Decoder)
		if z == nil {
			var err error
			if z, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow)); err != nil {
				return nil, nil, malformed("zstd", err)
			}
		}
		if err := z.Reset(&frameCount{in: in}); err != nil {
			return nil, nil, malformed("zstd", err)
		}
		return z, func() {
			if z.Reset(nil) == nil {
				zstds.Put(z)
			}
		}, nil
	default:
		return nil, nil, refuse(http.StatusUnsupportedMediaType, "encoding", "unknown Content-Encoding", "gzip, zstd or none",
			"Content-Encoding %q is not understood", streamdown.Shorten(coding, 60)).closing()
	}
}

// maxFrames bounds the frames of a zstd body. A frame of eight bytes costs the decoder as much as kilobytes in one.
const maxFrames = 64

var errFrames = errors.New("too many zstd frames; compress the body as one")

// frameCount counts what may be beginnings of zstd frames, skippable ones included, by their magic numbers (RFC 8878,
// 3.1). In compressed data these come about by chance once in a hundred megabytes.
type frameCount struct {
	in   io.Reader
	last [3]byte // before what comes
	n    int
}

// Read implements io.Reader.
func (f *frameCount) Read(b []byte) (int, error) {
	n, err := f.in.Read(b)
	for _, c := range b[:n] {
		if c == 0xfd && f.last == [3]byte{0x28, 0xb5, 0x2f} || c == 0x18 && f.last[0]&0xf0 == 0x50 && f.last[1] == 0x2a && f.last[2] == 0x4d {
			f.n++
		}
		f.last = [3]byte{f.last[1], f.last[2], c}
	}
	if f.n > maxFrames {
		return 0, errFrames
	}
	return n, err
}

// maxWindow is the largest zstd window (RFC 8878) that is taken: what the standard asks decoders to support.
const maxWindow = 8 << 20

var gzips, zstds sync.Pool

// lazyGzip reads the gzip header with the first Read, so that its errors come like those of the rest.
type lazyGzip struct {
	g     *gzip.Reader
	in    io.Reader
	begun bool
}

// Read implements io.Reader.
func (l *lazyGzip) Read(b []byte) (int, error) {
	if !l.begun {
		if err := l.g.Reset(l.in); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		l.begun = true
	}
	return l.g.Read(b)
}
