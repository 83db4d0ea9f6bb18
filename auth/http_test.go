package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/test/budget"
)

func basicHeader(text string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(text))
}

// Over HTTP the same users come in with the same passwords, verifiers and tokens, and hear the same of wrong ones.
func TestAuthorizationHeadersNameUsers(t *testing.T) {
	i := newIssuer(t)
	a := believing(t, OAuth{Keys: i.file()}, nil, nil)
	c := Config{
		Basic: true, OAuth: &a.table.Load().oauth.oauth,
		Users: []User{
			{Name: "password", Password: streamdown.NewSecret("pencil"), Role: Operator},
			{Name: "verifier", SCRAM: verifiers(t, "pen:cil", MinIterations)}, {Name: "bare"}, {Name: "tokens"},
		},
	}
	if err := a.Update(c); err != nil {
		t.Fatal(err)
	}
	token := func(sub string) string { return "Bearer " + i.sign("ec", good(claims{"sub": sub})) }
	for _, tt := range []struct {
		name, header, who string
		reason            Reason
	}{
		{"password", basicHeader("password:pencil"), "password", ""},
		{"any case", strings.Replace(basicHeader("password:pencil"), "Basic", "bASIC", 1), "password", ""},
		{"verifier, with a colon", basicHeader("verifier:pen:cil"), "verifier", ""},
		{"verifier, from memory", basicHeader("verifier:pen:cil"), "verifier", ""},
		{"token", token("tokens"), "tokens", ""},
		{"token, any case", strings.Replace(token("tokens"), "Bearer", "bearer", 1), "tokens", ""},
		{"wrong password", basicHeader("password:pen"), "", WrongPassword},
		{"wrong password for a verifier", basicHeader("verifier:pencil"), "", WrongPassword},
		{"unknown", basicHeader("mallory:pencil"), "", UnknownUser},
		{"no password to check", basicHeader("bare:pencil"), "", NoVerifier},
		{"no password", basicHeader("password:"), "", Malformed},
		{"no name", basicHeader(":pencil"), "", Malformed},
		{"no colon", basicHeader("password"), "", Malformed},
		{"no base64", "Basic password:pencil", "", Malformed},
		{"no UTF-8", basicHeader("password:\xff"), "", Malformed},
		{"token of nobody", token("mallory"), "", UnknownUser},
		{"no token", "Bearer", "", BadToken},
		{"a password as a token", "Bearer pencil", "", BadToken},
		{"unsigned", "Bearer e30.e30.", "", BadToken},
		{"two words", token("tokens") + " x", "", BadToken},
		{"empty", "", "", Malformed}, {"negotiate", "Negotiate abc", "", Malformed}, {"digest", `Digest username="password"`, "", Malformed},
		{"huge", "Basic " + strings.Repeat("A", 1<<20), "", Malformed}, {"huge token", "Bearer " + strings.Repeat("a.", 1<<19), "", Malformed},
	} {
		who, err := a.OfAuthorization(t.Context(), tt.header)
		refusal := (*Refusal)(nil)
		switch {
		case tt.who != "" && (err != nil || who.Name != tt.who):
			t.Errorf("%s: %v, %v", tt.name, who, err)
		case tt.who == "" && (who != nil || !errors.As(err, &refusal) || refusal.Reason != tt.reason || refusal.Say == ""):
			t.Errorf("%s: %v, %v", tt.name, who, err)
		case refusal != nil && (strings.Contains(refusal.Detail+refusal.Say, "pencil") || strings.Contains(refusal.Say, "OAUTHBEARER")):
			t.Errorf("%s: %+v", tt.name, refusal)
		}
	}
	if a.RoleOf("password") != Operator || a.RoleOf("bare") != NoRole || a.RoleOf("mallory") != NoRole {
		t.Error("roles are others")
	}
	c.Basic, c.OAuth, c.Users[0].Role = false, nil, Viewer
	if err := a.Update(c); err != nil {
		t.Fatal(err)
	}
	for _, header := range []string{basicHeader("password:pencil"), token("tokens")} {
		if who, err := a.OfAuthorization(t.Context(), header); err == nil {
			t.Errorf("%v came in where that is not offered", who)
		}
	}
	if a.RoleOf("password") != Viewer {
		t.Error("a role that was taken away stays")
	}
}

func TestRolesHaveNames(t *testing.T) {
	for _, name := range RoleNames() {
		if r, err := ParseRole(name); err != nil || r.String() != name {
			t.Errorf("%s: %s %v", name, r, err)
		}
	}
	if _, err := ParseRole("root"); err == nil {
		t.Error("root is a role")
	}
	if !(NoRole < Viewer && Viewer < Operator && Operator < Admin) {
		t.Error("the order of roles")
	}
}

// FuzzAuthorization sends any header: nobody comes in, and none costs more than it is worth.
func FuzzAuthorization(f *testing.F) {
	i := newIssuer(f)
	a := believing(f, OAuth{Keys: i.file()}, nil, nil)
	c := Config{
		Basic: true, Users: []User{{Name: "user", Password: streamdown.NewSecret("correct horse battery staple")}, {Name: "alice"}},
		OAuth: &a.table.Load().oauth.oauth,
	}
	if err := a.Update(c); err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"", "Basic", "Basic =", basicHeader("user:pencil"), basicHeader("user:" + strings.Repeat("x", 8192)), "Bearer e30.e30.e30", "Bearer " + i.sign("ec", good(claims{"sub": "mallory"}))} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		budget.Check(t, len(header), func() {
			if who, err := a.OfAuthorization(context.Background(), header); err == nil || who != nil {
				t.Fatalf("%q came in as %v", header, who)
			}
		})
	})
}
