package hostile

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
)

// ClientHello is the first record that Go's client sends.
func ClientHello() []byte {
	client, server := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = tls.Client(client, &tls.Config{ServerName: "localhost", MinVersion: tls.VersionTLS12}).Handshake() // ends when its pipe does
	}()
	var head [5]byte
	_, err := io.ReadFull(server, head[:])
	body := make([]byte, binary.BigEndian.Uint16(head[3:]))
	if err == nil {
		_, err = io.ReadFull(server, body)
	}
	_ = server.Close()
	<-done
	_ = client.Close()
	if err != nil {
		panic(fmt.Sprintf("make a client hello: %v", err))
	}
	return append(head[:], body...)
}

// Handshakes are the beginnings of TLS that are no good.
func Handshakes() []Item {
	var items []Item
	hello := ClientHello()
	add := func(name string, b []byte, waits bool) {
		for _, door := range []Door{Encrypted, Mutual} {
			items = append(items, Item{Kind: "TLS handshakes", Name: name, Door: door, Data: b, Waits: waits})
		}
	}
	change := func(at int, b ...byte) []byte { return slices.Replace(slices.Clone(hello), at, at+len(b), b...) }
	record := func(kind byte, version uint16, body ...byte) []byte {
		b := binary.BigEndian.AppendUint16([]byte{kind}, version)
		return append(binary.BigEndian.AppendUint16(b, uint16(len(body))), body...)
	}
	for at := 1; at < len(hello); at += 1 + at/8 {
		add(fmt.Sprintf("a hello that ends at byte %d", at), hello[:at], true)
		cut := slices.Clone(hello[:at])
		if at > 9 { // the lengths of record and message fit, what is inside does not
			binary.BigEndian.PutUint16(cut[3:], uint16(at-5))
			cut[6], cut[7], cut[8] = 0, byte((at-9)>>8), byte(at-9)
			add(fmt.Sprintf("a hello of %d bytes", at), cut, false)
		}
	}
	for _, v := range []uint16{0, 0x0002, 0x0100, 0x0200, 0x0400, 0x7f7f, 0xfefd, 0xffff} {
		add(fmt.Sprintf("a record of version %04x", v), change(1, byte(v>>8), byte(v)), false)
	}
	for _, v := range []uint16{0, 0x0002, 0x0200, 0x0300, 0x0301, 0x0302} {
		b := change(9, byte(v>>8), byte(v))
		add(fmt.Sprintf("a hello of version %04x without extensions", v), withoutExtensions(b), false)
	}
	for kind := range 32 {
		if kind != 22 {
			add(fmt.Sprintf("a first record of type %d", kind), record(byte(kind), 0x0303, 1, 0), false)
		}
	}
	for kind := range byte(26) {
		if kind != 1 {
			add(fmt.Sprintf("a first message of type %d", kind), change(5, kind), false)
		}
	}
	for _, n := range []uint16{16_641, 17_000, 18_433, 20_000, 40_000, 65_535} {
		add(fmt.Sprintf("a record of %d bytes", n), append(binary.BigEndian.AppendUint16([]byte{22, 3, 1}, n), make([]byte, int(n))...), false)
	}
	for _, n := range []uint32{65_537, 100_000, 1 << 20, 1 << 23, 1<<24 - 1} {
		add(fmt.Sprintf("a message of %d bytes", n), change(6, byte(n>>16), byte(n>>8), byte(n)), false)
	}
	add("an empty record", record(22, 0x0301), true)
	add("100 empty records", slices.Repeat(record(22, 0x0301), 100), false)
	add("1,000 warnings", slices.Repeat(record(21, 0x0301, 1, 0), 1000), false)
	add("an alert that ends", record(21, 0x0301, 2, 40), false)
	add("an alert that says goodbye", record(21, 0x0301, 1, 0), false)
	add("two hellos", append(slices.Clone(hello), hello...), false)
	add("a hello and zeros", append(slices.Clone(hello), make([]byte, 100)...), false)
	add("a hello and a Kafka request", append(slices.Clone(hello), whole(head(18, 0, false))...), false)
	add("a hello and the end of a handshake that was none", append(slices.Clone(hello), record(20, 0x0303, 1)...), true)
	add("a hello and data in the clear", append(slices.Clone(hello), record(23, 0x0303, []byte("hello")...)...), false)
	add("a hello byte by byte, each a record", splitted(hello), true)
	at := 9 + 2 + 32
	add("a session id of 255 bytes", change(at, 255), false)
	add("a session id of 33 bytes", change(at, 33), false)
	session := int(hello[at])
	suites := at + 1 + session
	add("ciphers of 65,535 bytes", change(suites, 0xff, 0xff), false)
	add("ciphers of an odd length", change(suites, 0, 3), false)
	add("no ciphers", change(suites, 0, 0), false)
	n := int(binary.BigEndian.Uint16(hello[suites:]))
	unknown := slices.Clone(hello)
	for i := range n {
		unknown[suites+2+i] = 0xfa
	}
	add("unknown ciphers alone", unknown, false)
	compression := suites + 2 + n
	add("no compression methods", change(compression, 0), false)
	add("255 compression methods", change(compression, 255), false)
	extensions := compression + 2
	add("extensions of 65,535 bytes", change(extensions, 0xff, 0xff), false)
	add("extensions of 1 byte", change(extensions, 0, 1), false)
	// Each extension: its length wrong both ways, then the extension a second time.
	for i, e := extensions+2, 0; i+4 <= len(hello); e++ {
		size := int(binary.BigEndian.Uint16(hello[i+2:]))
		id := binary.BigEndian.Uint16(hello[i:])
		add(fmt.Sprintf("extension %d of 65,535 bytes", id), change(i+2, 0xff, 0xff), false)
		if size > 0 {
			add(fmt.Sprintf("extension %d one byte short", id), change(i+2, byte((size-1)>>8), byte(size-1)), false)
		}
		add(fmt.Sprintf("extension %d twice", id), twice(hello, extensions, i, 4+size), false)
		i += 4 + size
	}
	return items
}

// lengths makes the lengths of record and message fit.
func lengths(b []byte) []byte {
	binary.BigEndian.PutUint16(b[3:], uint16(len(b)-5))
	b[6], b[7], b[8] = byte((len(b)-9)>>16), byte((len(b)-9)>>8), byte(len(b)-9)
	return b
}

func withoutExtensions(hello []byte) []byte {
	at := 9 + 2 + 32
	at += 1 + int(hello[at])
	at += 2 + int(binary.BigEndian.Uint16(hello[at:]))
	return lengths(slices.Clone(hello[:at+2]))
}

func twice(hello []byte, extensions, at, size int) []byte {
	b := slices.Insert(slices.Clone(hello), at, hello[at:at+size]...)
	binary.BigEndian.PutUint16(b[extensions:], uint16(len(b)-extensions-2))
	return lengths(b)
}

func splitted(hello []byte) []byte {
	var b []byte
	for _, c := range hello[5:] {
		b = append(b, 22, 3, 1, 0, 1, c)
	}
	return b
}
