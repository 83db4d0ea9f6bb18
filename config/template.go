package config

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/streamdown/streamdown"
)

//go:embed template.yaml
var template string

// Proposal is what is known of a cluster that a config is written for.
type Proposal struct {
	Bootstrap string   // host:port,…; empty means localhost:9092
	Protocol  string   // a security.protocol that works there; empty = not known
	Topics    []string // that it has
}

// Template returns the commented config that streamdown init writes, for a cluster at bootstrap. It parses without a
// finding if bootstrap does.
func Template(bootstrap string) []byte { return Propose(Proposal{Bootstrap: bootstrap}) }

// maxProposed bounds the streams that are proposed.
const maxProposed = 8

// Propose returns Template with what is known filled in. Streams are proposed in comments: which topics belong together,
// a person knows better.
func Propose(p Proposal) []byte {
	if p.Bootstrap == "" {
		p.Bootstrap = "localhost:9092"
	}
	const server = `"localhost:9092"` + "\n"
	servers := quote(p.Bootstrap) + "\n"
	if p.Protocol != "" {
		servers += "      security.protocol: " + p.Protocol + "\n"
	}
	text := strings.Replace(template, server, servers, 1)
	const all = "  - name: all\n"
	return []byte(strings.Replace(text, all, proposedStreams(p.Topics)+all, 1))
}

// proposedStreams are streams for topics whose names begin with the same word.
func proposedStreams(topics []string) string {
	groups := map[string][]string{}
	for _, t := range topics {
		if strings.HasPrefix(t, "__") || len(t) > streamdown.MaxTopic {
			continue
		}
		word := t
		if at := strings.IndexFunc(t, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }); at > 0 {
			word = t[:at+1]
		}
		groups[word] = append(groups[word], t)
	}
	var words []string
	for word, members := range groups {
		if len(members) > 1 && goodName.MatchString(strings.TrimRight(word, "._-")) {
			words = append(words, word)
		}
	}
	if len(words) == 0 {
		return ""
	}
	slices.SortFunc(words, func(a, b string) int {
		if len(groups[a]) != len(groups[b]) {
			return len(groups[b]) - len(groups[a])
		}
		return strings.Compare(a, b)
	})
	var b strings.Builder
	b.WriteString("  # Topics whose names begin alike, as streams of their own:\n")
	for _, word := range words[:min(len(words), maxProposed)] {
		fmt.Fprintf(&b, "  # - { name: %s, topics: [%q], to: primary } # %d topics, such as %s\n",
			strings.TrimRight(word, "._-"), word+"*", len(groups[word]), slices.Min(groups[word]))
	}
	return b.String()
}
