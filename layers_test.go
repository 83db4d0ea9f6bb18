package streamdown_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// module is the import path of the root.
const module = "github.com/streamdown/streamdown"

// floors is the house (DESIGN.md, section 2): an import points strictly to a lower floor. What is under test and bench
// stands beside the house: it may import anything and nothing imports it.
var floors = map[string]int{
	".":    0,
	"auth": 1, "batch": 1, "handover": 1, "service": 1, "wire": 1, "vfs": 1, "breaker": 1, "check": 1, "tally": 1, "ui": 1,
	"wal": 2, "sink": 2, "quarantine": 2,
	"catalog": 3, "delivery": 3, "ledger": 3, "connect/kafka/credentials": 3,
	"connect/kafka": 4,
	"ingest":        5, "forward": 5, "reconcile": 5, "config": 5, "doctor": 5,
	"gateway": 6, "httpin": 6, "api": 6,
	"node":           7,
	"demo":           8,
	"cmd/streamdown": 9,
}

// maxLines is where a file holds a second noun.
const maxLines = 600

// A pkg is what go list says of a package.
type pkg struct {
	ImportPath string
	Imports    []string
}

// A file is one file of the repository, with its path from the root.
type file struct {
	path string
	text string
}

// Each rule below looks at files or packages and says what is wrong. Each has a plant in TestRulesSeeWhatIsPlanted.

// importRule says which imports do not point strictly down.
func importRule(pkgs []pkg) (wrong []string) {
	for _, p := range pkgs {
		from := short(p.ImportPath)
		if beside(from) {
			continue
		}
		floor, known := floors[from]
		if !known {
			wrong = append(wrong, from+" has no floor; give it one in layers_test.go")
			continue
		}
		for _, imported := range p.Imports {
			to := short(imported)
			if to == "" {
				continue
			}
			if beside(to) {
				wrong = append(wrong, fmt.Sprintf("%s imports %s, which is for tests", from, to))
			} else if below, known := floors[to]; known && below >= floor {
				wrong = append(wrong, fmt.Sprintf("%s (floor %d) imports %s (floor %d); imports point strictly down", from, floor, to, below))
			}
		}
	}
	return wrong
}

// short is the path of a package of ours from the root, "." for the root itself, empty for one that is not ours.
func short(path string) string {
	if path == module {
		return "."
	}
	rest, ours := strings.CutPrefix(path, module+"/")
	if !ours {
		return ""
	}
	return rest
}

// beside says whether a package, directory or file stands beside the house.
func beside(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return first == "test" || first == "bench"
}

// commentRule says which packages are not introduced: one comment that begins with the package's name and ends with
// what may be expected of it.
func commentRule(files []file) (wrong []string) {
	comments, names := map[string][]string{}, map[string]string{}
	for _, f := range files {
		if !strings.HasSuffix(f.path, ".go") || strings.HasSuffix(f.path, "_test.go") {
			continue
		}
		parsed := parse(f, parser.PackageClauseOnly|parser.ParseComments)
		dir := filepath.Dir(f.path)
		names[dir] = parsed.Name.Name
		if parsed.Doc != nil {
			comments[dir] = append(comments[dir], parsed.Doc.Text())
		}
	}
	for dir, name := range names {
		begin := "Package " + name + " "
		if name == "main" {
			begin = "Command " + filepath.Base(dir) + " "
		}
		switch c := comments[dir]; {
		case len(c) != 1:
			wrong = append(wrong, fmt.Sprintf("%s has %d package comments; it needs one", dir, len(c)))
		case !strings.HasPrefix(c[0], begin):
			wrong = append(wrong, fmt.Sprintf("the package comment of %s does not begin with %q", dir, begin))
		case !regexp.MustCompile(`(?m)^Stability: .+\.\n*\z`).MatchString(c[0]):
			wrong = append(wrong, fmt.Sprintf("the package comment of %s does not end with a line \"Stability: …\"", dir))
		}
	}
	return wrong
}

// leakRule says which packages start goroutines and have no test that looks for those left behind.
func leakRule(files []file) (wrong []string) {
	starts, looks := map[string]string{}, map[string]bool{}
	for _, f := range files {
		if !strings.HasSuffix(f.path, ".go") {
			continue
		}
		dir := filepath.Dir(f.path)
		if strings.HasSuffix(f.path, "_test.go") {
			looks[dir] = looks[dir] || strings.Contains(f.text, "goleak.VerifyTestMain(")
			continue
		}
		ast.Inspect(parse(f, 0), func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				starts[dir] = f.path
			case *ast.CallExpr: // of a sync.WaitGroup or the like
				if s, ok := n.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Go" && len(n.Args) == 1 {
					starts[dir] = f.path
				}
			}
			return true
		})
	}
	for dir, path := range starts {
		if !looks[dir] {
			wrong = append(wrong, fmt.Sprintf("%s starts goroutines (%s) and no TestMain calls goleak.VerifyTestMain", dir, path))
		}
	}
	return wrong
}

// clockRule says which tests sleep. In a bubble of testing/synctest the clock is false and sleeping is free.
func clockRule(files []file) []string {
	return calls(files, "time", []string{"Sleep"}, func(f file) bool {
		return strings.HasSuffix(f.path, "_test.go") && !strings.Contains(f.text, `"testing/synctest"`)
	}, "a test waits for a state, not for a time")
}

// contextRule says which code makes contexts out of nothing. Only where a process begins may that be.
func contextRule(files []file) []string {
	return calls(files, "context", []string{"Background", "TODO"}, func(f file) bool {
		return !strings.HasSuffix(f.path, "_test.go") && !strings.HasPrefix(f.path, "cmd/") && !beside(f.path)
	}, "pass the caller's context down")
}

// calls finds the calls of a package's functions in the files that concern.
func calls(files []file, pkg string, functions []string, concerns func(file) bool, advice string) (wrong []string) {
	for _, f := range files {
		if !strings.HasSuffix(f.path, ".go") || !concerns(f) {
			continue
		}
		ast.Inspect(parse(f, 0), func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			from, ok := s.X.(*ast.Ident)
			for _, name := range functions {
				if ok && from.Name == pkg && s.Sel.Name == name {
					wrong = append(wrong, fmt.Sprintf("%s calls %s.%s; %s", f.path, pkg, name, advice))
				}
			}
			return true
		})
	}
	return wrong
}

// foreign matches what ties the repository to one machine, one registry or one tool, and words for unfinished work.
// The classes of one letter keep this file clear of its own rule.
var foreign = regexp.MustCompile(`(?i)(?:^|[^\w./])/(?:w[o]rk|r[o]ot)/|/tmp/bash_[j]obs|\bfarm[-]|sub[a]gent` +
	`|proxy\.[g]olang|repo1?\.[m]aven|registry\.[n]pmjs|deb\.[d]ebian|files\.[p]ythonhosted|[p]ypi\.org` +
	`|\b(?:c[l]aude|chat[g]pt|co[p]ilot|open[a]i|anthr[o]pic)\b` +
	`|(?-i:(?:^|[^.\w"])T[O]DO\b|\bFIX[M]E\b)`)

// wordRule says which files hold what is foreign.
func wordRule(files []file) (wrong []string) {
	for _, f := range files {
		for i, line := range strings.Split(f.text, "\n") {
			if found := foreign.FindString(line); found != "" {
				wrong = append(wrong, fmt.Sprintf("%s:%d holds %q", f.path, i+1, found))
			}
		}
	}
	return wrong
}

// sizeRule says which files are too long to hold one idea, and which packages are named for none.
func sizeRule(files []file) (wrong []string) {
	nameless := regexp.MustCompile(`(^|/)(util|utils|common|helpers?|types|misc)/`)
	for _, f := range files {
		if !strings.HasSuffix(f.path, ".go") {
			continue
		}
		if n := strings.Count(f.text, "\n"); n > maxLines {
			wrong = append(wrong, fmt.Sprintf("%s has %d lines, at most %d; look for the second noun", f.path, n, maxLines))
		}
		if nameless.MatchString(f.path) {
			wrong = append(wrong, f.path+" is in a package whose name says nothing")
		}
	}
	return wrong
}

var fileRules = map[string]func([]file) []string{
	"package comments":                 commentRule,
	"goroutines are looked for":        leakRule,
	"no sleep in tests":                clockRule,
	"contexts come from the caller":    contextRule,
	"nothing foreign, nothing undone":  wordRule,
	"files and packages hold one idea": sizeRule,
}

func TestHouseRules(t *testing.T) {
	files := repository(t)
	for name, rule := range fileRules {
		t.Run(name, func(t *testing.T) {
			for _, wrong := range rule(files) {
				t.Error(wrong)
			}
		})
	}
}

func TestImportsPointDown(t *testing.T) {
	for _, wrong := range importRule(packages(t)) {
		t.Error(wrong)
	}
}

// A rule that cannot fail holds nothing: each gets something to find, and a twin that it must let pass.
func TestRulesSeeWhatIsPlanted(t *testing.T) {
	const good = "// Package p is fine.\n//\n// Stability: may change.\npackage p\n"
	for _, c := range []struct {
		name       string
		rule       func([]file) []string
		good, evil []file
	}{
		{"no comment", commentRule, []file{{"p/p.go", good}}, []file{{"p/p.go", "package p\n"}}},
		{"two comments", commentRule, []file{{"p/p.go", good}, {"p/q.go", "package p\n"}}, []file{{"p/p.go", good}, {"p/q.go", good}}},
		{"another name", commentRule, nil, []file{{"p/p.go", strings.Replace(good, "Package p", "Package q", 1)}}},
		{"no stability", commentRule, nil, []file{{"p/p.go", "// Package p is fine.\npackage p\n"}}},
		{"stability not last", commentRule, nil, []file{{"p/p.go", "// Package p is fine.\n//\n// Stability: none.\n//\n// More.\npackage p\n"}}},
		{"a command", commentRule,
			[]file{{"cmd/x/main.go", "// Command x runs.\n//\n// Stability: may change.\npackage main\n"}},
			[]file{{"cmd/x/main.go", "// Package main runs.\n//\n// Stability: may change.\npackage main\n"}}},
		{"go without goleak", leakRule,
			[]file{{"p/p.go", "package p\nfunc f() { go f() }"}, {"p/p_test.go", "package p\nfunc TestMain(m *testing.M) { goleak.VerifyTestMain(m) }"}},
			[]file{{"p/p.go", "package p\nfunc f() { go f() }"}, {"p/p_test.go", "package p"}}},
		{"wait group without goleak", leakRule,
			[]file{{"p/p.go", "package p\nfunc f() { f() }"}},
			[]file{{"p/p.go", "package p\nfunc f() { wg.Go(f) }"}}},
		{"sleep", clockRule,
			[]file{{"p/p.go", "package p\nfunc f() { time.Sleep(1) }"}, {"p/p_test.go", "package p\nimport \"testing/synctest\"\nfunc f() { time.Sleep(1) }"}},
			[]file{{"p/p_test.go", "package p\nfunc f() { time.Sleep(1) }"}}},
		{"background", contextRule,
			[]file{{"cmd/x/main.go", "package main\nfunc f() { context.Background() }"}, {"p/p_test.go", "package p\nfunc f() { context.Background() }"}, {"test/p/p.go", "package p\nfunc f() { context.Background() }"}},
			[]file{{"p/p.go", "package p\nfunc f() { context.Background() }"}}},
		{"to do", contextRule, nil, []file{{"p/p.go", "package p\nfunc f() { context.TODO() }"}}},
		{"machine path", wordRule, []file{{"a.md", "a network of paths, /bench/work/x"}}, []file{{"a.md", "see /" + "work/main"}}},
		{"registry host", wordRule, []file{{"a.md", "the module proxy"}}, []file{{"a.md", "https://proxy." + "golang.org"}}},
		{"tool", wordRule, []file{{"a.md", "an agent, a farm"}}, []file{{"a.md", "a sub" + "agent"}}},
		{"undone", wordRule, []file{{"a.go", "the todo list"}}, []file{{"a.go", "// TO" + "DO: more"}}},
		{"long file", sizeRule, []file{{"p/p.go", strings.Repeat("\n", maxLines)}}, []file{{"p/p.go", strings.Repeat("\n", maxLines+1)}}},
		{"nameless package", sizeRule, nil, []file{{"p/util/p.go", ""}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if wrong := c.rule(c.good); len(wrong) != 0 {
				t.Errorf("found %q where nothing is wrong", wrong)
			}
			if wrong := c.rule(c.evil); len(wrong) != 1 {
				t.Errorf("found %q, want the one that was planted", wrong)
			}
		})
	}
	for name, p := range map[string]pkg{
		"up":       {module + "/wal", []string{module + "/gateway"}},
		"sideways": {module + "/wal", []string{module + "/sink"}},
		"test":     {module + "/wal", []string{module + "/test/load"}},
		"unknown":  {module + "/stairs", nil},
	} {
		if wrong := importRule([]pkg{p}); len(wrong) != 1 {
			t.Errorf("%s: found %q, want the one that was planted", name, wrong)
		}
	}
	if wrong := importRule([]pkg{
		{module + "/wal", []string{module, module + "/vfs", "fmt"}},
		{module + "/test/load", []string{module + "/gateway"}},
	}); len(wrong) != 0 {
		t.Errorf("found %q where nothing is wrong", wrong)
	}
}

// parse reads a Go file; one that is no Go is the compiler's business and counts as empty.
func parse(f file, mode parser.Mode) *ast.File {
	parsed, err := parser.ParseFile(token.NewFileSet(), f.path, f.text, mode)
	if err != nil && parsed == nil {
		return &ast.File{Name: ast.NewIdent("")}
	}
	return parsed
}

// packages lists the packages of the module, with the imports of their code and not of their tests, which may look
// wherever they need to.
func packages(t *testing.T) (list []pkg) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./...")
	var diag bytes.Buffer
	cmd.Stderr = &diag
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &diag)
	}
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p pkg
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	if len(list) == 0 {
		t.Fatal("go list found no packages")
	}
	return list
}

// repository reads the text files of the working tree, but for what .gitignore keeps out and lists of checksums.
func repository(t *testing.T) (files []file) {
	t.Helper()
	skip := map[string]bool{".git": true, "bin": true, "bench/work": true}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && skip[path]:
			return filepath.SkipDir
		case !d.Type().IsRegular() || filepath.Base(path) == "go.sum":
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if utf8.Valid(b) && !bytes.Contains(b, []byte{0}) {
			files = append(files, file{filepath.ToSlash(path), string(b)})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
