package config

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/streamdown/streamdown/connect/kafka/credentials"
)

// connection returns what a key says that is not about logging in.
func (k *Kafka) connection(key string) (string, bool) {
	switch key {
	case "bootstrap.servers", "metadata.broker.list":
		return strings.Join(k.Bootstrap, ","), true
	case "client.id":
		return k.ClientID, true
	case "request.timeout.ms":
		return strconv.FormatInt(int64(k.RequestTimeout/time.Millisecond), 10), true
	}
	return "", false
}

// show tells every key with its value: own gets those that stand in the config or have their default, other those of
// the properties file.
func (k *Kafka) show(own, other func(key, text string)) {
	for _, key := range []string{"bootstrap.servers", "client.id", "request.timeout.ms"} {
		if !slices.Contains(k.fromFile, key) && (key != "bootstrap.servers" || !slices.Contains(k.fromFile, "metadata.broker.list")) {
			text, _ := k.connection(key)
			own(key, text)
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
			other(p.Key, strings.TrimSpace(p.Value.Reveal()))
		}
	}
}
