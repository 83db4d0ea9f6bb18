package streamdown_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/streamdown/streamdown"
)

// Whatever holds a secret and however it is printed: the text does not come out. Fields that are not exported are those
// whose methods fmt does not call.
func TestASecretIsNeverPrinted(t *testing.T) {
	const text = "marker-of-a-secret"
	s := streamdown.NewSecret(text)
	hidden := struct{ s streamdown.Secret }{s}
	deep := struct {
		m map[string]streamdown.Secret
		l []streamdown.Secret
		p *streamdown.Secret
		i any
	}{map[string]streamdown.Secret{"k": s}, []streamdown.Secret{s}, &s, s}
	var out bytes.Buffer
	for _, v := range []any{s, &s, hidden, &hidden, deep, &deep, []any{s, hidden}, reflect.ValueOf(hidden), reflect.ValueOf(&deep)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%c", "%p", "%t", "%!"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("all", "s", s, "p", &s, "hidden", hidden, "deep", &deep)
	}
	if err := json.NewEncoder(&out).Encode(struct{ S, P any }{s, &s}); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.Contains(text, "marker") || strings.Contains(text, fmt.Sprintf("%x", "marker")) || strings.Contains(text, "109 97 114") {
		t.Errorf("the secret is shown:\n%s", text)
	}
	if s.Reveal() != text || s.IsZero() || !streamdown.NewSecret("").IsZero() || streamdown.NewSecret("").String() != "" || s.String() != "<redacted>" {
		t.Error("a secret is not what it was made of")
	}
	if !reflect.DeepEqual(s, streamdown.NewSecret(text)) {
		t.Error("two secrets of one text are not deeply equal")
	}
	// The plant: a string would be shown.
	if fmt.Sprintf("%+v", struct{ s fmt.Stringer }{plain(text)}) != "{s:"+text+"}" {
		t.Error("this test could not fail")
	}
}

type plain string

func (plain) String() string { return "<redacted>" }
