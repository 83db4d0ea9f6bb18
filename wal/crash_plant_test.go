package wal_test

import "github.com/streamdown/streamdown/vfs"

// A plant is a fault that is built in on purpose.
type plant struct {
	name    string
	pending bool                    // a state holds what is not durable
	early   bool                    // Release is asked for more than was confirmed
	disk    func(d *vfs.Mem) vfs.FS // a disk used as a faulty program would
}
