package auth

import "fmt"

// Role is what a user may do with the process itself, beside writing to topics. Each role may what those before it may.
type Role uint8

// The roles.
const (
	NoRole   Role = iota // nothing: a producer
	Viewer               // see how it stands
	Operator             // hold and resume, and the like: what can be undone
	Admin                // everything
)

var roleNames = [...]string{"none", "viewer", "operator", "admin"}

// String names the role as the config does.
func (r Role) String() string {
	if int(r) < len(roleNames) {
		return roleNames[r]
	}
	return fmt.Sprintf("role %d", uint8(r))
}

// RoleNames are the names of all roles, least first.
func RoleNames() []string { return roleNames[:] }

// ParseRole reads a role's name.
func ParseRole(name string) (Role, error) {
	for i, n := range roleNames {
		if n == name {
			return Role(i), nil //nolint:gosec // there are four
		}
	}
	return NoRole, fmt.Errorf("%q is no role: want one of %v", name, roleNames)
}

// RoleOf returns the role of a user as it is now; NoRole for one that does not exist.
func (a *Authority) RoleOf(user string) Role {
	if u := a.table.Load().users[user]; u != nil {
		return u.role
	}
	return NoRole
}
