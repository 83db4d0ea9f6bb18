package wire

import (
	"encoding/binary"
	"fmt"
	"io"
)

// MinFrame is the size of the smallest frame, either way: a correlation id. (A request has 8 bytes at least, which
// ParseRequestHeader demands; the smallest response, to Heartbeat v0, has 6.)
const MinFrame = 4

// firstGrowth is how much is allocated for a frame before any of it came.
const firstGrowth = 16 << 10

// ReadFrame reads one frame from r and returns its bytes without the size. It uses buf when it is large enough, and
// otherwise memory that at most doubles each time it has been filled, so that a peer pays with bytes for what we
// allocate. The frame is the caller's and becomes buf in the next call.
//
// The error is io.EOF when r ended where a frame would begin, io.ErrUnexpectedEOF when it ended within one, a
// *FrameError when the announced size is below MinFrame or above max bytes, and r's own otherwise. After any error the
// connection is of no more use; what came may be stuck in r.
func ReadFrame(r io.Reader, buf []byte, max int32) ([]byte, error) {
	if cap(buf) < 4 {
		buf = make([]byte, 64)
	}
	size := buf[:4] // not an array of its own: that would be allocated for each frame
	if _, err := io.ReadFull(r, size); err != nil {
		return nil, err
	}
	n := int32(binary.BigEndian.Uint32(size))
	if n < MinFrame || n > max {
		return nil, &FrameError{Size: n, Max: max, Looks: looks([4]byte(size))}
	}
	frame := buf[:0]
	if first := min(int(n), firstGrowth); cap(frame) < first {
		frame = make([]byte, 0, first)
	}
	for len(frame) < int(n) {
		if len(frame) == cap(frame) {
			frame = append(make([]byte, 0, min(int(n), 2*cap(frame))), frame...)
		}
		part := frame[len(frame):min(int(n), cap(frame))]
		got, err := io.ReadFull(r, part)
		frame = frame[:len(frame)+got]
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
	}
	return frame, nil
}

// FrameError says that a frame was refused for its size, before any of it was read or allocated.
type FrameError struct {
	Size  int32  // as announced, bytes
	Max   int32  // the limit, bytes
	Looks string // what the four bytes look like if they are no size, e.g. "an HTTP request"; "" = unknown
}

// Error tells what the bytes look like and what to try.
func (e *FrameError) Error() string {
	switch {
	case e.Looks != "":
		return fmt.Sprintf("not a Kafka frame: looks like %s; %s", e.Looks, advice(e.Looks))
	case e.Size < MinFrame:
		return fmt.Sprintf("frame of %d bytes: no Kafka frame is that short; check what speaks to this port", e.Size)
	}
	return fmt.Sprintf("frame of %d bytes, more than the limit of %d; "+
		"send smaller requests or raise the limit, if this is Kafka's protocol at all", e.Size, e.Max)
}
