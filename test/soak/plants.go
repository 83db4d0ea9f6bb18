package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A plant is a bug in the code of a package: in one of its files, some text in place of other text that is there once.
// Who changes that text moves the plant with it; a test says which plants have lost their place.
type plant struct {
	name  string
	file  string // from the root of the repository
	edits []edit
}

type edit struct{ from, to string }

var plants = []plant{
	{"acked before it is written (A1)", "wal/write.go", []edit{
		{"err := l.persist(group, first, failed)", "if !failed {\nl.apply(group, first)\n}\nerr := l.persist(group, first, failed)"},
		{"	l.apply(group, first)\n	l.setDurable(end)", "	l.setDurable(end)"},
	}},
	{"off by one at the seal", "wal/write.go", []edit{{"l.begin(cur.number+1, first, nil)", "l.begin(cur.number+1, first-1, nil)"}}},
	{"a repeat of a client is a new batch (B2)", "ingest/dedup.go", []edit{{"			return duplicate, s", "			return admit, nil"}}},
}

// apply makes the edits in the text of the file.
func (p *plant) apply(text string) (string, error) {
	for _, e := range p.edits {
		if n := strings.Count(text, e.from); n != 1 {
			return "", fmt.Errorf("plant %q: its place in %s is there %d times: %q; move the plant to where the code went", p.name, p.file, n, e.from)
		}
		text = strings.Replace(text, e.from, e.to, 1)
	}
	return text, nil
}

// overlay writes the changed file and says what it stands for, as the go command's -overlay wants it.
func (s *soak) overlay(ctx context.Context, p *plant) (map[string]string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", module+filepath.Dir(p.file)).Output()
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", p.file, err)
	}
	path := filepath.Join(strings.TrimSpace(string(out)), filepath.Base(p.file))
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	text, err := p.apply(string(b))
	if err != nil {
		return nil, err
	}
	changed := filepath.Join(s.dir, "planted.go")
	if err := os.WriteFile(changed, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return map[string]string{path: changed}, nil
}

// plantCode builds the whole node with a bug in it and plays it until the bug is caught.
func (s *soak) plantCode(ctx context.Context, p *plant) error {
	overlay, err := s.overlay(ctx, p)
	if err != nil {
		return err
	}
	program, err := s.build(ctx, "planted.test", nodePackage, overlay)
	if err != nil {
		return fmt.Errorf("plant %q: %w", p.name, err)
	}
	return s.hunt(ctx, program, p.name, "code", "-soakuntil")
}

// hunt plays until a promise is broken.
func (s *soak) hunt(ctx context.Context, program, name, where string, args ...string) error {
	began := time.Now()
	args = append(args, "-soakseed", strconv.FormatUint(s.seed, 10), "-soakseeds", strconv.FormatUint(s.most, 10))
	r, out, err := s.whole(ctx, program, 15*time.Minute, args...)
	if err != nil {
		return fmt.Errorf("plant %q: %w\n%s", name, err, out)
	}
	s.note(catch{name, where, r.Violations > 0, r.Seeds, time.Since(began).Round(10 * time.Millisecond).Seconds(), r.Broken})
	return nil
}

// plantSeams makes the bugs that need no build: the program knows their names.
func (s *soak) plantSeams(ctx context.Context, program, only string) error {
	out, err := s.run(ctx, nil, program, "-test.run", "^$", "-soaklist")
	if err != nil {
		return fmt.Errorf("list the plants at the seams: %w\n%s", err, out)
	}
	n := 0
	for line := range strings.Lines(string(out)) {
		name, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "seam ")
		if !ok {
			continue
		}
		n++
		if !strings.Contains(name, only) {
			continue
		}
		if err := s.hunt(ctx, program, name, "seam", "-soakplant", name); err != nil {
			return err
		}
	}
	if n == 0 {
		return fmt.Errorf("no plants at the seams:\n%s", out)
	}
	return nil
}

var (
	coreVerdict = regexp.MustCompile(`(?m)^ *--- (PASS|FAIL): TestPlantedBugsAreCaught/(\S+) \(([0-9.]+)s\)$`)
	coreCatch   = regexp.MustCompile(`caught by seed (\d+), after (\d+) that broke another promise: (.*)`)
)

// plantCores runs the plants of the cores, which that package's own test makes, one after the other for their times.
func (s *soak) plantCores(ctx context.Context, program, only string) error {
	out, err := s.run(ctx, []string{"GOMAXPROCS=1", "GOGC=400"}, program, "-test.run", "^TestPlantedBugsAreCaught$", "-test.v", "-test.parallel", "1", "-test.timeout", "0")
	verdicts := coreVerdict.FindAllStringSubmatch(string(out), -1)
	if len(verdicts) == 0 {
		return fmt.Errorf("plant in the cores: %w\n%s", err, out)
	}
	said := map[string]string{} // by test, what it logged
	test := ""
	for line := range strings.Lines(string(out)) {
		if rest, ok := strings.CutPrefix(line, "=== NAME  TestPlantedBugsAreCaught/"); ok {
			test = strings.TrimSpace(rest)
		} else if rest, ok := strings.CutPrefix(line, "=== CONT  TestPlantedBugsAreCaught/"); ok {
			test = strings.TrimSpace(rest)
		} else if m := coreCatch.FindString(line); m != "" {
			said[test] = m
		}
	}
	for _, v := range verdicts {
		name := strings.ReplaceAll(v[2], "_", " ")
		if !strings.Contains(name, only) {
			continue
		}
		c := catch{Plant: name, Where: "core", Caught: v[1] == "PASS"}
		c.Seconds, _ = strconv.ParseFloat(v[3], 64) // as the pattern has it
		if m := coreCatch.FindStringSubmatch(said[v[2]]); m != nil {
			c.Seeds, _ = strconv.ParseUint(m[1], 10, 64) // digits
			c.Promise = m[3]
		}
		s.note(c)
	}
	return nil
}
