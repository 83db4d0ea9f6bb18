package wal

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
)

// What a file of a data directory is, as SalvageFile.What.
const (
	FileSegment  = "segment"          // of this log
	FileForeign  = "another log's"    // a segment of another log
	FileCopy     = "copy"             // the same segment as another file
	FileLoser    = "contradicts"      // a segment of this log that cannot follow the others
	FileUnknown  = "no segment"       // named like one, but nothing in it is of this log
	FileReplaced = "replaced earlier" // an earlier salvage wrote it anew
	FileAside    = "set aside earlier"
	FileManifest = "manifest"
	FileTorn     = "torn tail"
	FileScratch  = "scratch" // unfinished, or room kept to be written over: opening removes it
	FileOther    = "other"
)

// found is a file of a data directory.
type found struct {
	dir, name string
	what      string
	detail    string
	size      int64
	file      *patient       // nil while it is closed
	bad       map[int64]bool // pages that the disk does not give back

	named  bool // the name is that of a segment, or begins with one
	number uint64
	first  streamdown.LSN

	head    header // when headErr is nil
	headErr error
	state   int // its size, as the header says
	crc     uint32

	// Where the file belongs, when placed is set: entries from LSN at lie from byte start on.
	placed  bool
	slot    slot
	start   int64
	mine    bool // header is whole and that of slot
	holds   bool // there is a whole entry
	view    bool // it is another file's, which holds parts of two segments
	nowhere bool // it has entries of this log, but its number is lost; slot.first is the lowest of them
	weight  int64
	end     streamdown.LSN // behind the last whole entry, when weighed
	weighed bool
}

// slot is the place of a segment in the log.
type slot struct {
	number uint64
	first  streamdown.LSN
}

func (p slot) name() string { return segmentName(p.number, p.first) }

func (f *found) path() string { return filepath.Join(f.dir, f.name) }

// segmentNamed reports whether opening takes the file for a segment.
func (f *found) segmentNamed() bool {
	_, _, ok := parseSegmentName(f.name)
	return ok
}

// maxLSN and maxNumber bound what can be believed of a name or a header: positions are added to them.
const (
	maxLSN    streamdown.LSN = 1 << 60
	maxNumber uint64         = 1 << 60
)

var (
	replacedName = regexp.MustCompile(`^(.+)\.broken-\d+$`)
	asideName    = regexp.MustCompile(`\.aside-\d+$`)
	tornName     = regexp.MustCompile(`^torn-(\d{20})-\d+\.bin$`)
	segmentBegin = regexp.MustCompile(`^\d{10,}-\d{20}\.wal`)
)

const (
	freshSuffix = ".tmp"   // a file that is written, until it gets its name; opening removes those of segments
	holdSuffix  = ".moved" // a file on its way from one name to another
)

// classify says by its name what a file is; empty = its content has to tell.
func (f *found) classify() string {
	switch n := f.name; {
	case n == "manifest":
		return FileManifest
	case n == "lock" || n == refugeFile || n == pendingAway || n == pendingBack || strings.HasPrefix(n, "salvage-"):
		return FileOther
	case strings.HasPrefix(n, "torn-"):
		return FileTorn
	case strings.HasSuffix(n, freshSuffix):
		return FileScratch
	case asideName.MatchString(n):
		return FileAside
	case replacedName.MatchString(n):
		return FileReplaced
	}
	return ""
}

// look lists the directories and reads the headers of all that may be segments.
func (s *Salvage) look(ctx context.Context) error {
	for _, dir := range s.dirs {
		names, err := s.cfg.FS.List(dir)
		if err != nil {
			return fmt.Errorf("list: %w", err)
		}
		for _, name := range names {
			if err := ctx.Err(); err != nil {
				return err
			}
			f := &found{dir: dir, name: name}
			f.what = f.classify()
			if err := s.peek(f); err != nil {
				return err
			}
			s.files = append(s.files, f)
		}
	}
	return nil
}

// peek reads the header of a file that may be a segment, and its size.
func (s *Salvage) peek(f *found) error {
	base := f.name
	if m := replacedName.FindStringSubmatch(f.name); m != nil {
		base = m[1]
		if s.lostList { // it may be the only one with its content: the list of renames cannot tell any more
			f.what = ""
		}
	}
	if b := segmentBegin.FindString(base); b != "" {
		f.number, f.first, f.named = parseSegmentName(b)
		f.named = f.named && f.number <= maxNumber && f.first <= maxLSN && f.first >= firstLSN
	}
	if err := s.open(f); err != nil {
		if f.segmentNamed() {
			return fmt.Errorf("%w; this needs the user that the log was written by", err)
		}
		f.what, f.detail = FileOther, "cannot be read: "+err.Error()
		return nil
	}
	defer f.close()
	var err error
	if f.size, err = f.file.Size(); err != nil {
		return fmt.Errorf("size of %s: %w", f.path(), err)
	}
	if f.what != "" && f.what != FileReplaced && f.what != FileManifest {
		return nil
	}
	var b [segmentHeader]byte
	n, err := f.file.ReadAt(b[:], 0)
	if err != nil && n < len(b) && isFileError(err) {
		if f.segmentNamed() && !errors.Is(err, syscall.EISDIR) {
			return fmt.Errorf("read header of %s: %w", f.path(), err)
		}
		f.what, f.detail = FileOther, "no file"
		return nil
	}
	f.head, f.state, f.crc, f.headErr = parseHeader(b[:n])
	if f.headErr == nil && (f.head.number > maxNumber || f.head.first > maxLSN || f.head.first < firstLSN || f.state > maxState) {
		f.headErr = errHeader
	}
	switch {
	case f.what == FileManifest && f.headErr == nil: // it was given a segment's bytes, or a segment its name
		f.what = ""
		s.total += f.size
	case f.what != "":
	case errors.Is(f.headErr, errNewer) && f.segmentNamed():
		return fmt.Errorf("%s: %w; "+startNewer, f.path(), f.headErr)
	case f.headErr != nil && !f.named:
		f.what = FileOther
	default:
		s.total += f.size
	}
	return nil
}

func (s *Salvage) open(f *found) error {
	if f.file != nil {
		return nil
	}
	file, err := s.cfg.FS.Open(f.path())
	if err != nil {
		return err
	}
	if f.bad == nil {
		f.bad = map[int64]bool{}
	}
	f.file = &patient{file, f.bad}
	return nil
}

func (f *found) close() {
	if f.file != nil {
		f.file.Close()
		f.file = nil
	}
}

// candidate reports whether the file may be a segment.
func (f *found) candidate() bool { return f.what == "" }

// span is that of the file's entries, up to the end of the file.
func (f *found) span(seed uint32) span {
	return span{file: f.file, seed: seed, first: f.slot.first, start: f.start, limit: f.slot.first + streamdown.LSN(max(0, f.size-f.start))} //nolint:gosec // not negative
}

// readableState returns the state behind a whole header, when its checksum is right.
func (f *found) readState(log streamdown.ID) ([]byte, error) {
	_, state, err := readState(f.file, log)
	return state, err
}

// patient reads a file on a disk that does not give all of it back: what cannot be read is zeros, and is counted.
// Other errors are the file's own.
type patient struct {
	vfs.File
	bad map[int64]bool // pages; a bad one is not asked for again, that takes seconds on some disks
}

// unreadable tells a place that the disk does not give back from a file that cannot be had at all.
func unreadable(err error) bool {
	return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ENODATA) || errors.Is(err, syscall.EUCLEAN) || errors.Is(err, syscall.EBADMSG)
}

// ReadAt implements io.ReaderAt.
func (p *patient) ReadAt(b []byte, off int64) (int, error) {
	if len(p.bad) == 0 {
		n, err := p.File.ReadAt(b, off)
		if !unreadable(err) {
			return n, err
		}
	}
	for at := 0; at < len(b); {
		pos := off + int64(at)
		here := pos / page
		n := min(len(b)-at, int((here+1)*page-pos))
		if p.bad[here] {
			clear(b[at : at+n])
			at += n
			continue
		}
		got, err := p.File.ReadAt(b[at:at+n], pos)
		switch {
		case unreadable(err):
			p.bad[here] = true
			continue
		case err != nil:
			return at + got, err
		}
		at += n
	}
	return len(b), nil
}
