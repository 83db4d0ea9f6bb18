package compat

import (
	"fmt"
	"strings"
)

// What each cell sends.
const (
	Partitions = 2
	Records    = 40 // per partition
)

// Codecs are Kafka's, by the number that a batch has.
var Codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// Security is one way in.
type Security struct {
	Name      string // in the table
	Protocol  string
	Mechanism string // empty = no login
}

// Securities are all ways in, in the order of the table's columns.
var Securities = []Security{
	{"plain", "PLAINTEXT", ""},
	{"TLS", "SSL", ""},
	{"PLAIN", "SASL_PLAINTEXT", "PLAIN"},
	{"SCRAM-SHA-256", "SASL_PLAINTEXT", "SCRAM-SHA-256"},
	{"TLS, PLAIN", "SASL_SSL", "PLAIN"},
	{"TLS, SCRAM-SHA-512", "SASL_SSL", "SCRAM-SHA-512"},
	{"TLS, OAUTHBEARER", "SASL_SSL", "OAUTHBEARER"},
}

// Cell is one way to send.
type Cell struct {
	Security   Security
	Codec      int // of Codecs
	Idempotent bool
	Outage     bool // Kafka is away for the second half of the records
}

func (c Cell) String() string {
	s := fmt.Sprintf("%s, %s", c.Security.Name, Codecs[c.Codec])
	if c.Idempotent {
		s += ", idempotent"
	}
	if c.Outage {
		s += ", Kafka away"
	}
	return s
}

// line is the cell as a client is told it.
func (c Cell) line(d *Doors, topic string) string {
	var b strings.Builder
	put := func(key string, value any) { fmt.Fprintf(&b, "%s=%v\t", key, value) }
	put("bootstrap", d.addr(c.Security.Protocol))
	put("topic", topic)
	put("partitions", Partitions)
	put("records", Records)
	put("codec", Codecs[c.Codec])
	put("idempotent", c.Idempotent)
	put("outage", c.Outage)
	put("protocol", c.Security.Protocol)
	put("mechanism", c.Security.Mechanism)
	put("user", user)
	put("password", password)
	put("token", d.token)
	return b.String() + "ca=" + d.ca + "\n"
}

// All is every cell without an outage.
func All() (cells []Cell) {
	for _, s := range Securities {
		for codec := range Codecs {
			cells = append(cells, Cell{Security: s, Codec: codec}, Cell{Security: s, Codec: codec, Idempotent: true})
		}
	}
	return cells
}

// Some has every way in, every codec and both kinds of producers, but not every combination.
func Some() (cells []Cell) {
	for i, s := range Securities {
		cells = append(cells, Cell{Security: s, Codec: i % len(Codecs), Idempotent: i%2 == 0}, Cell{Security: s, Codec: (i + 2) % len(Codecs), Idempotent: i%2 != 0})
	}
	return cells
}

// Verdict says how a cell ended.
type Verdict int

const (
	// Passed: every record was acked and arrived once, in order and as it was sent.
	Passed Verdict = iota
	// Failed: something was not so.
	Failed
	// Lacks: the client has no such thing.
	Lacks
)

// Outcome is a cell and how it ended.
type Outcome struct {
	Cell
	Verdict Verdict
	Why     string // unless it passed
}
