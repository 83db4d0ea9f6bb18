package wal_test

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/streamdown/streamdown/vfs"
)

// A plant is a fault that is built in on purpose: a lab that does not find it proves nothing. These are made at the
// log's seams, the disk and the books; those within its code are in test/crashsim.
type plant struct {
	name    string
	pending bool   // a state holds what is not durable
	early   bool   // Release is asked for more than was confirmed
	misuse  misuse // of the disk
	nth     int    // with misuse: one in so many, 0 = each
}

// misuse is how a faulty program would use the disk.
type misuse uint8

const (
	proper          misuse = iota
	syncSkipped            // entries are not synced
	syncLate               // entries are acknowledged before they are synced, with the next operation
	syncRetried            // a failed sync is tried again on the same file, and believed
	headerNotSynced        // a segment gets its name before its content is durable
	dirNotSynced           // a new name is not synced
	shortIgnored           // a write that went short is taken for whole
	markAhead              // the manifest's mark is above what is durable
	removedTwo             // a release takes the next segment too
	rewritten              // a failed write is tried again in the same file
)

var plants = []plant{
	{name: "entries are not synced now and then", misuse: syncSkipped, nth: 5},
	{name: "acknowledged before the sync", misuse: syncLate},
	{name: "a failed sync is retried and believed", misuse: syncRetried},
	{name: "a new segment is named before it is synced", misuse: headerNotSynced},
	{name: "the directory is not synced", misuse: dirNotSynced},
	{name: "a short write is taken for whole", misuse: shortIgnored},
	{name: "a failed write is retried in the same file", misuse: rewritten},
	{name: "the manifest's mark is ahead of the truth", misuse: markAhead},
	{name: "a release takes one segment too many", misuse: removedTwo},
	{name: "released before it was confirmed", early: true},
	{name: "a state holds what is pending", pending: true},
}

// program is a disk as a program with a fault uses it.
type program struct {
	*vfs.Mem
	misuse
	nth, n int
	named  map[string]bool // files that have their name
}

func (p *plant) disk(d *vfs.Mem) vfs.FS {
	if p.misuse == proper {
		return d
	}
	return &program{Mem: d, misuse: p.misuse, nth: p.nth, named: map[string]bool{}}
}

// now says whether the fault shows this time.
func (p *program) now(m misuse) bool {
	if p.misuse != m {
		return false
	}
	p.n++
	return p.nth == 0 || p.n%p.nth == 0
}

type programFile struct {
	vfs.File
	p    *program
	name string // as created
	late bool
}

func (p *program) Create(name string) (vfs.File, error) {
	f, err := p.Mem.Create(name)
	if err != nil {
		return nil, err
	}
	delete(p.named, name)
	return &programFile{File: f, p: p, name: name}, nil
}

func (p *program) Rename(from, to string) error {
	p.named[from] = true
	return p.Mem.Rename(from, to)
}

func (p *program) SyncDir(dir string) error {
	if p.now(dirNotSynced) {
		return nil
	}
	return p.Mem.SyncDir(dir)
}

func (p *program) Remove(name string) error {
	err := p.Mem.Remove(name)
	if err == nil && strings.HasSuffix(name, ".wal") && p.now(removedTwo) {
		names, _ := p.List(filepath.Dir(name))
		for _, next := range names {
			if strings.HasSuffix(next, ".wal") && next > filepath.Base(name) {
				return p.Mem.Remove(filepath.Join(filepath.Dir(name), next))
			}
		}
	}
	return err
}

func (f *programFile) entries() bool { return f.p.named[f.name] && strings.Contains(f.name, ".wal") }

func (f *programFile) catchUp() {
	if f.late {
		f.late = false
		_ = f.File.Sync()
	}
}

func (f *programFile) WriteAt(b []byte, off int64) (int, error) {
	f.catchUp()
	if f.p.misuse == markAhead && strings.Contains(f.name, "manifest") {
		b = ahead(b)
	}
	n, err := f.File.WriteAt(b, off)
	switch {
	case err == nil || !f.entries():
	case f.p.now(shortIgnored):
		return len(b), nil
	case f.p.now(rewritten):
		if _, err := f.File.WriteAt(b, off+int64(len(b))); err == nil {
			return len(b), nil
		}
	}
	return n, err
}

// ahead is a manifest whose mark is higher.
func ahead(b []byte) []byte {
	var durable int
	at := bytes.Index(b, []byte(`"durable":`))
	if _, err := fmt.Sscanf(string(b[at:]), `"durable":%d`, &durable); err != nil {
		panic(err)
	}
	b = fmt.Appendf(bytes.Clone(b[:at]), `"durable":%d`, durable+64)
	return fmt.Appendf(b, ",\"crc\":\"%08x\"}\n", crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

func (f *programFile) Sync() error {
	switch {
	case f.entries() && f.p.now(syncSkipped), !f.entries() && strings.Contains(f.name, ".wal") && f.p.now(headerNotSynced):
		return nil
	case f.entries() && f.p.now(syncLate):
		f.late = true
		return nil
	}
	err := f.File.Sync()
	if err != nil && f.p.now(syncRetried) {
		return f.File.Sync()
	}
	return err
}

// TestPlantsAreCaught runs the simulation with each plant until it is caught.
func TestPlantsAreCaught(t *testing.T) {
	const most = 20_000
	for _, p := range plants {
		t.Run(p.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				crashes := 0
				for seed := *simSeed; crashes < most; seed++ {
					l := run(t.Context(), seed, &p)
					if crashes += l.crashes + 1; l.wrong != nil {
						fmt.Printf("plant caught after %d crashes: %s (%v)\n", crashes, p.name, l.wrong)
						return
					}
				}
				t.Errorf("not caught by %d crashes", crashes)
			})
		})
	}
}
