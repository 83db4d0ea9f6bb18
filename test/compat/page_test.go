package compat

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestThePageHidesNoFailure: what failed, what a client lacks and what did not run are told apart, and nothing that was
// not tried looks like a success.
func TestThePageHidesNoFailure(t *testing.T) {
	good := Row{Key: "a", Name: "A", Version: "1"}
	for _, c := range All() {
		good.Outcomes = append(good.Outcomes, Outcome{Cell: c})
	}
	bad := Row{Key: "b", Name: "B", Version: "2", Outcomes: append([]Outcome(nil), good.Outcomes...)}
	bad.Outcomes[3].Verdict, bad.Outcomes[3].Why = Failed, "it\nfell"
	for i := range bad.Outcomes {
		if bad.Outcomes[i].Codec == 4 {
			bad.Outcomes[i].Verdict, bad.Outcomes[i].Why = Lacks, "no zstd"
		}
	}
	page := Page([]Row{good, bad, {Key: "c", NotRun: "cargo is not on this machine"}}, "4.4.0", time.Unix(0, 0))
	for _, want := range []string{
		"on 1970-01-01", "Kafka 4.4.0",
		"| A | 1 |  | 10/10 | 10/10 |", "| A | 1 | 14/14 |", "| – |", // of the outage nothing was tried
		"| B | 2 |  | **7/8** | 8/8 |", "- B 2: it fell (plain, gzip, idempotent)", "- B 2: no zstd (14 cells)",
		"| c | did not run | did not run |", "- c: cargo is not on this machine",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
}

// TestSomeCellsCoverEachWay: the few cells of make test-real have every way in, every codec, and both kinds of producers.
func TestSomeCellsCoverEachWay(t *testing.T) {
	codecs, ways := map[[2]any]bool{}, map[[2]any]bool{}
	for _, c := range Some() {
		codecs[[2]any{c.Codec, true}], ways[[2]any{c.Security, c.Idempotent}] = true, true
	}
	if len(codecs) != len(Codecs) || len(ways) != 2*len(Securities) {
		t.Errorf("%d codecs, %d ways", len(codecs), len(ways))
	}
}
