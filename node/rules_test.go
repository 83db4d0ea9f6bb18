package node

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/streamdown/streamdown/auth"
	"github.com/streamdown/streamdown/connect/kafka"
)

// keeper is a ruleKeeper whose Kafka answers what answer says.
type keeper struct {
	*ruleKeeper
	answer func() ([]auth.Rule, error)
	used   []auth.Rule
	times  int
	log    bytes.Buffer
}

func newKeeper(dir, system string) *keeper {
	k := &keeper{}
	k.ruleKeeper = newRuleKeeper(system, dir, func(context.Context) ([]auth.Rule, error) { return k.answer() }, func(list []auth.Rule) {
		k.used = list
		k.times++
	}, slog.New(slog.NewTextHandler(&k.log, nil)))
	return k
}

func TestRulesHoldThroughOutagesAndRestarts(t *testing.T) {
	dir := t.TempDir()
	a := auth.Rule{Principal: "User:a", Topic: "t", Host: "*"}
	b := auth.Rule{Principal: "User:b", Topic: "t", Host: "*", Deny: true}
	away := errors.New("kafka is away")

	k := newKeeper(dir, "primary")
	if k.times != 0 {
		t.Fatal("rules out of nothing")
	}
	k.answer = func() ([]auth.Rule, error) { return nil, away }
	first, second := k.refresh(t.Context()), k.refresh(t.Context())
	if first || second || k.times != 0 || strings.Count(k.log.String(), "cannot be read") != 1 {
		t.Fatalf("without an answer: %d, %s", k.times, k.log.String())
	}
	k.answer = func() ([]auth.Rule, error) { return []auth.Rule{b, a}, nil }
	if !k.refresh(t.Context()) || k.times != 1 {
		t.Fatal(k.log.String())
	}
	k.answer = func() ([]auth.Rule, error) { return []auth.Rule{a, b}, nil } // in another order
	if !k.refresh(t.Context()) || k.times != 1 {
		t.Error("the same rules are no change")
	}
	k.answer = func() ([]auth.Rule, error) { return nil, away }
	k.refresh(t.Context())
	if !slices.Equal(k.used, []auth.Rule{a, b}) {
		t.Errorf("in the outage: %v", k.used)
	}

	if k = newKeeper(dir, "primary"); !slices.Equal(k.used, []auth.Rule{a, b}) {
		t.Errorf("after a restart: %v, %s", k.used, k.log.String())
	}
	k.answer = func() ([]auth.Rule, error) { return nil, nil } // the last one was taken away
	if !k.refresh(t.Context()) || k.times != 2 || len(k.used) != 0 {
		t.Errorf("%v", k.used)
	}
	if k = newKeeper(dir, "primary"); len(k.used) != 0 {
		t.Errorf("what was taken away is back: %v", k.used)
	}
}

// TestKeptRulesThatCannotBeTrustedGiveNothing: unknown is deny.
func TestKeptRulesThatCannotBeTrustedGiveNothing(t *testing.T) {
	for name, text := range map[string]string{
		"cut off":        `{"schema_version":1,"system":"primary","rules":[{"principal":"User:a","topic":"*"`,
		"empty":          ``,
		"newer":          `{"schema_version":2,"system":"primary","rules":[{"principal":"User:a","topic":"*","host":"*"}]}`,
		"another system": `{"schema_version":1,"system":"other","rules":[{"principal":"User:a","topic":"*","host":"*"}]}`,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, rulesFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		k := newKeeper(dir, "primary")
		if k.times != 0 || !strings.Contains(k.log.String(), "give no rights") {
			t.Errorf("%s: %v, %s", name, k.used, k.log.String())
		}
		k.answer = func() ([]auth.Rule, error) { return []auth.Rule{{Principal: "User:b", Topic: "t", Host: "*"}}, nil }
		if !k.refresh(t.Context()) || len(k.used) != 1 || k.used[0].Principal != "User:b" {
			t.Errorf("%s: then %v", name, k.used)
		}
	}
}

func TestWhatToTryWhenRulesCannotBeRead(t *testing.T) {
	for want, err := range map[string]error{
		"leave auth.acls out":  kafka.ErrNoAuthorizer,
		"--operation Describe": &kafka.ReplyError{Code: 31},
		"streamdown status":    errors.New("no route"),
	} {
		k := newKeeper(t.TempDir(), "primary")
		k.answer = func() ([]auth.Rule, error) { return nil, err }
		k.refresh(t.Context())
		if !strings.Contains(k.log.String(), want) {
			t.Errorf("%v: %s", err, k.log.String())
		}
	}
}
