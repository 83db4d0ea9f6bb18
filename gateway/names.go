package gateway

import "unicode/utf8"

// names gives the same string for the same topic name again, so that a produce request allocates none. Owned by a
// connection's reader.
type names map[string]string

// maxNames bounds what a connection remembers; a client that writes to more topics only allocates more.
const maxNames = 1024

// intern returns b as a string that does not share its memory.
func (n *names) intern(b []byte) string {
	if s, ok := (*n)[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(s) > maxTopic {
		return s
	}
	if *n == nil || len(*n) >= maxNames {
		*n = names{}
	}
	(*n)[s] = s
	return s
}

const maxTopic = 249

// validTopic reports whether Kafka would accept the name (its Topic.validate).
func validTopic(name string) bool {
	if name == "" || name == "." || name == ".." || len(name) > maxTopic {
		return false
	}
	for i := range len(name) {
		switch b := name[i]; {
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9', b == '.', b == '_', b == '-':
		default:
			return false
		}
	}
	return true
}

// shorten cuts s to at most n bytes without cutting a character.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
