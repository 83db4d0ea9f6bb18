package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/streamdown/streamdown/auth"
	"github.com/streamdown/streamdown/connect/kafka/credentials"
)

// Config is the whole file, with defaults filled in and nothing left to check. Do not change it: the gateway and the
// forwarder read it at the same time.
type Config struct {
	Listen  Listen
	Auth    auth.Config // its Mechanisms are those of Listen.Kafka.SASL
	ACLs    string      // the system whose ACLs give rights too; empty = none
	Data    Data
	Log     Log
	Systems []System // in the order of the file
	Streams []Stream // in the order of the file: the first that matches a topic takes it

	secrets map[string]bool        // paths of values that must not be shown
	prints  map[string]fingerprint // of these, to compare
	files   []string               // that were read beside the config itself, or looked for
}

// Listen says where clients reach us.
type Listen struct {
	Kafka KafkaListener
	HTTP  HTTPListener
}

// KafkaListener is the port that producers use.
type KafkaListener struct {
	Address   string  // host:port to bind; loopback, unless everyone has to show who it is; default 127.0.0.1:19092; port 0 = any free one
	Advertise string  // host:port that clients are told; default Address; port 0 = the one that was bound; empty = what each came in by
	Classes   []Class // the priorities that streams have, the highest first, which is at Address; never empty
	TLS       *TLS    // nil = connections are not encrypted
	SASL      KafkaSASL

	MaxConnections           int // open at a time; default 10,000
	MaxConnectionsPerAddress int // of one address; default half of MaxConnections
}

// HTTPListener is the port of the API, metrics and health.
type HTTPListener struct {
	Address string // host:port to bind; loopback, unless requests have to show who they come from; default 127.0.0.1:8790; port 0 = any free one
	MaxBody Size   // of one request with records, before and after inflating; default 8 MiB
	TLS     *TLS   // nil = connections are not encrypted

	Login               bool // requests have to show who they come from; default if there are users
	OpenMetrics         bool // but for /metrics
	PasswordsInTheClear bool // passwords and tokens may cross a network that anybody can read
}

// Data says where the log lives.
type Data struct {
	Dir     string // required: the log's directory, one per process
	MaxSize Size   // what the log may take; default 10 GiB
	Refuge  string // a directory on another disk for when Dir cannot be written; empty = none
	Ledger  Ledger // what is kept of each batch when the log has released it
	Scrub   Rate   // how fast sealed segments are read again to find rot; default 8 MiB/s
}

// Ledger says how long it is remembered what every batch was, to prove what became of it.
type Ledger struct {
	Keep    time.Duration // default 90 days
	MaxSize Size          // default 1 GiB
}

// System is one place that streams can go to.
type System struct {
	Name  string
	Kafka Kafka
}

// Kafka is how a Kafka cluster is reached. The keys in the file are Kafka's own.
type Kafka struct {
	Bootstrap      []string             // bootstrap.servers: host:port, required
	ClientID       string               // client.id; default "streamdown"
	RequestTimeout time.Duration        // request.timeout.ms; default 30 s
	PropertiesFile string               // properties_file: a client.properties with more keys, as it stands in the config
	Security       credentials.Settings // how to log in; default PLAINTEXT

	fromFile []string // keys that the properties file has, and the config has not
}

// Acks says what a producer's ack means.
type Acks string

// The levels of Acks.
const (
	AcksRemote Acks = "remote" // on this disk and at the target; only on this disk while the target is away
	AcksWAL    Acks = "wal"    // on this disk
)

// WhenIsolated says what happens to new records of a stream with AcksRemote while its target is away.
type WhenIsolated string

// The choices of WhenIsolated.
const (
	Accept WhenIsolated = "accept" // ack from the log and count the record as only on this disk
	Reject WhenIsolated = "reject" // refuse, so that the producer keeps it
)

// Stream is the policy of a group of topics.
type Stream struct {
	Name         string
	Topics       []string      // globs: * is any run of characters, ? is one
	To           string        // name of a System; may be left out when there is just one
	Acks         Acks          // default AcksRemote
	AckPatience  time.Duration // longest wait for the target before the log alone acks; default 1.5 s
	WhenIsolated WhenIsolated  // default Accept
	Priority     Priority      // default Normal
	Retain       time.Duration // payload is kept so long after it is confirmed, if there is room; default 1 h
}

// System returns the system of that name.
func (c *Config) System(name string) (*System, bool) {
	for i := range c.Systems {
		if c.Systems[i].Name == name {
			return &c.Systems[i], true
		}
	}
	return nil, false
}

// Match returns the first stream that takes the topic. Internal topics, whose names begin with two underscores, are
// taken only by a glob that begins with them too.
func (c *Config) Match(topic string) (*Stream, bool) {
	for i := range c.Streams {
		for _, glob := range c.Streams[i].Topics {
			if matches(glob, topic) {
				return &c.Streams[i], true
			}
		}
	}
	return nil, false
}

// maxSourceSize bounds a config file, and a file that a value refers to.
const maxSourceSize = 1 << 20

// Load reads and checks the file at path. The Config is nil exactly if the findings hold an error.
func Load(path string) (*Config, Findings) {
	src, err := readFile(path)
	if err != nil {
		return nil, Findings{{File: path, Text: err.Error() + "; name another file with -c, or write one with: streamdown init"}}
	}
	return Parse(path, src, os.LookupEnv)
}

// Parse checks the content of the file called name. env looks up environment variables; nil means that none is set.
// Files that values refer to are read. The Config is nil exactly if the findings hold an error.
func Parse(name string, src []byte, env func(string) (string, bool)) (*Config, Findings) {
	if env == nil {
		env = func(string) (string, bool) { return "", false }
	}
	d := &decoder{file: name, env: env, secrets: make(map[string]bool), prints: make(map[string]fingerprint)}
	root := d.read(src)
	var c *Config
	if root != nil {
		d.include(root, len(src))
		bind(root, declared)
		d.hide(root)
		c = d.config(root)
		d.relate(c, root)
	}
	d.findings.settle(name)
	d.findings = d.findings.bounded()
	if d.findings.Err() != nil {
		return nil, d.findings
	}
	c.secrets, c.prints, c.files = d.secrets, d.prints, d.files
	return c, d.findings
}

// readFile reads a regular file of bounded size: a pipe or a device could keep us for ever. Its errors do not name the
// file.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, bare(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, bare(err)
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxSourceSize+1))
	if err != nil {
		return nil, bare(err)
	}
	if len(src) > maxSourceSize {
		return nil, errors.New("larger than 1 MiB")
	}
	return src, nil
}

// bare takes the operation and the path off an error: a finding names them in its own words.
func bare(err error) error {
	if at := (*fs.PathError)(nil); errors.As(err, &at) {
		return at.Err
	}
	return err
}
