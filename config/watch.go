package config

import (
	"crypto/sha256"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Watch tells when a config, or a file that it refers to, has changed. It looks at the files themselves, through
// symbolic links, so that it sees a file that was renamed into place and a ConfigMap of Kubernetes that was swapped. Its
// methods may be called concurrently.
type Watch struct {
	main string

	mu    sync.Mutex // guards the following
	files map[string]sight
}

// sight is a file as it was seen.
type sight struct {
	info fs.FileInfo // nil = not there
	sum  [sha256.Size]byte
}

// NewWatch watches the file and what c, which was read from it, refers to; c may be nil.
func NewWatch(file string, c *Config) *Watch {
	w := &Watch{main: file, files: map[string]sight{file: look(file)}}
	w.Read(c)
	return w
}

// Reading says that the files are about to be read: what changes from now on counts as a change.
func (w *Watch) Reading() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for file := range w.files {
		w.files[file] = look(file)
	}
}

// Read says that c was read; nil, that it could not be used: then the files that were known before stay watched.
func (w *Watch) Read(c *Config) {
	if c == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := map[string]sight{w.main: w.files[w.main]}
	for _, file := range c.files {
		if s, known := w.files[file]; known {
			seen[file] = s
		} else {
			seen[file] = look(file)
		}
	}
	w.files = seen
}

// Changed reports whether the content of a file is another than when the config was last read. Each state of the files
// is reported once. It reads only files that look different.
func (w *Watch) Changed() (changed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for file, was := range w.files {
		info, err := os.Stat(file)
		if err != nil {
			info = nil
		}
		if info == nil && was.info == nil || info != nil && was.info != nil && os.SameFile(info, was.info) &&
			info.ModTime().Equal(was.info.ModTime()) && info.Size() == was.info.Size() {
			continue
		}
		now := look(file)
		changed = changed || now.sum != was.sum || (now.info == nil) != (was.info == nil)
		w.files[file] = now
	}
	return changed
}

// look reads a file, or the names in a directory.
func look(file string) (s sight) {
	info, err := os.Stat(file)
	if err != nil {
		return s
	}
	s.info = info
	if info.IsDir() {
		names, _ := filepath.Glob(filepath.Join(file, "*"))
		slices.Sort(names)
		s.sum = sha256.Sum256([]byte(strings.Join(names, "\x00")))
		return s
	}
	src, err := readFile(file)
	if err == nil {
		s.sum = sha256.Sum256(src)
	}
	return s
}
