// Package check judges from the outside whether records that were acknowledged arrived: once, in order, unharmed and
// in the right place.
//
// A load generator makes every value with AppendRecord and tells a Checker what it sent, what was acknowledged and what
// definitely failed; a consumer that reads the target directly hands every value it finds to Seen. The Checker trusts
// neither our log nor our metrics: it compares what a producer was promised with what a consumer can read. A run in
// which too little happened to prove anything is void, which is not the same as good.
//
// A Stream is one ordered series of records, dense from sequence 0. A generator with P producers and N partitions uses
// P times N producer ids, each with one partition; a producer that leaves the choice of partition to its client uses
// one id, and order is then judged within each partition that its records were found in.
//
// State is two bits per record (acknowledged, seen); blocks of records that are both are folded into a counter, so
// memory follows what is in flight and not what went by.
//
// What it cannot see: loss at the target after a consumer has read the record there. If the target may take back what
// it served, read it again from the start into a second Checker once the faults are over.
//
// Stability: may change.
package check
