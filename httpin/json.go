package httpin

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// scanner walks through JSON (RFC 8259) without building anything. It is stricter than the grammar in that text must be
// UTF-8, and bounds the depth. Its time is linear in the bytes it passes. Not for concurrent use.
type scanner struct {
	b     []byte
	at    int
	depth int // levels that may still be opened
}

var (
	errJSONEnd   = errors.New("the JSON ends in the middle")
	errJSONDepth = errors.New("the JSON is nested too deeply")
	errJSONUTF8  = errors.New("text is not UTF-8")
	errSurrogate = errors.New("half of a surrogate pair cannot be written as UTF-8")
	errControl   = errors.New("a control character stands unescaped in a string")
	errEscape    = errors.New("unknown escape in a string")
)

// A jsonError says where the JSON is wrong.
type jsonError struct {
	at  int
	err error
}

func (e *jsonError) Error() string { return fmt.Sprintf("byte %d: %v", e.at, e.err) }
func (e *jsonError) Unwrap() error { return e.err }

func (s *scanner) fail(err error) error { return &jsonError{s.at, err} }

func (s *scanner) unexpected() error {
	if s.at >= len(s.b) {
		return s.fail(errJSONEnd)
	}
	return s.fail(fmt.Errorf("%q is not expected here", s.b[s.at]))
}

// space passes over white space and reports whether anything follows.
func (s *scanner) space() bool {
	for s.at < len(s.b) {
		switch s.b[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return true
		}
	}
	return false
}

// peek returns the next byte that is no white space, 0 at the end.
func (s *scanner) peek() byte {
	if !s.space() {
		return 0
	}
	return s.b[s.at]
}

func (s *scanner) take(c byte) error {
	if s.peek() != c {
		return s.unexpected()
	}
	s.at++
	return nil
}

// end makes sure that nothing but white space follows.
func (s *scanner) end() error {
	if s.space() {
		return s.unexpected()
	}
	return nil
}

// value passes over one value and returns its bytes as they stand there.
func (s *scanner) value() ([]byte, error) {
	s.space()
	from := s.at
	if err := s.skip(); err != nil {
		return nil, err
	}
	return s.b[from:s.at], nil
}

func (s *scanner) skip() error {
	switch c := s.peek(); {
	case c == '{':
		return s.object(func([]byte) error { return s.skip() })
	case c == '[':
		return s.array(s.skip)
	case c == '"':
		_, err := s.quoted()
		return err
	case c == '-' || c >= '0' && c <= '9':
		return s.number()
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	}
	return s.unexpected()
}

// object calls member for each member, standing before its value, which member has to pass over. name is the raw text
// between the quotes.
func (s *scanner) object(member func(name []byte) error) error {
	if err := s.open('{'); err != nil {
		return err
	}
	if s.peek() == '}' {
		s.at++
		s.depth++
		return nil
	}
	for {
		if s.peek() != '"' {
			return s.unexpected()
		}
		name, err := s.quoted()
		if err != nil {
			return err
		}
		if err := s.take(':'); err != nil {
			return err
		}
		s.space()
		if err := member(name); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.at++
		case '}':
			s.at++
			s.depth++
			return nil
		default:
			return s.unexpected()
		}
	}
}

// array calls element before each element, which it has to pass over.
func (s *scanner) array(element func() error) error {
	if err := s.open('['); err != nil {
		return err
	}
	if s.peek() == ']' {
		s.at++
		s.depth++
		return nil
	}
	for {
		s.space()
		if err := element(); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.at++
		case ']':
			s.at++
			s.depth++
			return nil
		default:
			return s.unexpected()
		}
	}
}

func (s *scanner) open(c byte) error {
	if err := s.take(c); err != nil {
		return err
	}
	if s.depth == 0 {
		return s.fail(errJSONDepth)
	}
	s.depth--
	return nil
}

// quoted passes over a string and returns what stands between its quotes, escapes as they are.
func (s *scanner) quoted() ([]byte, error) {
	if err := s.take('"'); err != nil {
		return nil, err
	}
	from, ascii := s.at, true
	for s.at < len(s.b) {
		switch c := s.b[s.at]; {
		case c == '"':
			raw := s.b[from:s.at]
			if !ascii && !utf8.Valid(raw) {
				return nil, s.fail(errJSONUTF8)
			}
			s.at++
			return raw, nil
		case c < ' ':
			return nil, s.fail(errControl)
		case c == '\\':
			if err := s.escape(); err != nil {
				return nil, err
			}
		default:
			ascii = ascii && c < utf8.RuneSelf
			s.at++
		}
	}
	return nil, s.fail(errJSONEnd)
}

func (s *scanner) escape() error {
	if s.at+1 >= len(s.b) {
		s.at = len(s.b)
		return s.fail(errJSONEnd)
	}
	switch s.b[s.at+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.at += 2
		return nil
	case 'u':
		if s.at+6 > len(s.b) {
			s.at = len(s.b)
			return s.fail(errJSONEnd)
		}
		if _, ok := hex4(s.b[s.at+2:]); ok {
			s.at += 6
			return nil
		}
	}
	return s.fail(errEscape)
}

// number passes over a number of any size: what it means is its consumer's business.
func (s *scanner) number() error {
	if s.b[s.at] == '-' {
		s.at++
	}
	if s.at < len(s.b) && s.b[s.at] == '0' {
		s.at++
	} else if !s.digits() {
		return s.unexpected()
	}
	if s.at < len(s.b) && s.b[s.at] == '.' {
		s.at++
		if !s.digits() {
			return s.unexpected()
		}
	}
	if s.at < len(s.b) && (s.b[s.at] == 'e' || s.b[s.at] == 'E') {
		s.at++
		if s.at < len(s.b) && (s.b[s.at] == '+' || s.b[s.at] == '-') {
			s.at++
		}
		if !s.digits() {
			return s.unexpected()
		}
	}
	return nil
}

func (s *scanner) digits() bool {
	from := s.at
	for s.at < len(s.b) && s.b[s.at] >= '0' && s.b[s.at] <= '9' {
		s.at++
	}
	return s.at > from
}

func (s *scanner) word(w string) error {
	for i := range len(w) {
		if s.at >= len(s.b) || s.b[s.at] != w[i] {
			return s.unexpected()
		}
		s.at++
	}
	return nil
}

// hex4 reads the four digits of \uXXXX; b has at least four bytes.
func hex4(b []byte) (r rune, ok bool) {
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
