// Package ledger keeps a short row for every batch of the log, long after the log has released the batch itself, so that
// any past range can still be compared with a topic (decision 12, package reconcile).
//
// A [Keeper] is a book of the log: it sees each entry when it is durable, so nothing is read again for the ledger. Only
// what it was not shown (before the newest segment at a start; when its disk was too slow; batches that need a [Digest])
// it reads from the log, which cannot have released it: [Keeper.Floor] tells how far the log may release. A
// [Reader] reads the files, also while a Keeper writes.
//
// # What a row says
//
// Of a batch: lane, ordinals, number of records, checksum of the payload (batch.PayloadCRC), size, codec, first and highest
// time, arrival, log position; and a digest of its records where the topic's settings let the broker change the bytes. Entries
// that say under which identity batches were sent and what was confirmed are kept as they are.
//
// # Files
//
//	DIR/0000000007-00000000000001234567.ledger   its number, and the log position that it begins at
//	DIR/….ledger.tmp                             was not finished; opening removes it
//
// A file is a header, a state, blocks. It is made whole under a temporary name, with its first block, synced, renamed, and
// its directory synced; blocks that follow are appended and synced. Integers are little-endian.
//
//	 0  8  magic "SDLEDG\x00\x01"; the last byte is the format version
//	 8 16  log id, as in the headers of the log's files
//	24  8  number
//	32  8  first log position
//	40  8  created, unix milliseconds
//	48  4  size of the state
//	52  4  CRC32C of the state
//	56  4  zero
//	60  4  CRC32C of bytes 0 to 59
//	64  …  state: a snapshot of Config.State at the first position
//
// A block has a row for every batch in [from, to) of the log, and begins where the one before it ended.
//
//	 0  4  magic "SDLB"
//	 4  4  CRC32C of bytes 8 to 47
//	 8  4  CRC32C of the rows
//	12  4  size of the rows
//	16  8  from, a log position
//	24  8  to
//	32  8  arrival that the first row counts from, unix milliseconds
//	40  4  number of rows
//	44  4  zero
//	48  …  rows
//
// A row is made of varints (LEB128; signed ones in zigzag), but for the fields with a size:
//
//	1 byte    kind of the entry (wal.Kind)
//	varint    log position, counted from the end of the entry in the row before; of the first row from `from`
//	varint    lane
//	signed    ordinal
//	signed    number of records
//	varint    size of the entry's body
//	signed    arrival, counted from the row before
//	          and of a batch:
//	1 byte    codec in bits 0 to 2; bit 3: there is a digest
//	4 bytes   CRC32C of the payload
//	signed    base timestamp, counted from the arrival
//	signed    max timestamp, counted from the base timestamp
//	16 bytes  digest, if there is one
//	          and of every other entry: its body
//
// # Commit point
//
// The sync of the block. Before it [Keeper.Floor] has not moved, so the log still holds the entries, and the next start derives
// the rows from them again; what a crash left of the block fails its checksum. After it the next start goes on behind it. So
// no row is missing and none is there twice. A block that a later file begins before was of a log that lost its
// end since; what it says of positions from there on does not count.
//
// # When it cannot be written
//
// The log releases nothing that has no row, and says so in the status; nobody's ack waits for it. Only when the log
// has no room left and the ledger cannot be written, the log goes first: acked records need the room more than the proof
// does. What it released then has no rows: a hole, which is counted, named, and "not comparable" to reconcile.
//
// Stability: may change.
package ledger
