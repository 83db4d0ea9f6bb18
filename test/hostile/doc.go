// Package hostile is a table of what nobody means well with: frames, requests, record batches, logins and TLS handshakes
// that are broken on purpose, each with a name, each made by a rule that one can read.
//
// Its test throws all of them at the real streamdown while healthy clients go on beside them. The fuzz targets of the
// packages that read them take them as seeds, so that each is held to the budget of package test/budget. What belongs to
// one package alone is in its own tests: HTTP bodies in httpin, configurations in config. docs/hostile-input.md has the
// numbers.
//
// Stability: may change.
package hostile

import (
	"flag"
	"fmt"
	"sync"
)

// A Door is a port of streamdown and what a peer is on it.
type Door int

const (
	// Plain is a port without TLS and login.
	Plain Door = iota
	// Stranger is a port with a login, to somebody who has not logged in.
	Stranger
	// Encrypted is a port with TLS, to somebody who has not shaken hands.
	Encrypted
	// Inside is the same, after the handshake.
	Inside
	// Mutual is a port that wants a certificate.
	Mutual
)

func (d Door) String() string {
	return [...]string{"plain", "login", "TLS", "inside TLS", "certificates"}[d]
}

// Item is one hostile thing to send.
type Item struct {
	Kind string
	Name string // unique among its kind and door
	Door Door
	Data []byte
	// Waits says that it ends in the middle of something, so that the other side has to wait for the rest, as long as its
	// time limits allow.
	Waits bool
	// Records says that it is a good request with bad records: it is to be answered, with an error.
	Records bool
}

func (i Item) String() string { return fmt.Sprintf("%s, %s, %s", i.Kind, i.Door, i.Name) }

// All is the whole table, to be read only. What two rules make alike is in it once.
func All() []Item { return table() }

// table is made once: bombs cost those who make them.
var table = sync.OnceValue(func() []Item {
	var all []Item
	type same struct {
		door Door
		data string
	}
	seen := map[same]bool{}
	for _, items := range [][]Item{Protocols(), Frames(), Headers(), Requests(), Cut(), Batches(), Logins(), Handshakes()} {
		for _, i := range items {
			if key := (same{i.Door, string(i.Data)}); !seen[key] {
				seen[key] = true
				all = append(all, i)
			}
		}
	}
	return all
})

// Seeds are the items of a door for a fuzz target: all of them in a plain run, and a tenth while the engine fuzzes, which
// measures each before it begins.
func Seeds(door Door) []Item {
	each := 1
	if f := flag.Lookup("test.fuzz"); f != nil && f.Value.String() != "" {
		each = 10
	}
	var items []Item
	n := 0
	for _, i := range All() {
		if i.Door != door {
			continue
		}
		if n++; n%each == 0 {
			items = append(items, i)
		}
	}
	return items
}
