package httpin

import (
	"bytes"
	"encoding/base64"
	"errors"
	"unicode/utf16"
	"unicode/utf8"
)

// unquote appends the text of a string that the scanner passed over, given without its quotes, to *arena, and returns
// it. Without escapes the raw bytes are the text and nothing is copied.
func unquote(arena *[]byte, raw []byte) ([]byte, error) {
	next := bytes.IndexByte(raw, '\\')
	if next < 0 {
		return raw, nil
	}
	from := len(*arena)
	out := *arena
	for ; next >= 0; next = bytes.IndexByte(raw, '\\') {
		out = append(out, raw[:next]...)
		c := raw[next+1]
		raw = raw[next+2:]
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r, _ := hex4(raw)
			raw = raw[4:]
			if utf16.IsSurrogate(r) {
				if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
					return nil, errSurrogate
				}
				low, _ := hex4(raw[2:])
				if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
					return nil, errSurrogate
				}
				raw = raw[6:]
			}
			out = utf8.AppendRune(out, r)
			continue
		}
		out = append(out, c)
	}
	out = append(out, raw...)
	*arena = out
	return out[from:len(out):len(out)], nil
}

var errBase64 = errors.New("this is not base64 (RFC 4648, section 4, padded)")

// unbase64 appends what base64 text stands for to *arena and returns it. Line ends, which the decoder would pass over,
// are refused: they are no base64 in JSON.
func unbase64(arena *[]byte, text []byte) ([]byte, error) {
	if bytes.ContainsAny(text, "\r\n") {
		return nil, errBase64
	}
	from := len(*arena)
	out, err := base64.StdEncoding.Strict().AppendDecode(*arena, text)
	if err != nil {
		return nil, errBase64
	}
	*arena = out
	return out[from:len(out):len(out)], nil
}

// hasControl reports whether text holds characters that CloudEvents strings must not: controls and non-characters.
func hasControl(text []byte) bool {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r < 0x20 || r >= 0x7f && r <= 0x9f || r >= 0xfdd0 && r <= 0xfdef || r&0xfffe == 0xfffe || r == utf8.RuneError && n == 1 {
			return true
		}
		text = text[n:]
	}
	return false
}
