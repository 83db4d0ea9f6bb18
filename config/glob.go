package config

import "strings"

// internal reports whether a topic name, or the literal beginning of a glob, is that of an internal topic.
func internal(name string) bool { return strings.HasPrefix(name, "__") }

// matches reports whether glob takes the topic: * stands for any run of characters, ? for one. A dot or a slash is a
// character like any other.
func matches(glob, topic string) bool {
	return (internal(glob) || !internal(topic)) && covers(glob, topic)
}

// covers reports whether wide takes every name that narrow takes. With a plain name for narrow it is ordinary matching.
// Against a glob it is right when it says yes; it may say no to a glob that is covered in a roundabout way (?* by *?).
//
// It goes back to the last star only, so its cost is at most the product of the lengths.
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

// covered reports whether every topic that narrow takes is taken by wide.
func covered(narrow, wide string) bool {
	return (internal(wide) || !internal(narrow)) && covers(wide, narrow)
}
