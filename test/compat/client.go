package compat

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/streamdown/streamdown/test/realkafka"
)

// Client is one client library in one version.
type Client struct {
	Key  string // short, unique
	Fast bool   // Go and Maven bring all that it needs, so it belongs to make test-real

	// command makes the client ready, in a directory that stays, and returns what to run. sources holds clients/.
	command func(ctx context.Context, sources, cache string) ([]string, error)
}

// Clients are all that the table has.
var Clients = []Client{
	{"java", true, java("")},
	{"java-3.9", true, java("3.9.2")},
	{"java-2.8", false, java("2.8.2")},
	{"librdkafka", false, python("requirements.txt", "confluent.py")},
	{"librdkafka-2.0", false, python("requirements-old.txt", "confluent.py")},
	{"franz-go", true, golang("franz")},
	{"sarama", true, golang("sarama")},
	{"segmentio", true, golang("segmentio")},
	{"kafka-python", false, python("requirements.txt", "kafka_python.py")},
	{"aiokafka", false, python("requirements.txt", "aiokafka_.py")},
	{"kafkajs", false, node("kafkajs.js")},
	{"platformatic", false, node("platformatic.js")},
	{"rskafka", false, rust},
}

// Cache is where what clients need is kept.
func Cache() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache for clients: %w; set XDG_CACHE_HOME or HOME", err)
	}
	dir = filepath.Join(dir, "streamdown", "compat")
	return dir, os.MkdirAll(dir, 0o755)
}

// errMissing is for tools that this machine has not.
var errMissing = errors.New("is not on this machine")

func tool(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s %w", name, errMissing)
	}
	return path, nil
}

// shell runs a command of a package manager.
func shell(ctx context.Context, dir string, env []string, name string, args ...string) error {
	path, err := tool(name)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

func java(version string) func(context.Context, string, string) ([]string, error) {
	return func(ctx context.Context, sources, _ string) ([]string, error) {
		if version == "" {
			version = realkafka.Version()
		}
		lib, err := realkafka.Jars(ctx, version)
		if err != nil {
			return nil, err
		}
		path, err := tool("java")
		return []string{path, "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(lib, "*"), filepath.Join(sources, "java", "Compat.java")}, err
	}
}

func golang(library string) func(context.Context, string, string) ([]string, error) {
	return func(ctx context.Context, sources, cache string) ([]string, error) {
		file := filepath.Join(cache, "go")
		return []string{file, library}, shell(ctx, filepath.Join(sources, "go"), []string{"GOWORK=off"}, "go", "build", "-o", file, ".")
	}
}

func python(requirements, script string) func(context.Context, string, string) ([]string, error) {
	return func(ctx context.Context, sources, cache string) ([]string, error) {
		env, from := filepath.Join(cache, "python-"+strings.TrimSuffix(requirements, ".txt")), filepath.Join(sources, "python")
		if err := shell(ctx, from, nil, "python3", "-m", "venv", env); err != nil {
			return nil, err
		}
		bin := filepath.Join(env, "bin", "python")
		if err := shell(ctx, from, nil, bin, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements); err != nil {
			return nil, err
		}
		return []string{bin, filepath.Join(from, script)}, nil
	}
}

// node runs a copy of the scripts, beside which npm puts the libraries.
func node(script string) func(context.Context, string, string) ([]string, error) {
	return func(ctx context.Context, sources, cache string) ([]string, error) {
		path, err := tool("node")
		if err != nil {
			return nil, err
		}
		dir := filepath.Join(cache, "js")
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
		if err := os.CopyFS(dir, os.DirFS(filepath.Join(sources, "js"))); err != nil {
			return nil, err
		}
		return []string{path, filepath.Join(dir, script)}, shell(ctx, dir, nil, "npm", "ci", "--no-audit", "--no-fund")
	}
}

func rust(ctx context.Context, sources, cache string) ([]string, error) {
	target := filepath.Join(cache, "rust")
	return []string{filepath.Join(target, "debug", "compat-rskafka")},
		shell(ctx, filepath.Join(sources, "rust"), []string{"CARGO_TARGET_DIR=" + target}, "cargo", "build", "--quiet", "--locked")
}
