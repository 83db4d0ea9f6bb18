// Package catalog knows topics, partitions, ids and settings of a cluster, and still knows them after a restart.
//
// While the cluster is away its last look goes on answering clients (decision 13). The durable part is a book of the
// log: one entry per change of a topic or of the cluster's own facts; leaders are not kept, they are looked up anew.
//
// Stability: may change.
package catalog
