package process

import "bytes"

// lines cuts what is written to it into lines. It is written to by one goroutine.
type lines struct {
	take func(line []byte)
	rest []byte // begin of a line whose end has not come yet
}

func (l *lines) Write(b []byte) (int, error) {
	n := len(b)
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			l.rest = append(l.rest, b...)
			return n, nil
		}
		line := b[:i]
		if len(l.rest) > 0 {
			l.rest = append(l.rest, line...)
			line = l.rest
		}
		l.take(line)
		l.rest, b = l.rest[:0], b[i+1:]
	}
}

// end hands over a last line that has no end.
func (l *lines) end() {
	if l != nil && len(l.rest) > 0 {
		l.take(l.rest)
		l.rest = nil
	}
}
