package auth

import (
	"context"
	"testing"

	"github.com/streamdown/streamdown/test/budget"
)

// FuzzSASL plays two messages of each mechanism: nobody comes in without a password, and no message costs more than it
// is worth.
func FuzzSASL(f *testing.F) {
	i := newIssuer(f)
	token := i.sign("ec", good(claims{"sub": "mallory"}))
	for m := range byte(4) {
		f.Add(m, []byte(rfcFirst), []byte(rfcFinal))
		f.Add(m, []byte("n,a=user,n=us=2Cer,r=x,m=y"), []byte("c=biws,r=x,p="))
		f.Add(m, []byte("\x00user\x00pencil"), []byte{})
		f.Add(m, []byte("n,,\x01auth=Bearer "+token+"\x01\x01"), []byte("\x01"))
		f.Add(m, []byte("n,,\x01auth=Bearer e30.e30.e30\x01a=b\x01\x01"), []byte(nil))
		f.Add(m, make([]byte, maxToken), make([]byte, maxToken))
	}
	a := believing(f, OAuth{Keys: i.file()}, nil, nil)
	c := Config{
		Mechanisms: SASL, Users: []User{{Name: "user", Password: "correct horse battery staple"}, {Name: "alice"}},
		OAuth: &a.table.Load().oauth.oauth,
	}
	if err := a.Update(c); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, mechanism byte, first, second []byte) {
		budget.Check(t, len(first)+len(second), func() {
			e, ok := a.Begin(SASL[int(mechanism)%len(SASL)])
			if !ok {
				t.Fatal("not offered")
			}
			for _, message := range [][]byte{first, second} {
				reply, who, err := e.Step(context.Background(), message)
				if who != nil {
					t.Fatalf("%q came in as %s", message, who.Name)
				}
				if err != nil && reply != nil {
					t.Fatal("an answer beside a refusal")
				}
			}
		})
	})
}

func FuzzVerifier(f *testing.F) {
	f.Add(rfcStored)
	f.Fuzz(func(t *testing.T, text string) {
		budget.Check(t, len(text), func() {
			if v, err := ParseVerifier(text); err == nil && v.Iterations > MaxIterations {
				t.Fatal("a verifier that costs too much")
			}
		})
	})
}

func FuzzMappingRules(f *testing.F) {
	f.Add("RULE:^CN=(.*?),OU=(.*?),O=(.*?)$/$1@$2/L,DEFAULT", "CN=a,OU=b,O=c")
	f.Add(`RULE:a\/b/c\/d/U, RULE:(x+x+)+y/$9/`, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")
	f.Fuzz(func(t *testing.T, rules, name string) {
		r, err := ParseRules(rules)
		if err != nil {
			return
		}
		if again, err := ParseRules(r.String()); err != nil || again.String() != r.String() {
			t.Fatalf("%q is written as %q: %v", rules, r, err)
		}
		r.apply(name)
	})
}
