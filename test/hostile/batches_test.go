package hostile_test

import (
	"bytes"
	"testing"

	"github.com/streamdown/streamdown/test/hostile"
)

func TestRecordsComeBackOutOfTheirRequest(t *testing.T) {
	for _, records := range [][]byte{{}, {1}, hostile.Batch(), make([]byte, 100_000)} {
		if got := hostile.RecordsOf(hostile.Produce(records)); !bytes.Equal(got, records) {
			t.Errorf("%d bytes come back as %d", len(records), len(got))
		}
	}
}
