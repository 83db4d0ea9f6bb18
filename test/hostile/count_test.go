package hostile_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/streamdown/streamdown/test/hostile"
)

var update = flag.Bool("update", false, "write the numbers into docs/hostile-input.md")

// kinds say, in the order of the page, what each kind is and what becomes of it.
var kinds = []struct{ kind, what, becomes string }{
	{"other protocols", "the first words of 90-odd protocols, on ports with and without TLS and login", "HTTP is answered with 400 and a sentence, TLS with an alert; else the connection is closed and the log says what it looked like"},
	{"frames", "lengths that are negative, too small, too large, or larger than what comes; good frames that end early", "closed; what is unfinished is cut off by the time limits"},
	{"request headers", "client ids, tags and their lengths that do not fit or are no text", "closed"},
	{"APIs", "each API key, spoken or not, in versions that exist and that do not, without a body", "an error where the API has one to give, otherwise closed; before a login always closed"},
	{"requests with wrong lengths", "good requests of each API and version in which one length, count or number of tags is wrong", "closed, or answered when the request makes sense all the same"},
	{"requests cut at each byte", "every beginning of the same requests, in a frame of the right length", "closed, or answered when the rest was not needed"},
	{"record batches", "each field of a batch, each part of a record, each codec, wrong in turn; bombs", "the partition is answered with an error, the connection stays"},
	{"logins", "handshakes and first and second messages of all mechanisms, each with records sent after it", "SASL_AUTHENTICATION_FAILED or UNSUPPORTED_SASL_MECHANISM, then closed; nothing is stored"},
	{"TLS handshakes", "hellos cut, altered, too long, of wrong versions and types, with each extension wrong in turn", "a TLS alert, or closed; what is unfinished is cut off by the time limits"},
	{httpBodies, "bodies, headers and paths of the HTTP ingest (httpin/hostile_test.go)", "a problem document with status 4xx"},
	{configs, "configurations (config/testdata/hostile.txt)", "findings with their places, exit code 78"},
}

const httpBodies, configs = "HTTP bodies", "configurations"

// TestThePageCountsEachKind holds docs/hostile-input.md to the numbers of the tables.
func TestThePageCountsEachKind(t *testing.T) {
	numbers := map[string]int{httpBodies: ofHTTP(t), configs: ofConfig(t)}
	for _, i := range hostile.All() {
		numbers[i.Kind]++
	}
	var table strings.Builder
	table.WriteString("| kind | number | what it is | what happens |\n|---|---|---|---|\n")
	total := 0
	for _, k := range kinds {
		n := numbers[k.kind]
		if n == 0 {
			t.Errorf("no %s", k.kind)
		}
		t.Logf("%-28s %5d", k.kind, n)
		total += n
		fmt.Fprintf(&table, "| %s | %d | %s | %s |\n", k.kind, n, k.what, k.becomes)
		delete(numbers, k.kind)
	}
	if len(numbers) > 0 {
		t.Errorf("the page does not know of %v", numbers)
	}
	fmt.Fprintf(&table, "| all | %d | | |\n", total)
	t.Logf("%d in all", total)
	const page, begin, end = "../../docs/hostile-input.md", "<!-- numbers -->\n", "<!-- end of numbers -->\n"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := bytes.Cut(text, []byte(begin))
	was, after, ended := bytes.Cut(rest, []byte(end))
	if !found || !ended {
		t.Fatalf("%s has no marks around its numbers", page)
	}
	if *update {
		now := string(before) + begin + table.String() + end + string(after)
		if err := os.WriteFile(page, []byte(now), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if theirs(string(was)) != theirs(table.String()) {
		t.Errorf("docs/hostile-input.md has other numbers: go test ./test/hostile -run ThePageCounts -update")
	}
}

// theirs leaves the numbers out that other packages' tables change.
func theirs(table string) string {
	return regexp.MustCompile(`(?m)^(\| (?:HTTP bodies|configurations|all) \|) \d+`).ReplaceAllString(table, "$1")
}

// ofHTTP asks httpin's own test, whose table is its own.
func ofHTTP(t *testing.T) int {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "test", "-v", "-run", "^TestHostileRequestsAreRefusedCheaply$", "github.com/streamdown/streamdown/httpin").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	m := regexp.MustCompile(`: (\d+) requests; `).FindSubmatch(out)
	if m == nil {
		t.Fatalf("no number in\n%s", out)
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func ofConfig(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("../../config/testdata/hostile.txt")
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(append([]byte("\n"), b...), []byte("\n== "))
}
