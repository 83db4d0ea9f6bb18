// Package node builds one process from one configuration and runs it until it is told to stop.
//
// This is the only place where the data path and its surroundings meet: the log with its books, the intake, the
// gateway in front, the forwarder behind, and the pages. Nothing here decides anything about a record.
//
// Stability: may change.
package node
