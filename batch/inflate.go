package batch

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// zstdWindow is the largest zstd window that is inflated as a stream (RFC 8878 asks decoders for 8 MiB at least).
// Levels from 20 on announce up to zstdMaxWindow, however small the batch; brokers accept those too, so such a payload
// is inflated at once, into memory that grows with its size and not with its window.
const (
	zstdWindow    = 8 << 20
	zstdMaxWindow = 128 << 20
)

// inflaters are the decoders that a stream keeps from one payload to the next; at most one is set.
type inflaters struct {
	gzip   *gzip.Reader
	snappy snappyReader
	lz4    *lz4.Reader
	zstd   *zstd.Decoder
}

// inflate sets src to what inflates the payload. Nothing here starts a goroutine.
func (s *stream) inflate(payload []byte) (err error) {
	s.in.Reset(payload)
	switch s.codec {
	case Gzip:
		if s.gzip == nil {
			s.gzip = new(gzip.Reader)
		}
		s.src = s.gzip
		return s.gzip.Reset(&s.in)
	case Snappy:
		s.src = &s.snappy
		return s.snappy.reset(payload)
	case LZ4:
		if err := checkLZ4(payload); err != nil {
			return err
		}
		if s.lz4 == nil {
			s.lz4 = lz4.NewReader(nil)
		}
		s.lz4.Reset(&s.in)
		s.src = s.lz4
		return nil
	case Zstd:
		return s.inflateZstd(payload)
	}
	return fmt.Errorf("unknown compression %d", s.codec)
}

// release lets go of the payload.
func (s *stream) release() {
	s.in.Reset(nil)
	switch {
	case s.lz4 != nil:
		s.lz4.Reset(nil) // gives its block back to the library's pool
	case s.zstd != nil:
		_ = s.zstd.Reset(nil)
	}
	s.snappy.release()
}

// checkLZ4 refuses frames that brokers cannot read and our library can: other magics, linked blocks, dictionaries
// (FLG and BD of Kafka's Lz4BlockOutputStream).
func checkLZ4(p []byte) error {
	const flagsKnown, flagsMust = 0b1111_1100, 0b0110_0000
	switch {
	case len(p) < 7:
		return errors.New("frame header cut short")
	case string(p[:4]) != "\x04\x22\x4d\x18":
		return errors.New("not a frame")
	case p[4]&^flagsKnown != 0 || p[4]&0b1110_0000 != flagsMust:
		return fmt.Errorf("frame flags %#02x: want version 1, independent blocks, no dictionary", p[4])
	}
	return nil
}

func (s *stream) inflateZstd(payload []byte) (err error) {
	var h zstd.Header
	if err := h.Decode(payload); err != nil {
		return err
	}
	if h.WindowSize > zstdWindow || h.SingleSegment && h.FrameContentSize > zstdWindow {
		return s.inflateZstdAtOnce(payload, h)
	}
	if s.zstd == nil {
		s.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			return err
		}
	}
	s.src = s.zstd
	return s.zstd.Reset(&s.in)
}

func (s *stream) inflateZstdAtOnce(payload []byte, h zstd.Header) error {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdMaxWindow), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return err
	}
	defer d.Close()
	if h.HasFCS && h.FrameContentSize > MaxInflated {
		return errInflated
	}
	for size := 1 << 20; ; size *= 4 {
		out, err := d.DecodeAll(payload, make([]byte, 0, min(size, MaxInflated)))
		switch {
		case err == nil:
			s.hand, s.given = out, int64(len(out))
			return nil
		case !errors.Is(err, zstd.ErrDecoderSizeExceeded):
			return err
		case size >= MaxInflated:
			return errInflated
		}
	}
}
