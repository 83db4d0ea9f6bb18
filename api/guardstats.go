package api

import (
	"cmp"
	"maps"
	"slices"
	"sync"
)

// guardCounters count who asked. All labels are ours or names of the config.
type guardCounters struct {
	mu      sync.Mutex // guards the following
	logins  map[Login]uint64
	users   map[string]uint64
	changes map[change]uint64
}

type change struct{ route, user, result string }

func (c *guardCounters) login(mechanism, outcome string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.logins == nil {
		c.logins = map[Login]uint64{}
	}
	c.logins[Login{Mechanism: mechanism, Outcome: outcome}]++
}

// user counts a request. Counters must not fall, so the first maxUsers keep their names.
func (c *guardCounters) user(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users == nil {
		c.users = map[string]uint64{}
	}
	if _, there := c.users[name]; !there && len(c.users) >= maxUsers {
		name = otherTopics
	}
	c.users[name]++
}

func (c *guardCounters) change(one change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes == nil {
		c.changes = map[change]uint64{}
	}
	if _, there := c.changes[one]; !there && len(c.changes) >= 10*maxUsers {
		one.user = otherTopics
	}
	c.changes[one]++
}

// Fill puts what was counted into a status.
func (g *Guard) Fill(h *HTTP) {
	c := &g.stats
	c.mu.Lock()
	defer c.mu.Unlock()
	h.Users = maps.Clone(c.users)
	h.Logins, h.Changes = []Login{}, []Change{}
	for l, n := range c.logins {
		l.Count = n
		h.Logins = append(h.Logins, l)
	}
	slices.SortFunc(h.Logins, func(a, b Login) int {
		return cmp.Or(cmp.Compare(a.Mechanism, b.Mechanism), cmp.Compare(a.Outcome, b.Outcome))
	})
	for one, n := range c.changes {
		h.Changes = append(h.Changes, Change{Route: one.route, User: one.user, Result: one.result, Count: n})
	}
	slices.SortFunc(h.Changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Route, b.Route), cmp.Compare(a.User, b.User), cmp.Compare(a.Result, b.Result))
	})
}
