package config

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// redacted stands for what must not be shown.
const redacted = `"<redacted>"`

// Show returns the config as YAML with every default written out and every reference filled in. What came from a file,
// or from a variable or key that sounds like a secret, is shown as "<redacted>". Without those, parsing it gives the
// same Config.
func (c *Config) Show() []byte {
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	q := func(path, s string) string {
		if c.secrets[path] {
			return redacted
		}
		return quote(s)
	}
	plain := func(path, s string) string {
		if c.secrets[path] {
			return redacted
		}
		return s
	}
	line("version: 1")
	line("listen:")
	line("  kafka:")
	line("    address: %s", q("listen.kafka.address", c.Listen.Kafka.Address))
	if c.Listen.Kafka.Advertise != "" {
		line("    advertise: %s", q(c.advertisePath(), c.Listen.Kafka.Advertise))
	}
	c.showClasses(line, q)
	c.showKafkaListener(line, q)
	line("  http:")
	line("    address: %s", q("listen.http.address", c.Listen.HTTP.Address))
	line("    max_body: %s", plain("listen.http.max_body", c.Listen.HTTP.MaxBody.String()))
	c.showHTTPListener(line, q)
	c.showAuth(line, q)
	line("data:")
	line("  dir: %s", q("data.dir", c.Data.Dir))
	line("  max_size: %s", plain("data.max_size", c.Data.MaxSize.String()))
	if c.Data.Refuge != "" {
		line("  refuge: %s", q("data.refuge", c.Data.Refuge))
	}
	line("  ledger:")
	line("    keep: %s", plain("data.ledger.keep", formatDuration(c.Data.Ledger.Keep)))
	line("    max_size: %s", plain("data.ledger.max_size", c.Data.Ledger.MaxSize.String()))
	line("  scrub: %s", plain("data.scrub", c.Data.Scrub.String()))
	line("log:")
	line("  level: %s", plain("log.level", levelName(c.Log.Level)))
	line("systems:")
	for _, s := range c.Systems {
		path := "systems." + s.Name + ".kafka."
		line("  %s:", quote(s.Name))
		line("    kafka:")
		s.Kafka.show(func(key, text string) {
			show := q
			if key == "request.timeout.ms" {
				show = plain
			}
			line("      %s: %s", key, show(path+key, text))
		}, func(key, text string) {
			if c.secrets[path+key] {
				text = redacted
			}
			line("      # %s: %s (from properties_file)", key, printable(text))
		})
	}
	line("streams:")
	for i, s := range c.Streams {
		path := fmt.Sprintf("streams[%d].", i)
		topics := make([]string, len(s.Topics))
		for j := range s.Topics {
			topics[j] = q(fmt.Sprintf("%stopics[%d]", path, j), s.Topics[j])
		}
		line("  - name: %s", q(path+"name", s.Name))
		line("    topics: [%s]", strings.Join(topics, ", "))
		line("    to: %s", q(path+"to", s.To))
		line("    priority: %s", plain(path+"priority", string(s.Priority)))
		line("    acks: %s", plain(path+"acks", string(s.Acks)))
		if s.Acks == AcksRemote {
			line("    ack_patience: %s", plain(path+"ack_patience", formatDuration(s.AckPatience)))
			line("    when_isolated: %s", plain(path+"when_isolated", string(s.WhenIsolated)))
		}
		line("    retain: %s", plain(path+"retain", formatDuration(s.Retain)))
	}
	return b.Bytes()
}

// advertisePath is where the advertised address came from: it may be that of the address itself.
func (c *Config) advertisePath() string {
	if c.Listen.Kafka.Advertise == c.Listen.Kafka.Address && c.secrets["listen.kafka.address"] {
		return "listen.kafka.address"
	}
	return "listen.kafka.advertise"
}

// unquoted are texts that YAML reads as themselves and that no reader takes for something else.
var unquoted = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9/._-]*(:[0-9]+)?$`)

var notText = regexp.MustCompile(`^(?i:y|n|yes|no|on|off|true|false|null|nan|inf)$`)

// quote returns s as a YAML scalar that is read as the same text again.
func quote(s string) string {
	s = strings.ReplaceAll(s, "$", "$$")
	if unquoted.MatchString(s) && !notText.MatchString(s) {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r < ' ' || r >= 0x7f && r <= 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
