package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync/atomic"

	"github.com/streamdown/streamdown"
)

// table is the users of one config, ready to be asked. It is not changed but for what is remembered of good passwords.
type table struct {
	mechanisms []Mechanism
	basic      bool // passwords are taken over HTTP
	users      map[string]*account
	mapping    Mapping
	oauth      *tokens // nil = tokens are not believed

	// key is drawn from all secrets of the users, so that nobody else knows it and a restart does not change it: what
	// is made up for names that do not exist has to stay the same as long as the users do.
	key [sha256.Size]byte
	// iterations are those that the users' verifiers have: what is made up has one of them.
	iterations map[Mechanism][]int
	// work is the most costly verifier that PLAIN and Basic may need: every failed login of theirs costs so much.
	work Verifier
}

// account is one user.
type account struct {
	name      string
	role      Role
	topics    []streamdown.Glob
	password  [sha256.Size]byte // of the password, under the table's key
	has       bool              // there is a password
	verifiers map[Mechanism]Verifier
	// good is the last password that fitted a verifier, under the table's key: a good login is cheap from then on.
	good atomic.Pointer[[sha256.Size]byte]
}

func (a *Authority) newTable(c *Config) (*table, error) {
	t := &table{
		basic: c.Basic, users: make(map[string]*account, len(c.Users)), mapping: c.Certificates, iterations: map[Mechanism][]int{},
	}
	for _, m := range SASL {
		if slices.Contains(c.Mechanisms, m) {
			t.mechanisms = append(t.mechanisms, m)
		}
	}
	t.key = keyOf(c.Users)
	for i := range c.Users {
		u := &c.Users[i]
		acc := &account{name: u.Name, role: u.Role, topics: slices.Clone(u.Topics), verifiers: map[Mechanism]Verifier{}}
		if !u.Password.IsZero() {
			acc.password, acc.has = t.under("password", u.Password.Reveal()), true
		}
		for _, v := range u.SCRAM {
			acc.verifiers[v.Mechanism] = v
			if !acc.has && v.cost() > t.work.cost() {
				t.work = v
			}
		}
		for _, m := range []Mechanism{SCRAM256, SCRAM512} {
			if _, there := acc.verifiers[m]; !there && acc.has && slices.Contains(t.mechanisms, m) {
				salt := t.under("salt "+string(m), u.Name)
				acc.verifiers[m] = derive(m, u.Password.Reveal(), salt[:saltSize], MinIterations)
			}
			if v, there := acc.verifiers[m]; there && !slices.Contains(t.iterations[m], v.Iterations) {
				t.iterations[m] = append(t.iterations[m], v.Iterations)
			}
		}
		t.users[u.Name] = acc
	}
	if !slices.Contains(t.mechanisms, Plain) && !t.basic {
		t.work = Verifier{}
	}
	if c.OAuth != nil {
		var before *tokens
		if old := a.table.Load(); old != nil {
			before = old.oauth
		}
		var err error
		if t.oauth, err = newTokens(*c.OAuth, before, a); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// keyOf hashes all that is secret about the users.
func keyOf(users []User) [sha256.Size]byte {
	h := sha256.New()
	var n [8]byte
	add := func(b []byte) {
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	for i := range users {
		add([]byte(users[i].Password.Reveal()))
		for _, v := range users[i].SCRAM {
			add(v.storedKey)
			add(v.serverKey)
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// under is what text becomes with the table's key, for one purpose.
func (t *table) under(purpose, text string) [sha256.Size]byte {
	m := hmac.New(sha256.New, t.key[:])
	m.Write([]byte(purpose))
	m.Write([]byte{0})
	m.Write([]byte(text))
	return [sha256.Size]byte(m.Sum(nil))
}

// verifier returns the user's verifier for the mechanism. For a name that has none it makes one up that no password
// fits, always the same for the same name, and returns false.
func (t *table) verifier(name string, m Mechanism) (Verifier, bool) {
	made := t.under("salt "+string(m), name)
	its := MinIterations
	if list := t.iterations[m]; len(list) > 0 {
		its = list[int(binary.BigEndian.Uint32(made[28:])%uint32(len(list)))]
	}
	v := Verifier{m, its, &verifierKeys{salt: made[:saltSize], storedKey: make([]byte, m.hashSize()), serverKey: make([]byte, m.hashSize())}}
	key := t.under("stored key", name)
	copy(v.storedKey, key[:])
	if u := t.users[name]; u != nil {
		if own, ok := u.verifiers[m]; ok {
			return own, true
		}
	}
	return v, false
}
