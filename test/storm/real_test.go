//go:build real

package main

import (
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// A storm of a minute; SEED draws one again.
func TestAShortStormLosesNothing(t *testing.T) {
	seed := rand.Uint64()
	if s := os.Getenv("SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	r, err := storm(t.Context(), options{
		duration: time.Minute, seed: seed, rate: 3000, log: slog.New(slog.NewTextHandler(os.Stdout, nil)),
	})
	if err != nil || !r.proved() {
		t.Fatalf("SEED=%d: %+v, %v", seed, r, err)
	}
	t.Logf("%+v", r)
}
