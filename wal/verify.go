package wal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/vfs"
)

// What can be wrong with a log, as Damage.Kind.
const (
	DamageManifest = "manifest" // the manifest cannot be read or names another log
	DamageHeader   = "header"   // a segment's header
	DamageState    = "state"    // the state at a segment's start
	DamageEntries  = "entries"  // bytes that are no valid entries
	DamageMissing  = "missing"  // bytes or segments that are not there
	DamageMark     = "mark"     // a mark that cannot be true
	DamageOrdinals = "ordinals" // a lane whose ordinals do not follow each other, or a batch that contradicts its entry
	DamageLane     = "lane"     // a lane that was never named, or twice
)

// Damage is one thing that is wrong, with exact coordinates. Positions are half-open; both are zero where the damage
// has no place in a file or in the log.
type Damage struct {
	Kind    string         `json:"kind"`
	Segment string         `json:"segment,omitempty"` // file name
	From    int64          `json:"from_byte"`         // in the file
	To      int64          `json:"to_byte"`
	FromLSN streamdown.LSN `json:"from_lsn"`
	ToLSN   streamdown.LSN `json:"to_lsn"`
	Detail  string         `json:"detail"`
}

func (d Damage) String() string {
	s := d.Kind
	if d.Segment != "" {
		s += " in " + d.Segment
	}
	if d.To > d.From {
		s += fmt.Sprintf(", bytes [%d, %d)", d.From, d.To)
	}
	if d.ToLSN > d.FromLSN {
		s += fmt.Sprintf(", log bytes [%d, %d)", d.FromLSN, d.ToLSN)
	}
	return s + ": " + d.Detail
}

// mended reports whether a salvage mends it: not what lies in entries, which it can only name.
func (d Damage) mended() bool {
	return d.Kind == DamageManifest || d.Kind == DamageHeader || d.Kind == DamageState
}

// maxDamage is how many damages a report lists; all are counted.
const maxDamage = 1000

// VerifyReport is what Verify found.
type VerifyReport struct {
	SchemaVersion int            `json:"schema_version"`
	Verdict       string         `json:"verdict"` // "clean", "damaged", "not checked"
	Dir           string         `json:"dir"`
	LogID         *string        `json:"log_id"`   // null when not known
	Manifest      string         `json:"manifest"` // "ok", "missing", "damaged"
	Segments      int            `json:"segments"`
	Released      int            `json:"released_meanwhile"` // segments that a running process removed before they were read
	First         streamdown.LSN `json:"first_lsn"`
	End           streamdown.LSN `json:"end_lsn"`
	Mark          streamdown.LSN `json:"durable_mark"` // all below it was on stable storage
	Entries       int64          `json:"entries"`      // that passed every check
	Batches       int64          `json:"batches"`
	Records       int64          `json:"records"`
	Bytes         int64          `json:"bytes_checked"`
	// Tail is what follows the last whole entry above the mark: a write under way, or torn by a crash; the next start
	// of the process cuts it and keeps it aside.
	Tail int64 `json:"tail_bytes"`
	// Cut is what lies in earlier segments behind the place where the next one begins: torn tails and given-up writes.
	Cut int64 `json:"cut_bytes"`
	// Torn are files with tails that were cut off; they may have held acked records.
	Torn        []string  `json:"torn_files"`
	DamageCount int64     `json:"damage_count"`
	DamageBytes int64     `json:"damage_bytes"`
	Damage      []Damage  `json:"damage"`
	At          time.Time `json:"at"`
	Elapsed     float64   `json:"elapsed_seconds"`
}

// Exit is the command's exit code: 0 clean, 4 damaged, 6 when there was nothing that could be checked.
func (r *VerifyReport) Exit() int {
	switch r.Verdict {
	case "clean":
		return 0
	case "damaged":
		return 4
	}
	return 6
}

// String is the report for people, without a newline at its end.
func (r *VerifyReport) String() string {
	var b strings.Builder
	for _, d := range r.Damage {
		fmt.Fprintf(&b, "damage: %s\n", d)
	}
	if n := r.DamageCount - int64(len(r.Damage)); n > 0 {
		fmt.Fprintf(&b, "damage: %d more\n", n)
	}
	for _, name := range r.Torn {
		fmt.Fprintf(&b, "note: %s holds a tail that was cut off; it may have held acked records\n", name)
	}
	if r.Tail > 0 {
		fmt.Fprintf(&b, "note: %d bytes behind the last whole entry: a write under way, or torn by a crash\n", r.Tail)
	}
	if slices.ContainsFunc(r.Damage, Damage.mended) {
		fmt.Fprintf(&b, "note: %s\n", trySalvage(r.Dir))
	}
	fmt.Fprintf(&b, "%s: %d segments, %d entries, %d batches, %d records, %d bytes checked, log bytes [%d, %d), %d damaged",
		r.Verdict, r.Segments, r.Entries, r.Batches, r.Records, r.Bytes, r.First, r.End, r.DamageCount)
	if r.Verdict == "not checked" {
		b.WriteString("; there is no entry in ")
		b.WriteString(r.Dir)
	}
	return b.String()
}

func (r *VerifyReport) add(d Damage) {
	r.DamageCount++
	r.DamageBytes += d.To - d.From
	if len(r.Damage) < maxDamage {
		r.Damage = append(r.Damage, d)
	}
}

// Verify checks every byte of the log in dir that means something: manifest, headers, states, entries, batches, marks,
// and that segments, positions and each lane's ordinals follow each other. It takes no lock and writes nothing, and
// may run while a process appends: then it goes as far as whole entries reach. Padding is not looked at. It reads in
// pieces of 1 MiB, or of the largest entry or state. progress, which may be nil, hears of bytes read so far and of those to
// read. The error says that the check could not be done; what is wrong with the log stands in the report.
func Verify(ctx context.Context, fs vfs.FS, dir string, progress func(done, total int64)) (VerifyReport, error) {
	began := time.Now()
	v := verifier{
		fs: fs, dir: dir, progress: progress, lanes: map[streamdown.LaneID]laneSeen{}, gaps: map[streamdown.LSN]string{},
		rep: VerifyReport{SchemaVersion: 1, Dir: dir, Manifest: "ok", Torn: []string{}, Damage: []Damage{}, At: began.UTC()},
	}
	if err := v.run(ctx); err != nil {
		return VerifyReport{}, fmt.Errorf("verify log in %s: %w", dir, err)
	}
	switch {
	case v.rep.DamageCount > 0:
		v.rep.Verdict = "damaged"
	case v.rep.Entries > 0:
		v.rep.Verdict = "clean"
	default:
		v.rep.Verdict = "not checked"
	}
	v.rep.Elapsed = time.Since(began).Seconds()
	return v.rep, nil
}

type verifier struct {
	fs       vfs.FS
	dir      string
	progress func(done, total int64)
	rep      VerifyReport
	r        *Reader
	total    int64 // bytes of all files
	seen     uint64
	begun    bool // seen is the number of the last segment looked at
	mark     streamdown.LSN
	lanes    map[streamdown.LaneID]laneSeen
	damages  int64                     // damaged ranges passed so far
	gaps     map[streamdown.LSN]string // segments missing before the one that begins here
}

// laneSeen is where a lane goes on, and how much damage had been passed when that was learned: what follows more
// damage may skip ordinals, as they lie in it.
type laneSeen struct {
	next    streamdown.Ordinal
	damages int64
}

func (v *verifier) run(ctx context.Context) error {
	man, err := readManifest(v.fs, v.dir)
	switch {
	case errors.Is(err, errNewer) || err != nil && isFileError(err):
		return err
	case err != nil:
		v.rep.Manifest = "damaged"
		v.rep.add(Damage{Kind: DamageManifest, Segment: "manifest", Detail: err.Error()})
	case man == nil:
		v.rep.Manifest = "missing"
	}
	if err := v.list(man); err != nil || v.rep.Segments == 0 {
		return err
	}
	if v.r, err = OpenReader(v.fs, v.dir); err != nil {
		if errors.Is(err, errNewer) || isFileError(err) {
			return err
		}
		v.rep.add(Damage{Kind: DamageHeader, Detail: err.Error()})
		return nil
	}
	defer v.r.Close()
	id := v.r.id.String()
	v.rep.LogID = &id
	if man != nil && man.Log != v.r.id {
		v.rep.Manifest = "damaged"
		v.rep.add(Damage{Kind: DamageManifest, Segment: "manifest", Detail: fmt.Sprintf("it names log %s, the segments are of %s", man.Log, id)})
	}
	v.rep.First = v.r.First()
	return v.entries(ctx)
}

// isFileError tells that the disk did not answer from that its answer makes no sense.
func isFileError(err error) bool {
	var os interface{ Timeout() bool } // fs.PathError and the kernel's own errors have it
	return errors.As(err, &os)
}

// list looks at names only: are the numbers dense?
func (v *verifier) list(man *manifest) error {
	names, err := v.fs.List(v.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, "torn-") {
			v.rep.Torn = append(v.rep.Torn, name)
		}
	}
	segments, err := listSegments(v.fs, v.dir)
	if err != nil {
		if isFileError(err) {
			return err
		}
		v.rep.add(Damage{Kind: DamageMissing, Detail: err.Error()})
		return nil
	}
	v.rep.Segments = len(segments)
	if len(segments) == 0 && man != nil {
		v.rep.add(Damage{Kind: DamageMissing, ToLSN: man.Durable, Detail: fmt.Sprintf(
			"the manifest names log %s, durable up to %d, and there is no segment: is the right disk mounted?", man.Log, man.Durable)})
	}
	for i, s := range segments {
		if i > 0 && s.number != segments[i-1].number+1 {
			v.gaps[s.first] = fmt.Sprintf("segments %d to %d are missing", segments[i-1].number+1, s.number-1)
		}
		f, err := v.fs.Open(s.path)
		if vfs.IsNotExist(err) {
			continue
		}
		if err != nil {
			return err
		}
		size, err := f.Size()
		f.Close()
		if err != nil {
			return err
		}
		v.total += size
	}
	return nil
}

// entries reads all of the log.
func (v *verifier) entries(ctx context.Context) error {
	var c Chunk
	for at := v.rep.First; ; at = c.Next {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := v.headers(at); err != nil {
			return err
		}
		err := v.r.Read(&c, at)
		var bad *CorruptError
		switch {
		case errors.As(err, &bad):
			v.damaged(bad)
			continue
		case errors.Is(err, ErrReleased): // by the process that owns it
			v.damages++
			c.Next = v.r.First()
			continue
		case err != nil:
			return err
		case len(c.Entries) == 0:
			if err := v.headers(at); err != nil { // of segments that hold nothing yet
				return err
			}
			return v.end(at)
		}
		for i := range c.Entries {
			v.entry(&c.Entries[i])
		}
		v.rep.Bytes += int64(c.Next - at) //nolint:gosec // positive
		v.tell()
	}
}

func (v *verifier) tell() {
	if v.progress != nil {
		v.progress(v.rep.Bytes, max(v.rep.Bytes, v.total))
	}
}

// headers checks the header and state of every segment that begins at or before lsn and was not looked at yet.
func (v *verifier) headers(lsn streamdown.LSN) error {
	for i, s := range v.r.segments {
		if s.first > lsn || v.begun && s.number <= v.seen {
			continue
		}
		if v.begun && i == 0 && s.number > v.seen+1 {
			v.rep.Released += int(s.number - v.seen - 1) //nolint:gosec // few
		}
		v.seen, v.begun = s.number, true
		b, err := v.r.header(s)
		if vfs.IsNotExist(err) {
			v.rep.Released++
			continue
		}
		if err != nil {
			return err
		}
		h, size, _, err := parseHeader(b)
		if errors.Is(err, errNewer) {
			return err
		}
		if err == nil && (h.log != v.r.id || h.number != s.number || h.first != s.first) {
			err = fmt.Errorf("it says segment %d of log %s at %d: the file is another log's or was renamed", h.number, h.log, h.first)
		}
		if err != nil {
			v.rep.add(Damage{Kind: DamageHeader, Segment: s.name, To: int64(len(b)), Detail: err.Error()})
			continue
		}
		v.rep.Bytes += int64(len(b))
		state, err := v.r.state(s)
		if errors.Is(err, ErrReleased) {
			v.rep.Released++
			return nil // the list of segments was read anew
		}
		if err == nil {
			var names laneBook
			names.init()
			err = restore([]Book{&names}, state)
		}
		if err != nil && isFileError(err) {
			return err
		}
		if err != nil {
			v.rep.add(Damage{Kind: DamageState, Segment: s.name, From: segmentHeader, To: segmentHeader + int64(size), Detail: err.Error()})
			continue
		}
		v.rep.Bytes += int64(len(state))
	}
	return nil
}

func (v *verifier) damaged(bad *CorruptError) {
	v.damages++
	d := Damage{Kind: DamageEntries, Segment: bad.Segment, FromLSN: bad.From, ToLSN: bad.To, Detail: bad.Err.Error()}
	if s := v.r.current; s != nil && s.name == bad.Segment && s.file != nil {
		d.From, d.To = s.start+int64(bad.From-s.first), s.start+int64(bad.To-s.first) //nolint:gosec // positive
		if size, err := s.file.Size(); err == nil && d.To > size {
			if d.To = max(d.From, size); d.To == d.From {
				d.Kind = DamageMissing
			}
		}
	}
	if why, ok := v.gaps[bad.To]; ok && d.To == d.From {
		d.Detail = why
		delete(v.gaps, bad.To)
	}
	v.rep.add(d)
}

// end says what lies behind the last whole entry, and behind the ends of earlier segments.
func (v *verifier) end(at streamdown.LSN) error {
	v.rep.End, v.rep.Mark, v.rep.Segments = at, v.r.mark, len(v.r.segments)+v.rep.Released
	for i, s := range v.r.segments {
		_, sp, last, err := v.r.span(s.first)
		if i+1 < len(v.r.segments) && v.r.segments[i+1].first == s.first || vfs.IsNotExist(err) {
			continue // nothing of it counts, or it was released
		}
		if err != nil {
			return err
		}
		size, err := sp.file.Size()
		if err != nil {
			return err
		}
		if s.room > size {
			v.rep.add(Damage{Kind: DamageMissing, Segment: s.name, From: size, To: s.room, Detail: "the file was cut: it had that size before it was written over"})
		}
		// Below its room a file goes on with what it held before.
		if last {
			v.rep.Tail = max(0, size-max(s.room, sp.pos(at)))
		} else {
			v.rep.Cut += max(0, size-max(s.room, sp.pos(sp.limit)))
		}
	}
	v.tell()
	return nil
}

// entry checks one entry, whose checksums are right, against those before it.
func (v *verifier) entry(e *Entry) {
	wrong := func(kind, format string, args ...any) {
		d := Damage{Kind: kind, FromLSN: e.LSN, ToLSN: e.End(), Detail: fmt.Sprintf(format, args...)}
		if s := v.r.current; s != nil {
			d.Segment, d.From = s.name, s.start+int64(e.LSN-s.first) //nolint:gosec // positive
			d.To = d.From + int64(e.Size())
		}
		v.rep.add(d)
	}
	v.rep.Entries++
	switch e.Kind {
	case KindMark:
		m := markOf(e)
		if len(e.Body) != 8 || m > e.LSN || m < v.mark {
			wrong(DamageMark, "a mark at %d, after %d, says that all below %d was durable", e.LSN, v.mark, m)
			return
		}
		v.mark = m
	case KindLane:
		if len(e.Body) == 0 {
			wrong(DamageLane, "lane %d has no name", e.Lane)
		}
	case KindBatch:
		v.batch(e, wrong)
	}
}

func (v *verifier) batch(e *Entry, wrong func(kind, format string, args ...any)) {
	v.rep.Batches++
	v.rep.Records += int64(e.Count)
	h, err := batch.ParseHeader(e.Body)
	if err != nil || h.Count != e.Count || e.Count <= 0 || e.Ordinal < 0 {
		wrong(DamageOrdinals, "an entry of lane %d, ordinal %d and %d records holds a batch of %d", e.Lane, e.Ordinal, e.Count, h.Count)
	}
	name, ok := v.r.LaneName(e.Lane)
	if !ok && v.rep.DamageCount == 0 { // else its name may have been damaged
		wrong(DamageLane, "a batch of lane %d, which was never named", e.Lane)
	}
	seen, known := v.lanes[e.Lane]
	if known && e.Ordinal != seen.next && !(e.Ordinal > seen.next && v.damages > seen.damages) {
		wrong(DamageOrdinals, "%s goes on at ordinal %d, expected %d", name, e.Ordinal, seen.next)
	}
	v.lanes[e.Lane] = laneSeen{next: e.Ordinal + streamdown.Ordinal(e.Count), damages: v.damages}
}
