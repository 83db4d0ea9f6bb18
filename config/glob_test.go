package config

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestFirstStreamThatMatchesTakesTheTopic(t *testing.T) {
	c := parse(t, strings.Replace(smallest, `[{ name: all, topics: ["*"] }]`, `
  - { name: orders, topics: ["orders.*", "order?"] }
  - { name: audit, topics: ["__audit*"] }
  - { name: rest, topics: ["*"] }`, 1))
	for topic, want := range map[string]string{
		"orders.eu": "orders", "orders.": "orders", "orders": "orders", "order1": "orders", "order": "rest", "order12": "rest",
		"x": "rest", "_x": "rest", "a.b-c_d": "rest", "__audit": "audit", "__audit.x": "audit", "__consumer_offsets": "", "__": "",
	} {
		s, ok := c.Match(topic)
		if got := ""; ok && s.Name != want || !ok && got != want {
			t.Errorf("%s goes to %+v, want %q", topic, s, want)
		}
	}
	c.Streams = c.Streams[:1]
	if s, ok := c.Match("x"); ok {
		t.Errorf("x goes to %+v", s)
	}
}

// obvious is matching as one would define it.
func obvious(glob, name string) bool {
	if glob == "" {
		return name == ""
	}
	if glob[0] == '*' {
		return obvious(glob[1:], name) || name != "" && obvious(glob, name[1:])
	}
	return name != "" && (glob[0] == '?' || glob[0] == name[0]) && obvious(glob[1:], name[1:])
}

func TestGlobsMatchAsDefinedAndCoverOnlyWhatTheyTake(t *testing.T) {
	globs := rapid.StringOfN(rapid.RuneFrom([]rune("ab_*?")), 0, 8, -1)
	names := rapid.StringOfN(rapid.RuneFrom([]rune("ab_")), 0, 8, -1)
	rapid.Check(t, func(t *rapid.T) {
		wide, narrow, name := globs.Draw(t, "wide"), globs.Draw(t, "narrow"), names.Draw(t, "name")
		hidden := strings.HasPrefix(name, "__") && !strings.HasPrefix(wide, "__")
		if got, want := matches(wide, name), obvious(wide, name) && !hidden; got != want {
			t.Fatalf("%q matches %q: %v, want %v", wide, name, got, want)
		}
		if covered(narrow, wide) && matches(narrow, name) && !matches(wide, name) {
			t.Fatalf("%q is said to cover %q, but takes no %q", wide, narrow, name)
		}
	})
	for _, pair := range [][2]string{{"a*", "*"}, {"a.b", "a.?"}, {"a*b*", "a*"}, {"??", "?*"}, {"__x*", "__*"}, {"a", "a"}} {
		if !covered(pair[0], pair[1]) {
			t.Errorf("%q is not seen to cover %q", pair[1], pair[0])
		}
	}
	for _, pair := range [][2]string{{"*", "?"}, {"a*", "a?"}, {"*", "a*"}, {"__x", "*"}, {"a?", "ab"}, {"*a", "a*"}} {
		if covered(pair[0], pair[1]) {
			t.Errorf("%q is said to cover %q", pair[1], pair[0])
		}
	}
}
