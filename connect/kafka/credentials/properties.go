package credentials

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"

	"github.com/streamdown/streamdown"
)

// Property is one entry of a properties file.
type Property struct {
	Key          string
	Value        streamdown.Secret
	Line, Column int  // of the key, from 1, in characters
	Latin        bool // the value holds a byte above 127, which Java reads as ISO 8859-1
}

// PropertyError is what is wrong with one line.
type PropertyError struct {
	Line, Column int
	Err          error
}

func (e *PropertyError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns what is wrong.
func (e *PropertyError) Unwrap() error { return e.Err }

var errUnicode = errors.New(`a \u is not followed by four hexadecimal digits; write \\ for a backslash`)

// ParseProperties reads a file as java.util.Properties does, the format of Kafka's client.properties: entries in their
// order, also those whose key comes again, of which Java takes the last. Bytes are ISO 8859-1. The errors are
// *PropertyError, joined; entries without one are returned all the same.
func ParseProperties(src []byte) ([]Property, error) {
	var entries []Property
	var errs []error
	for r := (lines{src: src, line: 1, column: 1}); r.next(); {
		p, err := property(r.logical)
		at := r.begin
		if err != nil {
			errs = append(errs, &PropertyError{at.line, at.column, err})
			continue
		}
		p.Line, p.Column = at.line, at.column
		entries = append(entries, p)
	}
	return entries, errors.Join(errs...)
}

type place struct{ line, column int }

// lines takes logical lines off a file: comments and blank lines left out, continued lines joined.
type lines struct {
	src          []byte
	line, column int // of the next byte

	logical []byte // escapes still in it
	begin   place  // of its first byte
}

// take returns the next byte; a line end of two bytes counts as one.
func (l *lines) take() (byte, bool) {
	if len(l.src) == 0 {
		return 0, false
	}
	c := l.src[0]
	l.src = l.src[1:]
	l.column++
	if c == '\r' && len(l.src) > 0 && l.src[0] == '\n' {
		l.src = l.src[1:]
	}
	if c == '\r' || c == '\n' {
		c = '\n'
		l.line, l.column = l.line+1, 1
	}
	return c, true
}

// next reads the next logical line and reports whether there was one.
func (l *lines) next() bool {
	l.logical = l.logical[:0]
	skip, continued, escaped := true, false, false
	for {
		at := place{l.line, l.column}
		c, ok := l.take()
		if !ok {
			break
		}
		if skip {
			if c == ' ' || c == '\t' || c == '\f' || c == '\n' && !continued {
				continue
			}
			skip, continued = false, false
		}
		if len(l.logical) == 0 {
			if c == '#' || c == '!' { // also where a line that held a backslash alone goes on: as in Java
				for ok && c != '\n' {
					c, ok = l.take()
				}
				skip = true
				continue
			}
			l.begin = at
		}
		if c != '\n' {
			l.logical = append(l.logical, c)
			escaped = c == '\\' && !escaped
			continue
		}
		if len(l.logical) == 0 {
			skip = true
			continue
		}
		if !escaped {
			return true
		}
		l.logical = l.logical[:len(l.logical)-1]
		skip, continued, escaped = true, true, false
	}
	if escaped {
		l.logical = l.logical[:len(l.logical)-1]
		return true
	}
	return len(l.logical) > 0
}

// property splits a logical line at the first =, : or white space that is not escaped.
func property(line []byte) (Property, error) {
	end, separated := 0, false
	for escaped := false; end < len(line); end++ {
		c := line[end]
		if separated = !escaped && (c == '=' || c == ':'); separated || !escaped && blank(c) {
			break
		}
		escaped = c == '\\' && !escaped
	}
	rest := end
	if rest < len(line) {
		rest++
	}
	for ; rest < len(line); rest++ {
		if c := line[rest]; !blank(c) {
			if separated || c != '=' && c != ':' {
				break
			}
			separated = true
		}
	}
	key, _, err := unescape(line[:end])
	if err != nil {
		return Property{}, err
	}
	value, latin, err := unescape(line[rest:])
	return Property{Key: key, Value: streamdown.NewSecret(value), Latin: latin}, err
}

func blank(c byte) bool { return c == ' ' || c == '\t' || c == '\f' }

func unescape(s []byte) (text string, latin bool, err error) {
	units := make([]uint16, 0, len(s)) // Java's characters: two escapes may make one
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '\\' || i+1 == len(s) {
			latin = latin || c > 127
			units = append(units, uint16(c))
			continue
		}
		i++
		switch c = s[i]; c {
		case 'u':
			if i+4 >= len(s) {
				return "", false, errUnicode
			}
			n, err := strconv.ParseUint(string(s[i+1:i+5]), 16, 16)
			if err != nil {
				return "", false, errUnicode
			}
			units = append(units, uint16(n))
			i += 4
			continue
		case 't':
			c = '\t'
		case 'r':
			c = '\r'
		case 'n':
			c = '\n'
		case 'f':
			c = '\f'
		}
		units = append(units, uint16(c))
	}
	return string(utf16.Decode(units)), latin, nil
}
