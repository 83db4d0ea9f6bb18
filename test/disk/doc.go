// Package disk tries the log on real disks: under strace, which lets each system call of a short run fail or kills the
// process at it, on full and quota-bound disks, and on ext4 and xfs whose power is cut.
//
//	go test -tags real -v ./test/disk [-args -cycles 1000]
//
// The power is cut by the shutdown ioctl of the two file systems, which drops what was not synced; the disks are loop
// devices, so root is needed. What a machine does not allow is skipped with the reason.
//
// Stability: may change.
package disk
