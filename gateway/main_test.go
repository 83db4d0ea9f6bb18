package gateway

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	role := strings.Split(os.Getenv(slowRole), ",")
	if len(role) != 3 {
		goleak.VerifyTestMain(m)
		return
	}
	n, err := strconv.Atoi(role[2])
	if err == nil {
		err = slowClients(role[0], role[1], n)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "slow clients:", err)
		os.Exit(1)
	}
}
