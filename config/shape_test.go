package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/streamdown/streamdown/test/budget"
)

// TestAMegabyteThatNobodyWroteCostsAGlance: the parser would take seconds to minutes for each of these.
func TestAMegabyteThatNobodyWroteCostsAGlance(t *testing.T) {
	fill := func(unit string) string { return strings.Repeat(unit, maxSourceSize/len(unit)) }
	var keys strings.Builder
	for i := 0; keys.Len() < maxSourceSize-20; i++ {
		fmt.Fprintf(&keys, "k%d: 1\n", i)
	}
	for name, src := range map[string]string{
		"keys": keys.String(), "the same key": fill("a: 1\n"), "keys with comments": fill("a: #\n"), "merge keys": fill("<<: *a\n"), "brackets": fill("["),
		"braces": fill("{a: "), "braces in lines": fill("{a: \n"), "brackets in lines": fill(" [\n"), "dashes": fill("- "), "questions": fill("? "), "quotes": fill(`"`), "colons": fill(": "), "directives": fill("%A\n"),
		"documents": fill("---\n"), "aliases": fill("*a\n"), "anchors": fill("&a "), "tags in lines": fill("!a\n"), "percent": fill("%"), "one scalar": fill("x"),
	} {
		t.Run(name, func(t *testing.T) {
			var findings Findings
			budget.Allow(t, uint64(len(src))+1<<20, func() { _, findings = Parse("big.yaml", []byte(src), nil) })
			if len(findings) != 1 || findings[0].Line < 1 || findings[0].Severity != Error {
				t.Errorf("%.300s", findings)
			}
		})
	}
}

// TestLargeConfigsThatPeopleWriteAreRead: users by the thousand, a bundle of certificates, many topics.
func TestLargeConfigsThatPeopleWriteAreRead(t *testing.T) {
	var b strings.Builder
	b.WriteString(smallest + "listen: { kafka: { sasl: { mechanisms: [SCRAM-SHA-512] } } }\nauth:\n  users:\n")
	for i := range 2000 {
		fmt.Fprintf(&b, "    - name: user%d\n      # it's [a comment {\n      password: \"${PASSWORD}\"\n      topics: [\"orders.%d.*\"]\n", i, i)
	}
	src := strings.Replace(b.String(), `bootstrap.servers: "k1:9092" } } }`, "\n    bootstrap.servers: \"k1:9092\",\n    client.id: x } } }", 1)
	c, findings := Parse("large.yaml", []byte(src), func(string) (string, bool) { return "long enough for all", true })
	if c == nil || len(c.Auth.Users) != 2000 {
		t.Fatalf("%.500s", findings)
	}
}

// TestFindingsEndSomewhere: nobody reads ten thousand, and the last one says how many there are.
func TestFindingsEndSomewhere(t *testing.T) {
	src := smallest + "auth:\n  users:\n" + strings.Repeat("    - { nam: x }\n", 5000)
	c, findings := Parse("many.yaml", []byte(src), nil)
	if c != nil || len(findings) != maxFindings || !strings.Contains(findings[maxFindings-1].Text, "more findings") || findings.Err() == nil {
		t.Fatalf("%d findings", len(findings))
	}
}
