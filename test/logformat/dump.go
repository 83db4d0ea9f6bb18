package logformat

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
)

const (
	across = 16 // bytes in a line
	shown  = 3  // lines of one field
	column = 60 // characters of a text in a line
)

// Dump is a segment for people: each field with its place, its bytes, its name and its value. Of long fields the middle
// is left out, and said to be.
func (s *Segment) Dump() string {
	var b strings.Builder
	b.WriteString("```text\n")
	for _, f := range s.Fields {
		indent := strings.Repeat("  ", max(0, f.Level-1))
		if len(f.Bytes) == 0 {
			if f.Level == 0 && f.At > 0 {
				b.WriteByte('\n')
			}
			fmt.Fprintf(&b, "%08x  %s── %s\n", f.At, indent, f.Name)
			continue
		}
		name := f.Name
		if f.Value != "" && !(f.Text && len(f.Value) > across) {
			name += ": " + printable(f.Value)
		}
		if len(f.Bytes) > across && len(bytes.Trim(f.Bytes, "\x00")) == 0 {
			fmt.Fprintf(&b, "%08x  %-47s  %s%s: %d zeros\n", f.At, "00 00 …", indent, name, len(f.Bytes))
			continue
		}
		lines := (len(f.Bytes) + across - 1) / across
		for i := range lines {
			if lines > shown && i == shown-1 {
				fmt.Fprintf(&b, "          … %d more bytes\n", len(f.Bytes)-i*across)
				break
			}
			part := f.Bytes[i*across : min(len(f.Bytes), (i+1)*across)]
			line := fmt.Sprintf("%08x  %-47s", f.At+i*across, fmt.Sprintf("% x", part))
			if i == 0 {
				line += "  " + indent + name
			}
			b.WriteString(strings.TrimRight(line, " ") + "\n")
		}
		if f.Text && len(f.Value) > across {
			writeText(&b, f.Value)
		}
	}
	b.WriteString("```\n")
	return b.String()
}

// writeText prints a long text in lines; one that is the same throughout is cut short.
func writeText(b *strings.Builder, text string) {
	const most = 900
	more := 0
	if len(text) > most {
		more, text = len(text)-most, text[:most]
	}
	for i := 0; i < len(text); i += column {
		fmt.Fprintf(b, "          │ %s\n", printable(text[i:min(len(text), i+column)]))
	}
	if more > 0 {
		fmt.Fprintf(b, "          │ … %d more\n", more)
	}
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '·'
		}
		return r
	}, s)
}

// Listing is what the reader in Python that is on the page prints.
func (s *Segment) Listing() string {
	var b strings.Builder
	for _, e := range s.Entries {
		fmt.Fprintf(&b, "%6d  LSN %-6d kind %-2d lane %-3d ordinal %-6d records %-3d body %-5d crc %08x right\n",
			e.Position, e.LSN, e.Kind, e.Lane, e.Ordinal, e.Records, e.Size, e.CRC)
	}
	return b.String()
}

// Example is the arithmetic of the page, done for one entry.
func (s *Segment) Example(kind uint64) string {
	size := int(binary.LittleEndian.Uint32(s.File[48:]))
	data := 64 + (size+7)/8*8
	from := first(s.Name)
	for _, e := range s.Entries {
		if e.Kind != kind {
			continue
		}
		return fmt.Sprintf("```text\n"+
			"file             %s\n"+
			"first LSN        %d\n"+
			"state size       %d bytes (at byte 48), padded to %d\n"+
			"first entry at   64 + %d = byte %d\n"+
			"LSN %-4d         lies at byte %d + (%d − %d) = %d = 0x%x\n"+
			"byte %-4d        holds LSN %d + (%d − %d) = %d\n"+
			"the entry takes  48 + %d, padded to %d; the next one has LSN %d\n```\n",
			s.Name, from, size, data-64, data-64, data,
			e.LSN, data, e.LSN, from, e.Position, e.Position,
			e.Position, from, e.Position, data, e.LSN,
			e.Size, (48+int(e.Size)+7)/8*8, e.LSN+(48+e.Size+7)/8*8)
	}
	return ""
}

// Vectors are checksums to try an implementation with.
func (s *Segment) Vectors() string {
	id, e := s.File[8:24], s.Entries[0]
	return fmt.Sprintf("```text\n"+
		"crc32c(\"123456789\")                          = %08x\n"+
		"crc32c(log id %x) = %08x\n"+
		"crc32c(log id, bytes %d to %d of the file)   = %08x, which is what its bytes %d to %d hold\n```\n",
		crc32.Checksum([]byte("123456789"), castagnoli), id, crc32.Checksum(id, castagnoli),
		e.Position+4, e.Position+48+int(e.Size)-1, e.CRC, e.Position, e.Position+3)
}
