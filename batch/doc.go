// Package batch reads, checks, admits, stamps and builds Kafka's record batches (RecordBatch v2, KIP-98), the one unit
// of data inside streamdown.
//
// A batch is a 61-byte header and its payload, the records section, which may be compressed as a whole:
//
//	offset size field                    covered by the CRC
//	     0    8 base offset              no
//	     8    4 length: bytes after it   no    (61-byte batch without records: 49)
//	    12    4 partition leader epoch   no
//	    16    1 magic, always 2          no
//	    17    4 CRC32C of bytes 21..     -
//	    21    2 attributes               yes   bits 0-2 codec, 3 log append time, 4 transactional, 5 control, 6 delete horizon
//	    23    4 last offset delta        yes
//	    27    8 base timestamp, ms       yes
//	    35    8 max timestamp, ms        yes
//	    43    8 producer id              yes   -1 = none
//	    51    2 producer epoch           yes   -1 = none
//	    53    4 base sequence            yes   -1 = none
//	    57    4 number of records        yes
//	    61      payload                  yes
//
// All integers are big-endian. A record is a zigzag varint length followed by that many bytes: attributes (one byte,
// unused), timestamp delta and offset delta (varints), key and value (varint length, -1 = null), a varint count of
// headers and for each a key (never null) and a value.
//
// ParseHeader and Size bound, Verify checks the CRC, Admit refuses what a broker would refuse, Records iterates,
// Restamp writes a header under our own identity and Builder makes batches. Everything but Builder is a function of
// its bytes and may be called concurrently; nothing here starts a goroutine.
//
// Stability: may change.
package batch
