package credentials

import (
	"errors"
	"strings"
	"testing"

	"github.com/streamdown/streamdown/test/budget"
)

func TestPropertiesAreReadAsJavaReadsThem(t *testing.T) {
	for _, tt := range []struct{ src, want string }{
		{"a=b", "a=b"},
		{"a : b", "a=b"},
		{"a\tb c", "a=b c"},
		{"  a  =  b  ", "a=b  "},
		{"a==b", "a==b"},
		{"a= =b", "a==b"},
		{"a =b", "a=b"},
		{"a", "a="},
		{"a=", "a="},
		{"=b", "=b"},
		{"# no\n! no\n\n \t\f\n#no\\\na=b", "a=b"},
		{"a=b\\\n   c", "a=bc"},
		{"a=b\\\r\n\tc\r\nd=e\rf=g", "a=bc|d=e|f=g"},
		{"a=b\\\\\nc=d", "a=b\\|c=d"},
		{"a=b\\\\\\\nc=d", "a=b\\c=d"},
		{"a=b\\\n\nc=d", "a=b|c=d"},
		{"a=b\\\n#c", "a=b#c"},
		{"a=b\\", "a=b"},
		{"\\\n#gone\na=b", "a=b"},
		{`a\=b\:c\ d=e`, "a=b:c d=e"},
		{`a=\t\n\r\f\q\"\'\\`, "a=\t\n\r\fq\"'\\"},
		{`a=\u00fc\u20AC\ud83d\ude00`, "a=ü€😀"},
		{"a=\xfc", "a=ü"},
		{`sasl.jaas.config=x required password="a\\"b";`, `sasl.jaas.config=x required password="a\"b";`},
		{"a=1\na=2", "a=1|a=2"},
		{"a=b\\\n  # c", "a=b# c"},
	} {
		entries, err := ParseProperties([]byte(tt.src))
		if err != nil {
			t.Errorf("%q: %v", tt.src, err)
			continue
		}
		var got []string
		for _, e := range entries {
			got = append(got, e.Key+"="+e.Value.Reveal())
		}
		if s := strings.Join(got, "|"); s != tt.want {
			t.Errorf("%q: got %q, want %q", tt.src, s, tt.want)
		}
	}
}

func TestPropertiesTellThePlace(t *testing.T) {
	entries, err := ParseProperties([]byte("# one\n\n  a=b\\\n  c\nbad=\\u00\n d=\xe4\r\nx=\\u12G4\ny=z"))
	var bad *PropertyError
	if !errors.As(err, &bad) || bad.Line != 5 || bad.Column != 1 || !strings.Contains(err.Error(), "line 7") {
		t.Errorf("%v", err)
	}
	if len(entries) != 3 || entries[0].Line != 3 || entries[0].Column != 3 || entries[1].Line != 6 || !entries[1].Latin || entries[2].Line != 8 || entries[2].Latin {
		t.Errorf("%+v", entries)
	}
}

// entryCost is how much more memory than its bytes the shortest entry takes, over what budget allows anyway.
const entryCost = 16

// FuzzParseProperties holds the parser to an answer in time and in memory that stands in proportion, and to entries that
// read back as they are when they are written with every character escaped.
func FuzzParseProperties(f *testing.F) {
	for _, s := range []string{"a=b", "a\\\n b", "\\", "a=\\u0041", "!x\r#y\r\nz: 1", strings.Repeat("\\\n", 100), strings.Repeat("a=b\\\n", 100)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) > 64<<10 {
			return
		}
		var entries []Property
		budget.Check(t, entryCost*len(src), func() { entries, _ = ParseProperties(src) })
		var b strings.Builder
		for _, e := range entries {
			escape(&b, e.Key)
			b.WriteByte('=')
			escape(&b, e.Value.Reveal())
			b.WriteByte('\n')
			if e.Line < 1 || e.Column < 1 {
				t.Fatalf("%+v", e)
			}
		}
		again, err := ParseProperties([]byte(b.String()))
		if err != nil || len(again) != len(entries) {
			t.Fatalf("%q: %d entries, then %d, %v", src, len(entries), len(again), err)
		}
		for i := range again {
			if again[i].Key != entries[i].Key || again[i].Value.Reveal() != entries[i].Value.Reveal() {
				t.Fatalf("%q: %q=%q, then %q=%q", src, entries[i].Key, entries[i].Value.Reveal(), again[i].Key, again[i].Value.Reveal())
			}
		}
	})
}
