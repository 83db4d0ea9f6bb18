package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"slices"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
)

const fileHeader = 64

var magic = [8]byte{'S', 'D', 'L', 'E', 'D', 'G', 0, 1}

// maxState bounds what a damaged length can make a reader allocate.
const maxState = 256 << 20

var (
	errHeader = errors.New("damaged header or state")
	errNewer  = errors.New("written by a newer version of streamdown")
)

// header is what a file begins with.
type header struct {
	log     streamdown.ID
	number  uint64
	first   streamdown.LSN
	created int64 // unix milliseconds
	state   []byte
}

func (h *header) encode() []byte {
	b := make([]byte, fileHeader+len(h.state))
	copy(b, magic[:])
	copy(b[8:], h.log[:])
	binary.LittleEndian.PutUint64(b[24:], h.number)
	binary.LittleEndian.PutUint64(b[32:], uint64(h.first))
	binary.LittleEndian.PutUint64(b[40:], uint64(h.created))    //nolint:gosec // round trip
	binary.LittleEndian.PutUint32(b[48:], uint32(len(h.state))) //nolint:gosec // bounded by memory
	binary.LittleEndian.PutUint32(b[52:], crc32.Checksum(h.state, castagnoli))
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	copy(b[fileHeader:], h.state)
	return b
}

// parseHeader reads a header and its state, which aliases b, and returns where the blocks begin.
func parseHeader(b []byte) (h header, start int, err error) {
	h, size, err := parseFixed(b)
	if err != nil {
		return h, 0, err
	}
	if int64(len(b)-fileHeader) < size {
		return h, 0, errHeader
	}
	h.state = b[fileHeader : fileHeader+size : fileHeader+size]
	if crc32.Checksum(h.state, castagnoli) != binary.LittleEndian.Uint32(b[52:]) {
		return h, 0, errHeader
	}
	return h, fileHeader + int(size), nil
}

// parseFixed reads a header without looking at the state, and returns the state's size.
func parseFixed(b []byte) (h header, state int64, err error) {
	if len(b) < fileHeader || [7]byte(b[:7]) != [7]byte(magic[:7]) || binary.LittleEndian.Uint32(b[60:]) != crc32.Checksum(b[:60], castagnoli) {
		return h, 0, errHeader
	}
	if b[7] != magic[7] {
		return h, 0, fmt.Errorf("ledger format %d: %w", b[7], errNewer)
	}
	copy(h.log[:], b[8:24])
	h.number = binary.LittleEndian.Uint64(b[24:])
	h.first = streamdown.LSN(binary.LittleEndian.Uint64(b[32:]))
	h.created = int64(binary.LittleEndian.Uint64(b[40:])) //nolint:gosec // round trip
	size := int64(binary.LittleEndian.Uint32(b[48:]))
	if size > maxState {
		return h, 0, errHeader
	}
	return h, size, nil
}

func fileName(number uint64, first streamdown.LSN) string {
	return fmt.Sprintf("%010d-%020d.ledger", number, uint64(first))
}

// file is one file of a ledger, as its name tells.
type file struct {
	name   string
	number uint64
	first  streamdown.LSN
}

func parseName(name string) (f file, ok bool) {
	var lsn uint64
	if n, err := fmt.Sscanf(name, "%d-%d.ledger", &f.number, &lsn); n != 2 || err != nil {
		return f, false
	}
	f.name, f.first = name, streamdown.LSN(lsn)
	return f, fileName(f.number, f.first) == name
}

// list returns the files in dir, by number, and those that were not finished. A directory that is not there has none.
func list(fs vfs.FS, dir string) (files []file, unfinished []string, err error) {
	names, err := fs.List(dir)
	if vfs.IsNotExist(err) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("list ledger in %s: %w", dir, err)
	}
	for _, name := range names {
		if f, ok := parseName(name); ok {
			files = append(files, f)
		} else if filepath.Ext(name) == ".tmp" {
			unfinished = append(unfinished, name)
		}
	}
	slices.SortFunc(files, func(a, b file) int {
		if a.number < b.number {
			return -1
		}
		return 1
	})
	return files, unfinished, nil
}
