package credentials

import (
	"errors"
	"fmt"
	"strings"

	"github.com/streamdown/streamdown"
)

// Module is one login module of a JAAS line with its options.
type Module struct {
	Class   string
	Options map[string]streamdown.Secret
}

// ParseJAAS reads the value of sasl.jaas.config, as Kafka's JaasConfig does:
//
//	class flag name=value … ;
//
// A word is a run of anything but white space, ; = " ' and /. Quotes, single or double, hold anything; in them \n, \t,
// \a, \b, \f, \r, \v and octal \0 to \377 mean what they mean in Java, \ before anything else is left out, and a line
// end is an error. // and a lone / begin a comment that ends with the line, /* one that ends with */. Errors tell the
// place in characters from 1 and quote nothing: what is wrongly quoted may be half a password.
func ParseJAAS(line string) ([]Module, error) {
	s := scanner{src: []rune(line)}
	var modules []Module
	for {
		t, err := s.token()
		if err != nil {
			return nil, err
		}
		if t.kind == end {
			break
		}
		if t.kind != word {
			return nil, s.wrong(t, "a login module's class is missing")
		}
		m := Module{Class: t.text, Options: make(map[string]streamdown.Secret)}
		if t, err = s.token(); err != nil {
			return nil, err
		}
		switch strings.ToUpper(t.text) {
		case "REQUIRED", "REQUISITE", "SUFFICIENT", "OPTIONAL":
		default:
			return nil, s.wrong(t, "the word after the class is not a control flag; want: required")
		}
		for {
			if t, err = s.token(); err != nil {
				return nil, err
			}
			if t.kind == semicolon {
				break
			}
			if t.kind == end {
				return nil, s.wrong(t, "it does not end with a semicolon")
			}
			if t.kind != word {
				return nil, s.wrong(t, "an option's name is missing")
			}
			equals, err := s.token()
			if err != nil {
				return nil, err
			}
			value, err := s.token()
			if err != nil {
				return nil, err
			}
			if equals.kind != equal || value.kind != word {
				return nil, s.wrong(t, `an option has no value; write name="value"`)
			}
			m.Options[t.text] = streamdown.NewSecret(value.text)
		}
		modules = append(modules, m)
	}
	if len(modules) == 0 {
		return nil, errors.New("it names no login module")
	}
	return modules, nil
}

type tokenKind uint8

const (
	end tokenKind = iota
	word
	equal
	semicolon
	odd // a character that means nothing here
)

type token struct {
	kind tokenKind
	text string
	at   int
}

type scanner struct {
	src []rune
	pos int
}

func (s *scanner) wrong(t token, what string) error {
	return fmt.Errorf("at character %d: %s", t.at+1, what)
}

// peek returns the rune n places ahead, -1 at the end.
func (s *scanner) peek(n int) rune {
	if s.pos+n >= len(s.src) {
		return -1
	}
	return s.src[s.pos+n]
}

func (s *scanner) token() (token, error) {
	s.skip()
	t := token{at: s.pos}
	c := s.peek(0)
	switch {
	case c < 0:
		return t, nil
	case c == '=' || c == ';':
		s.pos++
		t.kind = equal
		if c == ';' {
			t.kind = semicolon
		}
	case c == '"' || c == '\'':
		return s.quoted(c)
	case wordRune(c):
		for wordRune(s.peek(0)) {
			s.pos++
		}
		t.kind, t.text = word, string(s.src[t.at:s.pos])
	default:
		s.pos++
		t.kind = odd
	}
	return t, nil
}

// wordRune is the table of Kafka's JaasConfig.
func wordRune(c rune) bool {
	return c > ' ' && !strings.ContainsRune(`;=/"'`, c) && (c <= 128 || c >= 160)
}

// skip passes white space and comments.
func (s *scanner) skip() {
	for c := s.peek(0); c >= 0; c = s.peek(0) {
		switch {
		case c <= ' ':
			s.pos++
		case c == '/' && s.peek(1) == '*':
			for s.pos += 2; s.peek(0) >= 0 && (s.peek(0) != '*' || s.peek(1) != '/'); {
				s.pos++
			}
			s.pos = min(s.pos+2, len(s.src))
		case c == '/':
			for s.peek(0) >= 0 && s.peek(0) != '\n' && s.peek(0) != '\r' {
				s.pos++
			}
		default:
			return
		}
	}
}

var jaasEscapes = map[rune]rune{'a': '\a', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v'}

func (s *scanner) quoted(quote rune) (token, error) {
	t := token{kind: word, at: s.pos}
	var b strings.Builder
	for s.pos++; ; s.pos++ {
		c := s.peek(0)
		switch {
		case c == quote:
			s.pos++
			t.text = b.String()
			return t, nil
		case c < 0 || c == '\n' || c == '\r':
			return t, s.wrong(t, "a quote begins that is not closed in its line")
		case c != '\\':
			b.WriteRune(c)
			continue
		}
		s.pos++
		c = s.peek(0)
		switch e, known := jaasEscapes[c]; {
		case known:
			b.WriteRune(e)
		case c >= '0' && c <= '7':
			b.WriteRune(s.octal())
		case c < 0:
			return t, s.wrong(t, "a quote begins that is not closed in its line")
		default:
			b.WriteRune(c)
		}
	}
}

// octal reads up to three digits, the last only if the number stays below 256, and stands on the last of them.
func (s *scanner) octal() rune {
	n := s.peek(0) - '0'
	most := 1
	if n <= 3 {
		most = 2
	}
	for range most {
		d := s.peek(1)
		if d < '0' || d > '7' {
			break
		}
		n = n<<3 + d - '0'
		s.pos++
	}
	return n
}
