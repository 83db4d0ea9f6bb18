package wal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
)

// manifest is the copy of the durable mark that lies outside the segments. Its last field is a CRC32C of all bytes
// before that field, also in later formats, so that damage is not taken for another log, mark or format.
type manifest struct {
	Log     streamdown.ID
	Durable streamdown.LSN
	Refuge  string // the second directory; empty = none
	Bound   bool   // a manifest that names Refuge was durable before this one was written
}

type manifestFile struct {
	Format  int    `json:"format"`
	Log     string `json:"log"`
	Durable uint64 `json:"durable"`
	Refuge  string `json:"refuge,omitempty"`
	Bound   bool   `json:"bound,omitempty"`
}

const manifestCRC = `,"crc":"`

func (l *Log) manifestPath() string { return filepath.Join(l.cfg.Dir, "manifest") }

// loadManifest returns nil when there is none.
func (l *Log) loadManifest() (*manifest, error) {
	b, err := vfs.ReadFile(l.cfg.FS, l.manifestPath())
	if vfs.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	man, err := parseManifest(b)
	if errors.Is(err, errNewer) {
		return nil, fmt.Errorf("%w; "+startNewer, err)
	}
	if err != nil {
		// It is only a copy, and it is replaced atomically, so this is damage: the segments have the same mark.
		l.cfg.Logger.Warn("manifest is damaged; going on without it", "err", err)
		l.hadManifest = true
		return nil, nil
	}
	return man, nil
}

func parseManifest(b []byte) (*manifest, error) {
	// Without the field it was written before there was one: a damaged field leaves the rest as it was.
	if at := bytes.LastIndex(b, []byte(manifestCRC)); at >= 0 && string(b[at:]) != crcField(b[:at]) {
		return nil, errors.New("it does not match its checksum")
	}
	var f manifestFile
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, err
	}
	if f.Format != 1 {
		return nil, fmt.Errorf("manifest format %d: %w", f.Format, errNewer)
	}
	id, err := streamdown.ParseID(f.Log)
	if err != nil {
		return nil, err
	}
	return &manifest{Log: id, Durable: streamdown.LSN(f.Durable), Refuge: f.Refuge, Bound: f.Bound && f.Refuge != ""}, nil
}

func (l *Log) writeManifest() error {
	b, err := encodeManifest(manifest{Log: l.id, Durable: streamdown.LSN(l.durable.Load()), Refuge: l.cfg.Refuge, Bound: l.refuge.bound})
	if err != nil {
		return err
	}
	if err = vfs.WriteFile(l.cfg.FS, l.manifestPath(), b); err != nil {
		l.dirFailures.Add(1) // of the sync of the directory, perhaps
	}
	return err
}

func encodeManifest(m manifest) ([]byte, error) {
	b, err := json.Marshal(manifestFile{Format: 1, Log: m.Log.String(), Durable: uint64(m.Durable), Refuge: m.Refuge, Bound: m.Bound})
	if err != nil {
		return nil, err
	}
	b = b[:len(b)-1] // the brace
	return append(b, crcField(b)...), nil
}

// crcField is how a manifest ends that begins with b.
func crcField(b []byte) string {
	return fmt.Sprintf("%s%08x\"}\n", manifestCRC, crc32.Checksum(b, castagnoli))
}

// saveManifest copies the mark; that it fails is worth a line and nothing more, for the log itself has it.
func (l *Log) saveManifest() {
	if err := l.writeManifest(); err != nil {
		l.cfg.Logger.Warn("copy the durable mark to the manifest", "err", err)
	}
}
