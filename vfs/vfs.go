// Package vfs is the one seam between streamdown and a disk: the real one, or one in memory that can crash and fail.
//
// Everything durable goes through an [FS]. The contract is POSIX at its weakest: bytes are durable after Sync of the
// file, names (creations, renames, removals) are durable after SyncDir of their directory, and nothing else is.
//
// Stability: may change.
package vfs

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
)

// FS is a disk. All methods may be called concurrently.
type FS interface {
	// Create makes a new empty file for writing and reading; it is an error if the name exists.
	Create(name string) (File, error)
	// Open opens an existing file for reading.
	Open(name string) (File, error)
	// Rename replaces newname with oldname atomically. Durable after SyncDir.
	Rename(oldname, newname string) error
	// Remove deletes a file. Durable after SyncDir.
	Remove(name string) error
	// List returns the base names in dir, sorted.
	List(dir string) ([]string, error)
	// MkdirAll creates dir and its parents.
	MkdirAll(dir string) error
	// SyncDir makes creations, renames and removals in dir durable.
	SyncDir(dir string) error
	// Free returns how many bytes may still be written below dir.
	Free(dir string) (uint64, error)
	// Lock takes an exclusive lock on name that ends with the process or with Close. It does not wait.
	Lock(name string) (io.Closer, error)
}

// File is an open file. ReadAt may be called concurrently with everything; WriteAt, Sync and Close belong to one owner.
type File interface {
	// WriteAt writes over what is there, and makes the file longer when it goes beyond its end. Only files that Create
	// made can be written.
	io.WriterAt
	io.ReaderAt
	io.Closer
	// Sync returns when all written bytes and the size are on stable storage. After an error the file must not be
	// trusted again: the kernel may have marked the lost pages clean (fsyncgate), so a second Sync proves nothing.
	Sync() error
	// Size returns the current length in bytes.
	Size() (int64, error)
}

// WriteFile replaces name with data, atomically and durably: write, sync, rename, sync the directory.
// The commit point is the directory sync; before it a crash leaves the old content or the new.
func WriteFile(fs FS, name string, data []byte) error {
	tmp := name + ".tmp"
	if err := fs.Remove(tmp); err != nil && !IsNotExist(err) {
		return fmt.Errorf("remove old %s: %w", tmp, err)
	}
	f, err := fs.Create(tmp)
	if err != nil {
		return fmt.Errorf("create %s: %w", tmp, err)
	}
	if _, err = f.WriteAt(data, 0); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", tmp, err)
	}
	if err := fs.Rename(tmp, name); err != nil {
		return fmt.Errorf("rename %s: %w", tmp, err)
	}
	if err := fs.SyncDir(filepath.Dir(name)); err != nil {
		return fmt.Errorf("sync directory of %s: %w", name, err)
	}
	return nil
}

// ReadFile returns the whole content of name.
func ReadFile(fs FS, name string) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return b, nil
}
