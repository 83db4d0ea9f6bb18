package config

import (
	_ "embed"
	"strings"
)

//go:embed template.yaml
var template string

// Template returns the commented config that streamdown init writes, for a cluster at bootstrap ("host:port,…"; empty
// means localhost:9092). It parses without a finding if bootstrap does.
func Template(bootstrap string) []byte {
	if bootstrap == "" {
		bootstrap = "localhost:9092"
	}
	return []byte(strings.Replace(template, `"localhost:9092"`, quote(bootstrap), 1))
}
