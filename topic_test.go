package streamdown

import (
	"strings"
	"testing"
)

func TestTopicNamesAreThoseThatKafkaTakes(t *testing.T) {
	for name, want := range map[string]bool{
		"orders": true, "a.b_c-D9": true, "...": true, strings.Repeat("x", 249): true,
		"": false, ".": false, "..": false, "a/b": false, "a b": false, "tö": false, "a\x00": false, strings.Repeat("x", 250): false,
	} {
		if ValidTopic(name) != want {
			t.Errorf("ValidTopic(%q) is not %v", name, want)
		}
	}
}

func TestShortenCutsNoCharacter(t *testing.T) {
	for _, c := range []struct {
		s    string
		n    int
		want string
	}{{"abc", 5, "abc"}, {"abc", 2, "ab"}, {"tö", 2, "t"}, {"tö", 3, "tö"}, {"ö", 1, ""}, {"", 0, ""}, {"\x80\x80", 1, ""}} {
		if got := Shorten(c.s, c.n); got != c.want {
			t.Errorf("Shorten(%q, %d) is %q, want %q", c.s, c.n, got, c.want)
		}
	}
}
