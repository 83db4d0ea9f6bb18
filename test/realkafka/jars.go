package realkafka

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
)

//go:embed pom.xml
var pom []byte

var pomVersion = regexp.MustCompile(`<kafka\.version>([^<]+)</kafka\.version>`)

// Version is the version of Kafka that Start runs: KAFKA_VERSION, otherwise that of pom.xml.
func Version() string {
	if v := os.Getenv("KAFKA_VERSION"); v != "" {
		return v
	}
	return string(pomVersion.FindSubmatch(pom)[1])
}

// Jars returns the directory with the jars of a version, having Maven resolve them first when the cache has none.
//
// The cache is below os.UserCacheDir (XDG_CACHE_HOME). A directory appears there whole, by rename, or not at all; a
// lock keeps two test processes from running Maven at once, whose own repository does not bear that.
func Jars(ctx context.Context, version string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache for Kafka's jars: %w; set XDG_CACHE_HOME or HOME", err)
	}
	root := filepath.Join(cache, "streamdown")
	dir := filepath.Join(root, fmt.Sprintf("kafka-%s-%08x", version, crc32.ChecksumIEEE(pom)))
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", fmt.Errorf("make the cache for Kafka's jars: %w", err)
	}
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", fmt.Errorf("lock the cache of Kafka's jars: %w", err)
	}
	defer func() { _ = lock.Close() }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock the cache of Kafka's jars: %w", err)
	}
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("look into the cache of Kafka's jars: %w", err)
	}
	tmp, err := os.MkdirTemp(root, "resolving-")
	if err != nil {
		return "", fmt.Errorf("resolve Kafka's jars: %w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	if err := resolve(ctx, version, tmp); err != nil {
		return "", err
	}
	if err := os.Rename(filepath.Join(tmp, "lib"), dir); err != nil {
		return "", fmt.Errorf("keep Kafka's jars: %w", err)
	}
	return dir, nil
}

func resolve(ctx context.Context, version, dir string) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return fmt.Errorf("resolve Kafka's jars: %w; install Maven (Debian: apt-get install maven)", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pom.xml"), pom, 0o644); err != nil {
		return fmt.Errorf("resolve Kafka's jars: %w", err)
	}
	cmd := exec.CommandContext(ctx, mvn, "-q", "-B", "-ntp", "-Dstyle.color=never", "-Dkafka.version="+version,
		"dependency:copy-dependencies", "-DoutputDirectory=lib", "-DincludeScope=runtime")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("resolve the jars of Kafka %s by mvn: %w; is Maven's repository reachable, and is there such a version?\n%s", version, err, out)
	}
	return nil
}
