package ledger

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/streamdown/streamdown/vfs"
)

// output is the file that is written to.
type output struct {
	number uint64 // of the newest file that was ever begun
	file   vfs.File
	name   string
	size   int64
	began  time.Time
	made   bool // since files were last counted
}

// takes reports whether the file takes another block.
func (o *output) takes(k *Keeper) bool {
	return o.file != nil && o.size < min(max(k.cfg.MaxSize/16, leastFile), mostFile) && k.cfg.Now().Sub(o.began) < k.cfg.Keep/16
}

// giveUp ends with the file: it is full, or something failed and nothing of it can be trusted any more but what was synced.
func (o *output) giveUp() {
	if o.file != nil {
		_ = o.file.Close() // all that counts was synced
		o.file = nil
	}
}

// append makes a block durable, in a new file if begin made a head for one.
func (o *output) append(k *Keeper, block []byte) error {
	if len(k.head) > 0 {
		return o.create(k, block)
	}
	if _, err := o.file.WriteAt(block, o.size); err != nil {
		return fmt.Errorf("write %s: %w", o.name, err)
	}
	if err := o.file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", o.name, err)
	}
	o.size += int64(len(block))
	k.note(func(s *Stats) { s.Bytes += int64(len(block)) })
	return nil
}

// create makes a file that begins with a block. Its name is durable when it returns nil; before, a crash leaves nothing, or
// the file with the block.
func (o *output) create(k *Keeper, block []byte) (err error) {
	fs := k.cfg.FS
	o.number++
	o.name = fileName(o.number, k.block.from)
	path := filepath.Join(k.cfg.Dir, o.name)
	f, err := fs.Create(path + ".tmp")
	if err != nil {
		return fmt.Errorf("create %s: %w", o.name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
			_ = fs.Remove(path + ".tmp") // opening removes it otherwise
		}
	}()
	if _, err = f.WriteAt(k.head, 0); err == nil {
		_, err = f.WriteAt(block, int64(len(k.head)))
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = fs.Rename(path+".tmp", path)
	}
	if err == nil {
		err = fs.SyncDir(k.cfg.Dir)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", o.name, err)
	}
	o.file, o.size, o.began, o.made = f, int64(len(k.head)+len(block)), k.cfg.Now(), true
	k.head = k.head[:0]
	return nil
}
