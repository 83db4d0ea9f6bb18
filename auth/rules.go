package auth

// Rule is an access control entry of a Kafka cluster that says who may write to which topics, of operation WRITE or ALL
// (KIP-11, with the prefixes of KIP-290).
type Rule struct {
	Principal string `json:"principal"` // such as User:alice; User:* is everyone who logged in
	Topic     string `json:"topic"`     // * alone is every topic, unless Prefix is set
	Prefix    bool   `json:"prefix,omitempty"`
	Deny      bool   `json:"deny,omitempty"` // wins over whatever allows
	Host      string `json:"host"`           // * is everywhere
}

// anyone and everywhere are how Kafka writes "all" in a rule.
const (
	anyone     = "User:*"
	everywhere = "*"
)

// rules are what one look at a cluster's rules says, ready to be asked. They are read only.
type rules map[string]*granted

// granted is what the rules say of one principal.
type granted struct{ allow, deny topics }

// topics is a set of names and prefixes.
type topics struct {
	all      bool
	names    map[string]struct{}
	prefixes map[string]struct{}
	lengths  []int // of the prefixes, each once
}

func (t *topics) add(r *Rule) {
	switch {
	case r.Prefix:
		if t.prefixes == nil {
			t.prefixes = map[string]struct{}{}
		}
		if _, there := t.prefixes[r.Topic]; there {
			return
		}
		t.prefixes[r.Topic] = struct{}{}
		for _, n := range t.lengths {
			if n == len(r.Topic) {
				return
			}
		}
		t.lengths = append(t.lengths, len(r.Topic))
	case r.Topic == "*":
		t.all = true
	default:
		if t.names == nil {
			t.names = map[string]struct{}{}
		}
		t.names[r.Topic] = struct{}{}
	}
}

func (t *topics) has(topic string) bool {
	if t.all {
		return true
	}
	if _, ok := t.names[topic]; ok {
		return true
	}
	for _, n := range t.lengths {
		if n <= len(topic) {
			if _, ok := t.prefixes[topic[:n]]; ok {
				return true
			}
		}
	}
	return false
}

func (t *topics) empty() bool { return !t.all && len(t.names) == 0 && len(t.prefixes) == 0 }

// UseRules gives users, beside the topics of their own, what a Kafka cluster's rules let them write to, and replaces
// what an earlier call gave. The rules are read as Kafka's StandardAuthorizer reads them, with two differences, both of
// which let in less: a rule that allows from one host is left out, because the host that it means is not the one that
// Kafka will see; and one that denies for a host denies everywhere. Super users are not among the rules, so they are
// not known. It may be called at any time.
func (a *Authority) UseRules(list []Rule) {
	all := rules{}
	for i := range list {
		r := &list[i]
		if !r.Deny && r.Host != everywhere {
			continue
		}
		g := all[r.Principal]
		if g == nil {
			g = &granted{}
			all[r.Principal] = g
		}
		if r.Deny {
			g.deny.add(r)
		} else {
			g.allow.add(r)
		}
	}
	a.rules.Store(&all)
}

// of returns what is said of a user: in its own name and in that of everyone. Both may be nil.
func (r *rules) of(user string) [2]*granted {
	if r == nil || user == "" {
		return [2]*granted{}
	}
	return [2]*granted{(*r)["User:"+user], (*r)[anyone]}
}

func (r *rules) allows(user, topic string) (allowed bool) {
	for _, g := range r.of(user) {
		if g == nil {
			continue
		}
		if g.deny.has(topic) {
			return false
		}
		allowed = allowed || g.allow.has(topic)
	}
	return allowed
}

// knows reports whether any topic may be allowed to the user.
func (r *rules) knows(user string) bool {
	for _, g := range r.of(user) {
		if g != nil && !g.allow.empty() {
			return true
		}
	}
	return false
}
