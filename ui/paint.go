package ui

// Paint colors text for a terminal if it is true, and leaves it alone if not. Color never carries meaning alone: a
// word or a sign says the same.
type Paint bool

const reset = "\x1b[0m"

// Good marks what is as it should be.
func (p Paint) Good(s string) string { return p.wrap("\x1b[32m", s) }

// Bad marks what is wrong.
func (p Paint) Bad(s string) string { return p.wrap("\x1b[31m", s) }

// Wait marks what is under way.
func (p Paint) Wait(s string) string { return p.wrap("\x1b[33m", s) }

// Strong marks what to read first.
func (p Paint) Strong(s string) string { return p.wrap("\x1b[1m", s) }

// Faint marks what to read last.
func (p Paint) Faint(s string) string { return p.wrap("\x1b[2m", s) }

func (p Paint) wrap(code, s string) string {
	if !p || s == "" {
		return s
	}
	return code + s + reset
}
