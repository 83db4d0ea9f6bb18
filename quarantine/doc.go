// Package quarantine keeps the batches that a target refuses for good, one file each, apart from the log.
//
// A batch that was acked and can never be stored must neither be lost (promise G3) nor stand in its lane's way (G10). So
// its bytes are copied here, durably, before the log says so and before the lane goes on with what follows. What is to
// become of it is a person's decision: sent again, exported, discarded. The files can be read without the process, and
// without the log.
//
// # Files
//
//	DATA/quarantine/LOG-LANE-ORDINAL.batch    written once: write, sync, rename, sync of the directory
//	DATA/quarantine/….tmp                     was not finished; of no account
//
// Integers are little-endian.
//
//	 0  8  magic "SDQUAR\x00\x01"; the last byte is the format version
//	 8  4  size of the record, at most 64 KiB
//	12  4  size of the batch, at most 128 MiB
//	16  4  CRC32C of the batch's bytes
//	20  4  CRC32C of bytes 0 to 19 and of the record
//	24  …  record: JSON, see [Record]; fields are only added
//	 …  …  one RecordBatch v2, as the producer sent it
//
// Stability: may change.
package quarantine
