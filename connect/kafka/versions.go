package kafka

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// UnsupportedError says that a broker does not speak what a question needs.
type UnsupportedError struct {
	Addr        string
	API         string
	Lo, Hi      int16 // what we can use
	Least, Most int16 // what the broker offers, -1 if nothing
}

func (e *UnsupportedError) Error() string {
	if e.Most < 0 {
		return fmt.Sprintf("kafka at %s does not know %s: a newer broker is needed", e.Addr, e.API)
	}
	return fmt.Sprintf("kafka at %s speaks %s versions %d to %d, streamdown %d to %d: a newer broker is needed, or a newer streamdown",
		e.Addr, e.API, e.Least, e.Most, e.Lo, e.Hi)
}

// span is a range of versions of one API, ends included.
type span struct{ least, most int16 }

// versions is what one broker said in its ApiVersions answer on one connection. It is read only.
type versions map[int16]span

// pick returns the highest version of the API that both sides speak, ours being lo to hi.
func (v versions) pick(addr string, key, lo, hi int16) (int16, error) {
	s, ok := v[key]
	if !ok {
		s = span{-1, -1}
	}
	if best := min(hi, s.most); ok && best >= lo && best >= s.least {
		return best, nil
	}
	return 0, &UnsupportedError{Addr: addr, API: kmsg.NameForKey(key), Lo: lo, Hi: hi, Least: s.least, Most: s.most}
}
