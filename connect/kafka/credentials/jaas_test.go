package credentials

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/streamdown/streamdown/test/budget"
)

// escape writes a text so that a properties file gives it back.
func escape(b *strings.Builder, s string) {
	const digits = "0123456789abcdef"
	for _, u := range utf16.Encode([]rune(s)) {
		b.WriteString(`\u`)
		for shift := 12; shift >= 0; shift -= 4 {
			b.WriteByte(digits[u>>shift&15])
		}
	}
}

func flat(list []Module) string {
	var out []string
	for _, m := range list {
		s := m.Class
		for _, name := range slices.Sorted(maps.Keys(m.Options)) {
			s += " " + name + "=<" + m.Options[name].Reveal() + ">"
		}
		out = append(out, s)
	}
	return strings.Join(out, "|")
}

func TestJAASIsReadAsKafkaReadsIt(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{`c required username="u" password="p";`, `c password=<p> username=<u>`},
		{`c REQUIRED a='x "y" z' b="it's";`, `c a=<x "y" z> b=<it's>`},
		{`c required a=plain-word_1.2$,&@!;`, `c a=<plain-word_1.2$,&@!>`},
		{"c\n  required\n\ta = \"x\"\n;", `c a=<x>`},
		{`c required a="\"\\\n\t\101\7\400\q";`, "c a=<\"\\\n\tA\a 0q>"},
		{`c required a="";`, `c a=<>`},
		{"c required // a comment\n a=b /* and ; another */ ;", `c a=<b>`},
		{`c required a="x//y;=";`, `c a=<x//y;=>`},
		{"c required a=b / rest\n;", `c a=<b>`},
		{`c required; d optional x=y;`, `c|d x=<y>`},
		{`c required a=1 a=2;`, `c a=<2>`},
		{`c required a="ü€😀";`, `c a=<ü€😀>`},
		{`"c" required "a"="b";`, `c a=<b>`},
	} {
		list, err := ParseJAAS(tt.line)
		if err != nil {
			t.Errorf("%s: %v", tt.line, err)
		} else if got := flat(list); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.line, got, tt.want)
		}
	}
	for line, want := range map[string]string{
		``:                            "it names no login module",
		`c`:                           "at character 2: the word after the class is not a control flag; want: required",
		`c must a=b;`:                 "at character 3: the word after the class is not a control flag; want: required",
		`c required password="hunter`: "at character 21: a quote begins that is not closed in its line",
		`c required password=hunter2`: "at character 28: it does not end with a semicolon",
		`c required password;`:        `at character 12: an option has no value; write name="value"`,
		`c required password=;`:       `at character 12: an option has no value; write name="value"`,
		`c required =hunter2;`:        "at character 12: an option's name is missing",
		`c required a="b\`:            "at character 14: a quote begins that is not closed in its line",
		`c required; hunter2`:         "at character 20: the word after the class is not a control flag; want: required",
		`;`:                           "at character 1: a login module's class is missing",
	} {
		_, err := ParseJAAS(line)
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", line, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: a secret is in %q", line, err)
		}
	}
}

// FuzzParseJAAS holds the parser to an answer in time and memory, and to modules that read back as they are.
func FuzzParseJAAS(f *testing.F) {
	for _, s := range []string{`c required a="b";`, `c required a='b\'c' d=e;`, "/", "/*", `"\`, `"\1`, "c required /**/;//", strings.Repeat("c required;", 50)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if len(line) > 64<<10 {
			return
		}
		var list []Module
		var err error
		budget.Check(t, entryCost*len(line), func() { list, err = ParseJAAS(line) })
		if err != nil {
			return
		}
		quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`)
		var b strings.Builder
		for _, m := range list {
			b.WriteString(`"` + quote.Replace(m.Class) + `" required`)
			for name, value := range m.Options {
				b.WriteString(` "` + quote.Replace(name) + `"="` + quote.Replace(value.Reveal()) + `"`)
			}
			b.WriteByte(';')
		}
		again, err := ParseJAAS(b.String())
		if err != nil || flat(again) != flat(list) {
			t.Fatalf("%q is %q, then %q, %v", line, flat(list), flat(again), err)
		}
	})
}
