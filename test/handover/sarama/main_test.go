package main

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNobodyThereIsSaid(t *testing.T) {
	if err := run("127.0.0.1:1", "orders", false, -1, 2); err == nil {
		t.Error("it sends to nobody")
	}
}
