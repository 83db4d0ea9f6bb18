package gateway

import "github.com/streamdown/streamdown"

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
	if len(s) > streamdown.MaxTopic {
		return s
	}
	if *n == nil || len(*n) >= maxNames {
		*n = names{}
	}
	(*n)[s] = s
	return s
}
