//go:build real

package rescue_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"go.uber.org/goleak"
)

// rounds and seed come from the environment, so that make can pass them.
var (
	rounds = 5
	seed   = rand.Uint64()
)

func TestMain(m *testing.M) {
	flag.Parse()
	for name, set := range map[string]func(string) error{
		"ROUNDS": func(s string) (err error) { rounds, err = strconv.Atoi(s); return },
		"SEED":   func(s string) (err error) { seed, err = strconv.ParseUint(s, 10, 64); return },
	} {
		if s := os.Getenv(name); s != "" {
			if err := set(s); err != nil {
				fmt.Fprintf(os.Stderr, "%s=%s: %v\n", name, s, err)
				os.Exit(2)
			}
		}
	}
	fmt.Printf("rescue: SEED=%d ROUNDS=%d\n", seed, rounds)
	goleak.VerifyTestMain(m)
}
