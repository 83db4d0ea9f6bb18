package logformat

import (
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/cryptotest"
	"testing/synctest"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/ingest"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// seen is every file that ever lay in the two directories, between any two operations.
type seen struct {
	fs    *vfs.Mem
	busy  sync.Mutex
	files map[string][]byte // the last content
}

func (s *seen) look(vfs.Op, string) {
	if !s.busy.TryLock() {
		return // it is called by what it does itself
	}
	defer s.busy.Unlock()
	for _, dir := range []string{dir, refuge} {
		names, _ := s.fs.List(dir) // a disk in memory, which nothing was told to let fail
		for _, name := range names {
			b, _ := vfs.ReadFile(s.fs, filepath.Join(dir, name))
			if len(b) > 0 || s.files[name] == nil {
				s.files[name] = b
			}
		}
	}
}

// TestThePageNamesEveryFile damages the log in all ways that leave files behind, and looks at the directories before
// every operation of what opens, closes and salvages it.
func TestThePageNamesEveryFile(t *testing.T) {
	p, _ := readPage(t)
	cryptotest.SetGlobalRandom(t, 1)
	fs := vfs.NewMem()
	s := &seen{fs: fs, files: map[string][]byte{"lock": nil}} // a lock in memory is no file
	fs.Slow(s.look)
	synctest.Test(t, func(t *testing.T) {
		m := &maker{t: t, fs: fs, next: map[streamdown.LaneID]streamdown.Ordinal{}, keep: s.look}
		m.story()
		m.size = 1 << 20 // with a reserve
		m.start()
		m.stop()
		last := func() string { return m.segments()[len(m.segments())-1].Name }

		change(m, last(), func(b []byte) []byte { return append(b, "a torn tail"...) })
		m.start()
		m.stop()

		// No room in the first directory: the log goes on in the refuge.
		m.size = 0
		m.start()
		fs.SetSpaceIn(dir, fs.UsedIn(dir), syscall.ENOSPC)
		m.tell(m.filler(0), m.filler(0))
		fs.SetSpaceIn(dir, -1, nil)
		m.stop()
		other := &maker{t: t, fs: vfs.NewMem(), next: m.next}
		other.start()
		other.stop()
		theirs := contents(t, other.fs, dir)

		flip := func(b []byte) []byte { b[50]++; return b }
		change(m, m.segments()[1].Name, flip)
		change(m, "manifest", flip)
		fs.Change(filepath.Join(refuge, "refuge"), func(b []byte) []byte { return b[1:] })
		m.must(put(fs, "0000009999-00000000000000099999.wal", theirs[other.segments()[0].Name]))
		m.must(fs.Rename(filepath.Join(dir, m.segments()[0].Name), filepath.Join(dir, "0000000555-00000000000000055555.wal")))
		m.salvage(wal.SalvageConfig{Refuge: refuge})
		m.start()
		m.stop()
		change(m, "manifest", func([]byte) []byte { return theirs["manifest"] })
		m.salvage(wal.SalvageConfig{Refuge: refuge})
		for _, s := range m.segments() { // nothing is left: a new log
			change(m, s.Name, func(b []byte) []byte { clear(b); return b })
		}
		m.salvage(wal.SalvageConfig{Refuge: refuge, Export: "/export", NewLog: true})
	})
	fs.Slow(nil)
	for name, b := range s.files {
		if p.File(name) == "" {
			t.Errorf("file %s is in no row of the table of files", name)
		}
		table := ""
		switch {
		case name == "refuge":
			table = name
		case name == "salvage.pending" || name == "salvage.moving" || strings.HasPrefix(name, "salvage-"):
			table = "moves"
		}
		if table == "" {
			continue
		}
		if err := p.object(table, b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, unused := range p.Unused() {
		if strings.HasPrefix(unused, "file ") || strings.HasPrefix(unused, "keys mov") {
			t.Errorf("nothing needs this row, so nothing shows that it is true: %s", unused)
		}
	}
}

func change(m *maker, name string, f func([]byte) []byte) {
	for _, dir := range []string{dir, refuge} {
		m.fs.Change(filepath.Join(dir, name), f)
	}
}

func put(fs vfs.FS, name string, b []byte) error {
	return vfs.WriteFile(fs, filepath.Join(dir, name), b)
}

func (m *maker) segments() []wal.SegmentInfo {
	m.t.Helper()
	list, err := wal.Segments(m.t.Context(), m.fs, dir, false)
	m.must(err)
	return list
}

func (m *maker) salvage(cfg wal.SalvageConfig) {
	m.t.Helper()
	cfg.FS, cfg.Dir, cfg.Books = m.fs, dir, []wal.Book{delivery.New(), ingest.New(ingest.Config{}), catalog.New()}
	s, err := wal.OpenSalvage(m.t.Context(), cfg)
	m.must(err)
	m.must(s.Run(m.t.Context()))
	m.must(s.Close())
}
