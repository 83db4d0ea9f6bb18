// Package wal appends entries durably to the write-ahead log of one data directory and reads them back in order.
//
// One log is shared by all topic-partitions ([streamdown.LaneID] is their short name in it). [Log.Append] copies an
// entry into the group that is being collected and returns; one writer goroutine writes a group in pieces, syncs as
// soon as the last sync ended, and then shows each entry of the group to the [Book]s, in order. An entry is
// acknowledged by nobody before a Book saw it: that call is the commit point.
//
// # State is what the entries made
//
// A Book is a state that is a function of the log's entries. Each segment begins with a snapshot of all Books, so
// opening reads one segment, whatever the size of the log: restore the last whole snapshot, apply what follows.
// Running and recovering share that one code path.
//
// # Files
//
//	DIR/manifest                              JSON: format, log id, durable mark, refuge, CRC32C; replaced atomically
//	DIR/0000000007-00000000000001234567.wal   a segment: its number and its first LSN
//	DIR/spare-0000000003.wal.tmp              a released segment, to be written over
//	DIR/reserve-0.wal.tmp                     room that is kept for when the disk is full
//	DIR/….wal.tmp                             these and segments that were not finished: opening removes them
//	DIR/torn-00000000000001240000-….bin       bytes that were cut off a tail, kept aside for people
//	REFUGE/refuge                             JSON: log id, DIR; beside it segments, numbered with those in DIR
//
// docs/log-format.md shows every file and every byte, with dumps, and what a [Salvage] leaves.
//
// A segment is a header, a snapshot, entries. Integers are little-endian.
//
//	 0  8  magic "SDWAL\x00\x00\x01"; the last byte is the format version
//	 8 16  log id: seed of the entries' checksums
//	24  8  segment number
//	32  8  first LSN
//	40  8  created, unix nanoseconds
//	48  4  size of the snapshot
//	52  4  CRC32C of the snapshot
//	56  4  pages of 4096 bytes that the file had when it was written over; 0: it was new
//	60  4  CRC32C of bytes 0 to 59
//	64  …  snapshot, padded with zeros to 8
//
// An entry is a header, a body, zeros up to a multiple of 8. LSNs count these bytes and no others, so an entry's LSN
// gives its place in its segment, and an entry that is not where its LSN says is never valid.
//
//	 0  4  CRC32C of bytes 4 to 47 and of the covered body, seeded with the log id
//	 4  4  size of the body
//	 8  8  LSN of this entry
//	16  1  kind (zero is invalid)
//	17  3  zero
//	20  4  lane
//	24  8  ordinal of the first record; of a lane: its partition; of a mark: the LSN at which its group ends
//	32  8  arrival, unix milliseconds
//	40  4  number of records
//	44  4  zero
//	48  …  body
//
// The covered body is all of it, but for a batch its first 21 bytes: the batch's own CRC answers for the rest.
//
// # Room
//
// A released segment is renamed to a spare and, when its new name is durable, written over by a later one: that is
// about twice as fast as making a file longer. Each write fills its last page up with zeros; behind it lies what the
// file held before. All LSNs in there are below the new segment's first, so none of it can be taken for an entry.
// The reserve is written over when the disk is full, so that marks, control entries and states, which let segments
// go, have a place. In the refuge, on another disk, segments are made while that cannot be done in DIR. Manifest
// and refuge name each other before it is used: neither is opened without the other.
//
// # Torn or rotten
//
// Each group begins with a mark: the LSN below which all was synced when the group was written, and, in place of an
// ordinal, the LSN at which the group ends. After a second of idleness and at Close an empty group is appended and its mark copied to the manifest. Damage below the highest mark
// is rot: it is reported with its range, never cut, and what is around it is delivered. Damage above it is a torn
// tail: it is cut, kept aside and reported as "may have held acked records", as is a group that does not reach its end.
// What is whole above the highest mark was perhaps never synced, whatever the page cache shows: opening writes it again,
// into the segment that it begins at the mark, before a Book sees it. Only a tail that was cut between two groups above
// the last mark leaves nothing that could tell.
//
// Rot is looked for as well ([Scrubber]): sealed segments are read again and again from the device, past the page cache,
// which goes on showing what was written when the disk has long lost it. States too, so that a release never relies
// on one that is gone.
//
// # A failed write or sync
//
// The segment is given up and never synced again. The same bytes, with the same LSNs, go to a new segment, whose first
// LSN cuts every earlier segment at that LSN; nothing that was handed to Append is ever taken back. While that
// fails it is tried again for as long as the process lives, and nothing is acknowledged.
//
// # Who a log is
//
// The id in the headers and the manifest seeds the checksums and never changes. [Log.Begin] notes that a process goes on
// with the log: what sends records in its name ends there what it did under the identities before, for the directory
// may have been rolled back or copied. When that was seen, [Log.Renew] gives the log another name.
//
// Stability: may change.
package wal
