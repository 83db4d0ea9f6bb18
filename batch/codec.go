package batch

import "fmt"

// Codec names the compression of a batch's payload: bits 0-2 of the attributes.
type Codec int8

// The codecs of Kafka's protocol (KIP-110 for zstd). 5, 6 and 7 are not assigned.
const (
	None   Codec = 0
	Gzip   Codec = 1
	Snappy Codec = 2
	LZ4    Codec = 3
	Zstd   Codec = 4
)

// String returns Kafka's own name of the codec, as compression.type spells it.
func (c Codec) String() string {
	switch c {
	case None:
		return "none"
	case Gzip:
		return "gzip"
	case Snappy:
		return "snappy"
	case LZ4:
		return "lz4"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("codec %d", int8(c))
}
