package streamdown

import "unicode/utf8"

// MaxTopic is the length of the longest topic name that Kafka takes, in bytes.
const MaxTopic = 249

// ValidTopic reports whether Kafka would accept the name of a topic (org.apache.kafka.common.internals.Topic.validate).
func ValidTopic(name string) bool {
	if name == "" || name == "." || name == ".." || len(name) > MaxTopic {
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

// Shorten cuts s to at most n bytes without cutting a character: what strangers send is shown to people, and must not be
// as long as they like.
func Shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
