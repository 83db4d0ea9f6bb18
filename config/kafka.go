package config

import (
	"cmp"
	"errors"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/streamdown/streamdown/connect/kafka/credentials"
)

// propertiesKey is the one key that is ours and not Kafka's.
const propertiesKey = "properties_file"

// kafkaKeys are what may stand under systems.NAME.kafka and does something.
var kafkaKeys = append(credentials.Names(), propertiesKey)

// kafka reads how a cluster is reached. The keys of a properties file are treated as if they stood in the YAML; where
// both have one, the YAML's counts.
func (d *decoder) kafka(v *value) Kafka {
	k := Kafka{}
	f := make(fields)
	if v.kind != mapping && v.kind != nothing && !v.broken {
		d.wrong(v, "want a mapping, not %s", v.kind)
	}
	for _, e := range v.entries {
		if d.kafkaKey(v, e, false) {
			f[e.key] = e.value
		}
	}
	k.Security.Dir = filepath.Dir(cmp.Or(v.file, d.file))
	if p := d.text(f[propertiesKey], ""); p != "" {
		k.PropertiesFile = p
		if k.Security.File = p; !filepath.IsAbs(p) {
			k.Security.File = filepath.Join(k.Security.Dir, p)
		}
		d.properties(v, f, &k)
	}
	bootstrap := f["bootstrap.servers"]
	if alias := f["metadata.broker.list"]; alias != nil {
		if bootstrap != nil {
			d.warn(alias, "says what bootstrap.servers says, which counts")
		} else {
			bootstrap = alias
		}
	}
	k.Bootstrap = d.bootstrap(v, bootstrap)
	k.ClientID = d.text(f["client.id"], "streamdown")
	k.RequestTimeout = d.millis(f["request.timeout.ms"], 30*time.Second)
	d.security(v, f, &k)
	return k
}

// kafkaKey says what is wrong with a key, and reports whether its value is to be read.
func (d *decoder) kafkaKey(kafka *value, e entry, fromFile bool) bool {
	path := join(kafka.path, e.key)
	if e.key == propertiesKey && !fromFile {
		return true
	}
	switch use, why := credentials.Key(e.key); use {
	case credentials.Credential, credentials.Connection:
		return true
	case credentials.Ignored:
		d.foundIn(e.value.file, Note, e.line, e.column, path, "%s", why)
	case credentials.Refused:
		if e.value.kind != nothing && (e.value.kind != text || e.value.text != "") {
			d.foundIn(e.value.file, Error, e.line, e.column, path, "%s", why)
		}
	default:
		if fromFile && !likeKey.MatchString(e.key) { // a value may have slipped into its place, from the line before
			d.foundIn(e.value.file, Error, e.line, e.column, kafka.path, "a line begins here that has no key of Kafka's; does the line before lack a backslash at its end?")
			return false
		}
		f := d.foundIn(e.value.file, Error, e.line, e.column, path, "unknown key")
		if f.Meant = nearest(e.key, kafkaKeys); f.Meant == "" {
			f.Text += "; the keys are those of Kafka's clients, Java's and librdkafka's, see docs/kafka-security.md"
		}
	}
	return false
}

// likeKey matches what looks like a key of Kafka's.
var likeKey = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z0-9_]+)+$`)

// properties adds the entries of a properties file that the YAML does not have.
func (d *decoder) properties(kafka *value, f fields, k *Kafka) {
	file := k.Security.File
	d.files = append(d.files, file)
	src, err := credentials.ReadFile(file)
	if err != nil {
		d.wrong(f[propertiesKey], "%v", err)
		return
	}
	entries, err := credentials.ParseProperties(src)
	for _, err := range unjoin(err) {
		var at *credentials.PropertyError
		if errors.As(err, &at) {
			d.foundIn(file, Error, at.Line, at.Column, kafka.path, "%v", at.Err)
			f[propertiesKey].broken = true
		}
	}
	last := make(map[string]int)
	for i, p := range entries {
		if first, again := last[p.Key]; again {
			d.foundIn(file, Warning, entries[first].Line, entries[first].Column, join(kafka.path, p.Key), "comes again in line %d, and that one counts", p.Line)
		}
		last[p.Key] = i
	}
	for i, p := range entries {
		if last[p.Key] != i {
			continue
		}
		v := &value{
			path: join(kafka.path, p.Key), file: file, property: true, line: p.Line, column: p.Column, kind: text, text: strings.TrimSpace(p.Value.Reveal()),
			secret: secretive(p.Key),
		}
		if !d.kafkaKey(kafka, entry{key: p.Key, line: p.Line, column: p.Column, value: v}, true) {
			continue
		}
		if p.Latin {
			d.warn(v, `has a character outside ASCII, and such files are read as ISO 8859-1, as Java does; write it as \uXXXX`)
		}
		if own := f[p.Key]; own != nil {
			d.foundIn(file, Note, p.Line, p.Column, v.path, "has no effect: %s says it too, in line %d, and that counts", filepath.Base(d.file), own.line)
			continue
		}
		v.key = kafka.key.child(p.Key)
		d.hide(v)
		f[p.Key] = v
	}
}

func unjoin(err error) []error {
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		return list.Unwrap()
	}
	return nil
}

// security takes what says how to log in and has it checked.
func (d *decoder) security(kafka *value, f fields, k *Kafka) {
	broken := false // then what is missing may only be hidden
	for _, key := range sorted(f) {
		v := f[key]
		if key == propertiesKey {
			broken = broken || v.broken
		}
		if use, _ := credentials.Key(key); use != credentials.Credential {
			if v.property {
				k.fromFile = append(k.fromFile, key)
			}
			continue
		}
		broken = broken || v.broken
		switch {
		case v.broken:
		case v.property:
			k.fromFile = append(k.fromFile, key)
		case v.kind == mapping || v.kind == list:
			d.wrong(v, "want text, not %s", v.kind)
			broken = true
		default:
			k.Security.Own = append(k.Security.Own, credentials.Setting{Key: key, Value: v.source})
		}
	}
	if f["security.protocol"] == nil && k.Security.File == "" {
		k.Security.Own = append(k.Security.Own, credentials.Setting{Key: "security.protocol", Value: credentials.Text("PLAINTEXT")})
	}
	if broken || kafka.broken {
		return
	}
	for _, p := range k.Security.Check() {
		severity := Error
		if p.Warning {
			severity = Warning
		}
		at, meant := f[p.Key], ""
		if at == nil {
			at = f["security.protocol"]
		}
		if at == nil {
			at = kafka
		}
		if severity == Error && at == f[p.Key] && !at.secret {
			meant = nearest(at.text, credentials.Choices(p.Key))
		}
		d.foundIn(at.file, severity, at.line, at.column, join(kafka.path, p.Key), "%s", p.Text).Meant = meant
	}
}

func sorted(f fields) []string {
	keys := make([]string, 0, len(f))
	for key := range f {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func (d *decoder) bootstrap(kafka, v *value) []string {
	if v == nil && !kafka.broken && (kafka.kind == mapping || kafka.kind == nothing) {
		d.foundIn(kafka.file, Error, kafka.line, kafka.column, join(kafka.path, "bootstrap.servers"), "is missing; write \"host:9092,host:9092\"")
	}
	if v == nil || v.broken {
		return nil
	}
	if v.kind == list {
		d.wrong(v, "want text, as Kafka has it: \"host:9092,host:9092\"")
		return nil
	}
	var servers []string
	broken := false
	for server := range strings.SplitSeq(d.text(v, ""), ",") {
		broken, v.broken = broken || v.broken, false // each server may be wrong in its own way
		server = strings.TrimSpace(server)
		if server == "" {
			if len(v.text) > 0 {
				d.wrong(v, "has an empty place between commas")
			}
			continue
		}
		if slices.Contains(servers, server) {
			d.warn(v, "names a server twice")
			continue
		}
		d.hostPort(v, server, false)
		servers = append(servers, server)
	}
	v.broken = broken || v.broken
	return servers
}

// millis reads Kafka's kind of duration: a plain number of milliseconds.
func (d *decoder) millis(v *value, fallback time.Duration) time.Duration {
	if !d.isScalar(v, "a number of milliseconds") {
		return fallback
	}
	n, err := strconv.ParseInt(v.text, 10, 64)
	if err != nil || n < 100 || n > 3_600_000 {
		d.wrong(v, "%s is not a number of milliseconds between 100 and 3600000", v.said())
		return fallback
	}
	return time.Duration(n) * time.Millisecond
}
