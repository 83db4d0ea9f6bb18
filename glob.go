package streamdown

import "strings"

// Glob is a pattern of topic names, as streams and users have them: * stands for any run of characters, ? for one. A
// dot or a slash is a character like any other. Internal topics, whose names begin with two underscores, are matched
// only by a glob that begins with them too.
type Glob string

// Matches reports whether g takes the topic.
func (g Glob) Matches(topic string) bool {
	return (internal(string(g)) || !internal(topic)) && covers(string(g), topic)
}

// Covers reports whether g takes every topic that narrow takes. It is right when it says yes; it may say no to a glob
// that is covered in a roundabout way (?* by *?).
func (g Glob) Covers(narrow Glob) bool {
	return (internal(string(g)) || !internal(string(narrow))) && covers(string(g), string(narrow))
}

// internal reports whether a topic name, or the literal beginning of a glob, is that of an internal topic.
func internal(name string) bool { return strings.HasPrefix(name, "__") }

// covers goes back to the last star only, so its cost is at most the product of the lengths.
func covers(wide, narrow string) bool {
	w, n := 0, 0
	star, resume := -1, 0
	for n < len(narrow) {
		switch {
		case w < len(wide) && wide[w] == '*':
			star, resume = w, n
			w++
		case w < len(wide) && narrow[n] != '*' && (wide[w] == '?' || wide[w] == narrow[n]):
			w++
			n++
		case star >= 0:
			resume++
			w, n = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(wide[w:], "*") == ""
}
