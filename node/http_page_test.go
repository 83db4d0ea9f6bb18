package node_test

import (
	"flag"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

var updatePage = flag.Bool("update-page", false, "write the outputs into docs/http-ingest.md")

const page = "../docs/http-ingest.md"

// The page's commands are run, in order, and print what it shows. Its address and log id stand for those of the run;
// the last commands are run in an outage.
func TestThePageShowsWhatCurlPrints(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("no curl here")
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "orders"), kfake.SeedTopics(1, "events"), kfake.ClusterID("kafka-1"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	n := start(t, t.TempDir(), c.ListenAddrs()[0])
	defer n.stop(t)
	waitTopic(t, "http://"+n.HTTPAddr())
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	shown := strings.NewReplacer(n.HTTPAddr(), "127.0.0.1:8790", n.Status(t.Context()).LogID, "7d0c1f2e-5a43-4c1b-9a55-0b6f2e8d9c31")
	dates := regexp.MustCompile(`(?m)^(Date|Content-Length): .*\n`)
	blocks := regexp.MustCompile("(?s)```console\n(.*?)```")
	commands := 0
	got := blocks.ReplaceAllStringFunc(string(text), func(block string) string {
		var out strings.Builder
		out.WriteString("```console\n")
		lines := strings.Split(strings.TrimSuffix(strings.TrimPrefix(block, "```console\n"), "```"), "\n")
		for i := 0; i < len(lines); i++ {
			command, is := strings.CutPrefix(lines[i], "$ ")
			if !is {
				continue // an earlier output
			}
			out.WriteString(lines[i] + "\n")
			for strings.HasSuffix(lines[i], `\`) {
				i++
				command += "\n" + lines[i]
				out.WriteString(lines[i] + "\n")
			}
			if command == "kafka-server-stop" {
				c.Close()
				waitFor(t, "breaker open", n, func(s statusView) bool { return s.breaker == "open" })
				continue
			}
			commands++
			cmd := exec.CommandContext(t.Context(), "bash", "-c", strings.ReplaceAll(command, "127.0.0.1:8790", n.HTTPAddr()))
			b, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%s: %v\n%s", command, err, b)
			}
			out.WriteString(shown.Replace(dates.ReplaceAllString(strings.ReplaceAll(string(b), "\r", ""), "")))
			if !strings.HasSuffix(out.String(), "\n") {
				out.WriteByte('\n')
			}
		}
		return out.String() + "```"
	})
	if commands < 8 {
		t.Errorf("only %d commands are on the page", commands)
	}
	switch {
	case *updatePage:
		if err := os.WriteFile(page, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	case got != string(text):
		t.Errorf("%s shows something else; go test ./node -run Page -update-page writes it. Now:\n%s", page, got)
	}
}
