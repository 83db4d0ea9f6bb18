//go:build real

package disk

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// childDir names, in the environment, the directory of the log that a child process writes.
const childDir = "STREAMDOWN_DISK_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(child(dir))
	}
	goleak.VerifyTestMain(m)
}
