package hostile

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// sized puts a length before bytes.
func sized(n uint32, rest ...byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, n), rest...)
}

// whole puts the right length before bytes.
func whole(b []byte) []byte { return sized(uint32(len(b)), b...) }

// head is a request header of version 1, or 2 with its tags.
func head(key, version int16, flexible bool) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = append(b, 0, 0, 0, 9, 0, 1, 'h')
	if flexible {
		b = append(b, 0)
	}
	return b
}

func everywhere(kind, name string, data []byte, waits bool) []Item {
	var items []Item
	for _, door := range []Door{Plain, Stranger, Inside} {
		items = append(items, Item{Kind: kind, Name: name, Door: door, Data: data, Waits: waits})
	}
	return items
}

// Frames have lengths that do not fit.
func Frames() []Item {
	var items []Item
	for _, n := range []int64{-1, -2, -4, -7, -100, math.MinInt32, math.MinInt32 + 1, 0, 1, 2, 3, 4, 5, 6, 7, 104_857_601, 104_857_600 * 2, 1 << 28, 1 << 30, math.MaxInt32 - 4, math.MaxInt32 - 1, math.MaxInt32} {
		rest := make([]byte, 16)
		if n >= 0 && n < 16 {
			rest = rest[:n]
		}
		items = append(items, everywhere("frames", fmt.Sprintf("a length of %d", n), sized(uint32(n), rest...), false)...)
	}
	for _, n := range []int{65_537, 100_000, 1_000_000, 104_857_600} {
		items = append(items, Item{Kind: "frames", Name: fmt.Sprintf("%d bytes before a login", n), Door: Stranger, Data: sized(uint32(n), head(36, 2, true)...)})
		items = append(items, Item{Kind: "frames", Name: fmt.Sprintf("%d bytes announced, 12 sent", n), Door: Plain, Data: sized(uint32(n), head(0, 9, true)...), Waits: true})
	}
	good := whole(append(head(18, 3, true), 2, 'a', 2, 'b', 0))
	for at := 1; at < len(good); at++ {
		items = append(items, everywhere("frames", fmt.Sprintf("a good one that ends at byte %d", at), good[:at], true)...)
	}
	for by := range uint32(4) {
		b := append([]byte(nil), good...)
		binary.BigEndian.PutUint32(b, uint32(len(good)-4)-by-1)
		items = append(items, everywhere("frames", fmt.Sprintf("%d bytes more than its length", by+1), b, false)...)
	}
	return items
}

// Headers of requests that make no sense, and APIs that are not spoken.
func Headers() []Item {
	var items []Item
	add := func(name string, b []byte) {
		items = append(items, everywhere("request headers", name, whole(b), false)...)
	}
	for _, n := range []int16{-2, -3, -128, math.MinInt16, 2, 100, 255, 256, math.MaxInt16} {
		b := head(3, 0, false)[:8]
		add(fmt.Sprintf("a client id of length %d", n), append(binary.BigEndian.AppendUint16(b, uint16(n)), 'h'))
	}
	add("a client id of 30,000 bytes", append(append(head(18, 99, false)[:8], 0x75, 0x30), strings.Repeat("x", 30_000)...))
	add("a client id of line ends", append(append(head(17, 1, false)[:8], 0, 4), "\r\n\r\n"...))
	add("a client id that is not UTF-8", append(append(head(17, 1, false)[:8], 0, 4), "\xff\xfe\xc0\x80"...))
	add("a client id of terminal codes", append(append(head(17, 1, false)[:8], 0, 7), "\x1b[2J\x1b[H"...))
	add("no client id, and nothing behind", head(3, 0, false)[:8])
	for name, tags := range varints {
		add("tags: "+name, append(head(18, 3, false), tags...))
		add("a tag's length: "+name, append(append(head(18, 3, false), 1, 0), tags...))
	}
	add("50 tags without end", append(append(head(18, 3, false), 50), strings.Repeat("\x01\x01x", 20)...))
	for key := int16(-3); key <= kmsg.MaxKey+5; key++ {
		r := kmsg.RequestForKey(key)
		name := fmt.Sprintf("API %d", key)
		versions := []int16{-1, 0, math.MaxInt16}
		if r != nil {
			name += " (" + kmsg.NameForKey(key) + ")"
			versions = []int16{-1, 0, r.MaxVersion(), r.MaxVersion() + 1, math.MaxInt16}
		}
		for _, v := range versions {
			flexible := false
			if r != nil {
				r.SetVersion(v)
				flexible = r.IsFlexible()
			}
			if key == 18 && v == 0 {
				continue // which is good
			}
			for _, door := range []Door{Plain, Stranger} {
				items = append(items, Item{Kind: "APIs", Name: fmt.Sprintf("%s, version %d, no body", name, v), Door: door, Data: whole(head(key, v, flexible))})
			}
		}
	}
	return items
}

// varints are unsigned varints that are wrong, or count what cannot be there.
var varints = map[string][]byte{
	"2^32-1":            {0xff, 0xff, 0xff, 0xff, 0x0f},
	"2^31":              {0x80, 0x80, 0x80, 0x80, 0x08},
	"2^31-1":            {0xff, 0xff, 0xff, 0xff, 0x07},
	"2^28":              {0x80, 0x80, 0x80, 0x80, 0x01},
	"65,536":            {0x80, 0x80, 0x04},
	"16,384":            {0x80, 0x80, 0x01},
	"more than 32 bits": {0xff, 0xff, 0xff, 0xff, 0x7f},
	"without an end":    {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	"cut":               {0x80},
}
