package config

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/streamdown/streamdown/connect/kafka/credentials"
)

// show tells every key with its value: own gets those that stand in the config or have their default, other those of
// the properties file.
func (k *Kafka) show(own, other func(key, text string)) {
	for _, c := range []struct{ key, text string }{
		{"bootstrap.servers", strings.Join(k.Bootstrap, ",")},
		{"client.id", k.ClientID},
		{"request.timeout.ms", strconv.FormatInt(int64(k.RequestTimeout/time.Millisecond), 10)},
	} {
		if !slices.Contains(k.fromFile, c.key) && (c.key != "bootstrap.servers" || !slices.Contains(k.fromFile, "metadata.broker.list")) {
			own(c.key, c.text)
		}
	}
	if k.PropertiesFile != "" {
		own(propertiesKey, k.PropertiesFile)
	}
	for _, s := range k.Security.Own {
		text, err := s.Value.Read()
		if err != nil {
			text = "" // a secret's file that has gone since; what came from a file is not shown anyway
		}
		own(s.Key, text)
	}
	if k.Security.File == "" {
		return
	}
	src, err := credentials.ReadFile(k.Security.File)
	if err != nil {
		return // the key above says which
	}
	entries, _ := credentials.ParseProperties(src)
	for i, p := range entries {
		again := slices.ContainsFunc(entries[i+1:], func(q credentials.Property) bool { return q.Key == p.Key })
		if slices.Contains(k.fromFile, p.Key) && !again {
			other(p.Key, strings.TrimSpace(string(p.Value)))
		}
	}
}
