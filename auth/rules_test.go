package auth

import (
	"testing"

	"github.com/streamdown/streamdown"
)

func TestRulesOfAClusterAreReadAsKafkaReadsThem(t *testing.T) {
	a, err := New(Config{Users: []User{
		{Name: "alice", Password: streamdown.NewSecret("a long password"), Topics: []streamdown.Glob{"own.*"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if a.Allows("bob", "orders") || a.Knows("bob") || !a.Allows("alice", "own.1") {
		t.Fatal("without rules only the users of the config exist")
	}
	a.UseRules([]Rule{
		{Principal: "User:bob", Topic: "orders", Host: "*"},
		{Principal: "User:bob", Topic: "pay", Prefix: true, Host: "*"},
		{Principal: "User:bob", Topic: "pay.secret", Deny: true, Host: "10.0.0.1"},
		{Principal: "User:far", Topic: "orders", Host: "10.0.0.1"},
		{Principal: "User:all", Topic: "*", Host: "*"},
		{Principal: "User:all", Topic: "audit", Prefix: true, Deny: true, Host: "*"},
		{Principal: "User:star", Topic: "*", Prefix: true, Host: "*"},
		{Principal: "User:*", Topic: "public", Host: "*"},
		{Principal: "User:*", Topic: "closed", Deny: true, Host: "*"},
		{Principal: "User:bob", Topic: "closed", Host: "*"},
		{Principal: "Group:alice", Topic: "orders", Host: "*"},
	})
	for _, c := range []struct {
		user, topic string
		want        bool
	}{
		{"bob", "orders", true},
		{"bob", "orders2", false},
		{"bob", "order", false},
		{"bob", "pay", true},
		{"bob", "payments", true},
		{"bob", "pa", false},
		{"bob", "pay.secret", false}, // denied from one host: denied
		{"bob", "public", true},
		{"bob", "closed", false}, // a denial for everyone wins
		{"far", "orders", false}, // allowed from one host only: not allowed
		{"far", "public", true},
		{"all", "anything", true},
		{"all", "audit.log", false},
		{"star", "anything", false}, // a prefix * is the character
		{"star", "*x", true},
		{"alice", "own.1", true}, // her own
		{"alice", "orders", false},
		{"alice", "public", true},
		{"", "public", false}, // nobody is not everyone
		{"*", "orders", false},
	} {
		if got := a.Allows(c.user, c.topic); got != c.want {
			t.Errorf("%q, %q: %t", c.user, c.topic, got)
		}
	}
	if !a.Knows("bob") || !a.AllowsAny("bob") || !a.Knows("new") || a.Knows("") {
		t.Error("who is known")
	}
	a.UseRules(nil)
	if a.Allows("bob", "orders") || a.Knows("bob") || !a.Allows("alice", "own.1") {
		t.Error("rules that are gone still count")
	}
}
