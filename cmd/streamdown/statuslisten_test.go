package main

import (
	"testing"

	"github.com/streamdown/streamdown/api"
)

func TestStatusNamesThePortOfEachPriority(t *testing.T) {
	one := api.Listen{Kafka: "127.0.0.1:19092", HTTP: "127.0.0.1:8790", Classes: []api.Class{{Priority: "normal", NodeID: 1, Address: "127.0.0.1:19092"}}}
	if got, want := listening(&one), "kafka 127.0.0.1:19092, http 127.0.0.1:8790"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	two := one
	two.Classes = append([]api.Class{{Priority: "critical", NodeID: 1, Address: "127.0.0.1:19092"}}, api.Class{Priority: "low", NodeID: 4, Address: "127.0.0.1:19093"})
	if got, want := listening(&two), "kafka 127.0.0.1:19092 (critical), kafka 127.0.0.1:19093 (low), http 127.0.0.1:8790"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
