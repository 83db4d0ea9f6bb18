package config

import (
	"bytes"
	"unicode/utf8"
)

// Bounds of what the parser sees. It takes time with the square of the number of keys side by side, and of depth: a file
// that no person wrote is refused before it costs more than a glance. Each bound is far beyond any real config.
const (
	maxLine    = 32 << 10 // bytes
	maxIndent  = 200      // columns
	maxKeys    = 500      // of one mapping
	maxMarks   = 100      // anchors, aliases, tags and directives, none of which is used
	maxHeaders = 3        // of documents
)

// shape looks at the bytes once and reports the first place that passes a bound, as line and column from 1.
func shape(src []byte) (line, column int, wrong string) {
	var keys [maxIndent + 1]int // of the mapping that is open at each indent
	deepest, flow, marks, headers := 0, 0, 0, 0
	for n := 1; len(src) > 0; n++ {
		text, rest, _ := bytes.Cut(src, []byte{'\n'})
		src = rest
		if len(text) > maxLine {
			return n, 1, "is a line of more than 32 KiB; put what it holds into a file and write ${file:/path}"
		}
		body := bytes.TrimLeft(text, " ")
		indent := len(text) - len(body)
		if len(body) == 0 || body[0] == '#' || body[0] == '\r' {
			continue
		}
		if indent > maxIndent {
			return n, maxIndent, "is nested too deeply"
		}
		for ; deepest > indent; deepest-- {
			keys[deepest] = 0
		}
		deepest = indent
		if indent == 0 && (body[0] >= 'a' && body[0] <= 'z') {
			flow = 0
		}
		entries := 0
		for len(body) > 1 && (body[0] == '-' || body[0] == '?') && body[1] == ' ' {
			if entries++; entries > maxDepth {
				return n, indent + 1, "is nested too deeply"
			}
			body = bytes.TrimLeft(body[1:], " ")
		}
		switch {
		case entries > 0:
		case indent == 0 && bytes.HasPrefix(body, []byte("---")):
			if headers++; headers > maxHeaders {
				return n, 1, "begins one document too many; one file holds one config"
			}
		case indent == 0 && body[0] == '%':
			marks++
		case isKey(body):
			if keys[indent]++; keys[indent] > maxKeys {
				return n, indent + 1, "is one key more than any mapping here has"
			}
		}
		before := byte(' ')
		for i, c := range body {
			switch {
			case c == '[' || c == '{':
				flow++
			case (c == ']' || c == '}') && flow > 0:
				flow--
			case (c == '&' || c == '*' || c == '!') && (before == ' ' || before == ',' || before == '[' || before == '{'):
				marks++
			}
			if before = c; flow > 2*maxDepth || marks > maxMarks {
				column = len(text) - len(body) + utf8.RuneCount(body[:i]) + 1
				if marks > maxMarks {
					return n, column, "is one anchor, alias, tag or directive too many; none is used here"
				}
				return n, column, "is nested too deeply"
			}
		}
	}
	return 0, 0, ""
}

// isKey reports whether a line looks like a key of a block mapping.
func isKey(body []byte) bool {
	at := bytes.IndexByte(body, ':')
	return at >= 0 && (at+1 == len(body) || body[at+1] == ' ' || body[at+1] == '\r')
}
