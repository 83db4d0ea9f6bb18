package quarantine

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"

	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/vfs"
)

// Dir is the name of the directory inside a data directory.
const Dir = "quarantine"

// Store keeps quarantined batches. All methods may be called concurrently, but not for the same batch.
type Store struct {
	fs   vfs.FS
	data string
	dir  string

	mu   sync.Mutex // guards the following
	made bool       // dir is there, durably
}

// New returns the store of a data directory. It touches nothing.
func New(fs vfs.FS, data string) *Store {
	return &Store{fs: fs, data: data, dir: filepath.Join(data, Dir)}
}

// Put writes a batch down. It is durable when Put returns nil, and before that nothing may be made of it; putting the
// same batch again replaces its file. A batch whose own checksum is wrong is refused: damage is never kept as if it were whole.
func (s *Store) Put(r *Record, body []byte) error {
	if err := batch.Verify(body); err != nil {
		return fmt.Errorf("quarantine %s: %w", r.ID(), err)
	}
	if len(r.Reason) > MaxReason {
		short := *r
		short.Reason = strings.ToValidUTF8(r.Reason[:MaxReason], "")
		r = &short
	}
	b, err := encode(r, body)
	if err == nil {
		err = s.make()
	}
	if err == nil {
		err = vfs.WriteFile(s.fs, s.path(r.Key()), b)
	}
	if err != nil {
		return fmt.Errorf("quarantine %s: %w", r.ID(), err)
	}
	return nil
}

// make makes the directory, durably.
func (s *Store) make() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made {
		return nil
	}
	if err := s.fs.MkdirAll(s.dir); err != nil {
		return err
	}
	if err := s.fs.SyncDir(s.data); err != nil {
		return err
	}
	s.made = true
	return nil
}

func (s *Store) path(k Key) string { return filepath.Join(s.dir, k.name()) }

// Get reads a batch back and checks all of it. The error wraps ErrDamaged, or the file system's.
func (s *Store) Get(k Key) (*Record, []byte, error) {
	b, err := s.File(k)
	if err != nil {
		return nil, nil, err
	}
	r, body, err := Parse(b)
	if err == nil && r.Key() != k {
		err = fmt.Errorf("%w: it holds %s", ErrDamaged, r.ID())
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", s.path(k), err)
	}
	return r, body, nil
}

// File reads a file as it is, for [Parse].
func (s *Store) File(k Key) ([]byte, error) { return s.read(k.name(), headSize+maxRecord+maxBatch) }

// read reads at most so many bytes of a file.
func (s *Store) read(name string, most int64) ([]byte, error) {
	path := filepath.Join(s.dir, name)
	f, err := s.fs.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	defer func() { _ = f.Close() }() // it was only read
	size, err := f.Size()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	b := make([]byte, min(size, most))
	if n, err := f.ReadAt(b, 0); n < len(b) && err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return b, nil
}

// Remove deletes a batch's file, durably. That there is none is fine.
func (s *Store) Remove(k Key) error {
	if err := s.fs.Remove(s.path(k)); err != nil {
		if vfs.IsNotExist(err) {
			return nil
		}
		return fmt.Errorf("remove %s: %w", s.path(k), err)
	}
	if err := s.fs.SyncDir(s.dir); err != nil {
		return fmt.Errorf("sync %s: %w", s.dir, err)
	}
	return nil
}

// Item is one file of a listing: its record, or what is wrong with it.
type Item struct {
	File   string // its path
	Bytes  int64  // of the batch
	Record *Record
	Err    error // the record cannot be read; the batch itself is not looked at by List
}

// List returns at most so many files, by name, and how many there are. A directory that is not there holds none.
func (s *Store) List(most int) (items []Item, total int, err error) {
	names, err := s.fs.List(s.dir)
	if vfs.IsNotExist(err) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("list the quarantine: %w", err)
	}
	for _, name := range names {
		if !strings.HasSuffix(name, suffix) {
			continue
		}
		if total++; len(items) >= most {
			continue
		}
		it := Item{File: filepath.Join(s.dir, name)}
		b, err := s.read(name, headSize+maxRecord)
		if err == nil {
			it.Record, err = parseRecord(b)
		}
		if err == nil && it.Record.Key().name() != name {
			err = fmt.Errorf("%w: it holds %s", ErrDamaged, it.Record.ID())
		}
		if it.Err = err; err != nil {
			it.Record = nil
		} else {
			_, size, _ := sizes(b)
			it.Bytes = int64(size)
		}
		items = append(items, it)
	}
	return items, total, nil
}
